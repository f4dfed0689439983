/** Composes the engine: what the daemon needs to hand out is what this returns. */

import type { ClaudeInstallation } from "../claude/locate.ts";
import { writeTranscript } from "../claude/transcript.ts";
import type { ClaudeProcess, InitializeResult, LaunchOptions } from "../claude/transport.ts";
import type { Logger } from "../log.ts";
import type { Store } from "../store/store.ts";
import type { Message } from "../turn/message.ts";
import type { TurnRunner } from "../turn/runner.ts";
import type { AgentSessions } from "./agent-sessions.ts";
import type { PoolStatus, ProcessSource } from "./contracts.ts";
import { Conversations } from "./conversations.ts";
import { type EngineMetrics, MetricsRecorder } from "./metrics.ts";
import { createModelCatalog, type LearningCatalog } from "./models.ts";
import { Pool } from "./pool.ts";
import { DEFAULT_POOL_OPTIONS, type PoolOptions } from "./pool-options.ts";
import { createTurnRunner } from "./runner.ts";

export interface EngineDeps<Sessions extends AgentSessions> {
  launch(options: LaunchOptions): ClaudeProcess;
  /** What `launch` starts by now. Transcripts carry the version, as the CLI's own lines do. */
  claude(): Pick<ClaudeInstallation, "version" | "features">;
  /** Neutral, empty, real path: chat processes run here. */
  chatDirectory: string;
  /** Private (0700), not inside `chatDirectory`: histories wait here for the process that resumes them. */
  transcriptDirectory: string;
  fingerprint(launch: LaunchOptions): Promise<string | undefined>;
  /** The sessions that agent conversations are; their processes come from the given source. */
  sessions(processes: ProcessSource, models: LearningCatalog): Sessions;
  /** Throws while chats cannot be logged in though agents can; asked before each chat. */
  requireChatLogin?(): void;
  /** Where agent conversations stood; survives a restart. */
  store: Pick<Store, "prefixes" | "flush">;
  /** Shared with the sessions; one of its own where there is none. */
  metrics?: MetricsRecorder;
  log: Logger;
}

export interface EngineOptions {
  pool: Pick<PoolOptions, "limit" | "memoryLimitBytes"> & Partial<PoolOptions>;
  aliases: Readonly<Record<string, string>>;
  forwardSampling: boolean;
  stallTimeoutMs: number;
}

export interface Engine<Sessions extends AgentSessions> {
  run: TurnRunner;
  models: LearningCatalog;
  sessions: Sessions;
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
export function createEngine<Sessions extends AgentSessions>(
  deps: EngineDeps<Sessions>,
  options: EngineOptions,
): Engine<Sessions> {
  const metrics = deps.metrics ?? new MetricsRecorder();
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
  const sessions = deps.sessions(pool, models);
  const writeHistory = (messages: readonly Message[], model: string) =>
    writeTranscript(deps.transcriptDirectory, messages, {
      sessionId: crypto.randomUUID(),
      cwd: deps.chatDirectory,
      version: deps.claude().version,
      model,
    });
  const agent = {
    sessions,
    prefixes: deps.store.prefixes,
    flush: deps.store.flush,
    writeTranscript: writeHistory,
    get answersHistory() {
      return deps.claude().features.awaitInitialize;
    },
    metrics,
  };
  const run = createTurnRunner({
    models,
    chat: {
      pool,
      conversations: new Conversations(),
      launch: chatLaunch,
      writeTranscript: writeHistory,
      get answersHistory() {
        return deps.claude().features.awaitInitialize;
      },
      stallTimeoutMs: options.stallTimeoutMs,
      metrics,
    },
    agent,
    forwardSampling: options.forwardSampling,
    metrics,
    requireChatLogin: () => deps.requireChatLogin?.(),
  });
  return {
    run,
    models,
    sessions,
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
