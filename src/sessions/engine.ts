/** Composes the engine: what the daemon needs to hand out is what this returns. */

import type { ClaudeInstallation } from "../claude/locate.ts";
import { writeTranscript } from "../claude/transcript.ts";
import type { ClaudeProcess, InitializeResult, LaunchOptions } from "../claude/transport.ts";
import type { Logger } from "../log.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { TurnRequest } from "../turn/request.ts";
import type { TurnRunner } from "../turn/runner.ts";
import type { PoolStatus } from "./contracts.ts";
import { Conversations } from "./conversations.ts";
import { type EngineMetrics, MetricsRecorder } from "./metrics.ts";
import { createModelCatalog, type LearningCatalog, type ResolvedModel } from "./models.ts";
import { DEFAULT_POOL_OPTIONS, Pool, type PoolOptions } from "./pool.ts";
import { createTurnRunner } from "./runner.ts";

export interface EngineDeps {
  launch(options: LaunchOptions): ClaudeProcess;
  /** Transcripts carry the version, as the CLI's own lines do. */
  claude: Pick<ClaudeInstallation, "version" | "features">;
  /** Neutral, empty, real path: chat processes run here. */
  chatDirectory: string;
  /** Private (0700), not inside `chatDirectory`: histories wait here for the process that resumes them. */
  transcriptDirectory: string;
  fingerprint(launch: LaunchOptions): Promise<string | undefined>;
  agent(
    request: TurnRequest,
    model: ResolvedModel,
    engine: { pool: Pool; metrics: MetricsRecorder },
  ): AsyncIterable<TurnEvent>;
  log: Logger;
}

export interface EngineOptions {
  pool: Pick<PoolOptions, "limit" | "memoryLimitBytes"> & Partial<PoolOptions>;
  aliases: Readonly<Record<string, string>>;
  forwardSampling: boolean;
  stallTimeoutMs: number;
}

export interface Engine {
  run: TurnRunner;
  models: LearningCatalog;
  pool: Pool;
  status(): PoolStatus;
  metrics(): EngineMetrics;
  /** What claude said when it was last asked: models, login. Asks where it was not. */
  describe(): Promise<InitializeResult>;
  /** Boots what makes the first request fast; returns at once. */
  warm(): void;
  /** Ends every process. Turns that run fail. */
  close(): Promise<void>;
}

/** Nothing is started before `warm` or the first request. Whoever creates it closes it. */
export function createEngine(deps: EngineDeps, options: EngineOptions): Engine {
  const metrics = new MetricsRecorder();
  // The same flags for every chat: one spare serves requests with and without tools.
  const chatLaunch: LaunchOptions = {
    kind: "chat",
    cwd: deps.chatDirectory,
    trusted: false,
    persist: false,
    clientTools: true,
  };
  const pool = new Pool(
    {
      spawn: deps.launch,
      chatLaunch,
      initialized: (answer) => models.learn(answer),
      fingerprint: deps.fingerprint,
      log: deps.log,
    },
    { ...DEFAULT_POOL_OPTIONS, ...options.pool },
  );
  const models = createModelCatalog({ describe: () => pool.describe(), aliases: options.aliases });
  const run = createTurnRunner({
    models,
    chat: {
      pool,
      conversations: new Conversations(),
      launch: chatLaunch,
      writeTranscript: (messages, model) =>
        writeTranscript(deps.transcriptDirectory, messages, {
          sessionId: crypto.randomUUID(),
          cwd: deps.chatDirectory,
          version: deps.claude.version,
          model,
        }),
      answersHistory: deps.claude.features.awaitInitialize,
      stallTimeoutMs: options.stallTimeoutMs,
      metrics,
    },
    agent: (request, model) => deps.agent(request, model, { pool, metrics }),
    forwardSampling: options.forwardSampling,
    metrics,
  });
  return {
    run,
    models,
    pool,
    status: () => pool.status(),
    metrics: () => metrics.snapshot(),
    describe: () => pool.describe(),
    warm: () => {
      pool.warm();
      models.list().catch((error: unknown) => deps.log.warn("claude did not say its models", { error: String(error) }));
    },
    close: () => pool.close(),
  };
}
