/** A whole daemon in this process: real sockets, gate and app; the engine is scripted, so that a turn is countable. */
import { connect } from "node:net";
import { readHostFacts } from "../../src/config/environment.ts";
import { resolveConfig } from "../../src/config/load.ts";
import { type Paths, resolvePaths } from "../../src/config/paths.ts";
import { type Daemon, startDaemon } from "../../src/daemon/daemon.ts";
import type { Engine } from "../../src/daemon/engine.ts";
import { DaemonError } from "../../src/errors.ts";
import { createLogger } from "../../src/log.ts";
import type { TurnRunner } from "../../src/turn/runner.ts";
import { createMemoryArchive } from "../contract/responses/memory-archive.ts";
import { emptyRegistry } from "../sessions/empty-registry.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

export interface TestDaemon extends AsyncDisposable {
  daemon: Daemon;
  port: number;
  paths: Paths;
  /** Turns that reached the engine. */
  turns(): number;
  log(): string;
  /** Sends these bytes as they are; gives all that comes back until the daemon closes, or the answer is whole. */
  raw(bytes: string | Uint8Array): Promise<string>;
}

const USAGE = { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0 };

/** Says "hello". */
export const HELLO: TurnRunner = async function* () {
  yield { type: "turn-start", turnId: "trn_1", sessionId: undefined, model: "sonnet", ignored: [] };
  yield { type: "model-start", model: "sonnet", usage: USAGE };
  yield { type: "text-start", id: "1" };
  yield { type: "text-delta", id: "1", text: "hello" };
  yield { type: "text-end", id: "1" };
  yield {
    type: "turn-end",
    reason: { unified: "end", raw: "end_turn" },
    usage: USAGE,
    costUsd: 0,
    numTurns: 1,
    filesChanged: undefined,
    permissionDenials: [],
  };
};

export function scriptedEngine(runner: TurnRunner, over: Partial<Engine> = {}): Engine {
  return {
    runner,
    models: {
      list: async () => [],
      get: async (id) => {
        throw new DaemonError("model_not_found", `There is no ${id}.`);
      },
    },
    sessions: emptyRegistry(),
    archive: createMemoryArchive(),
    claude: () => ({ usable: true, path: "/opt/claude", version: "2.1.330", loggedIn: true, problem: undefined }),
    pool: () => ({
      ...{ live: 2, busy: 1, idle: 0, spare: 1, limit: 8, rssBytes: 1000, hits: 3, misses: 1 },
      queue: { waiting: 0, limit: 64 },
      evictions: { limit: 0, idle: 0, waiting: 0, stale: 0, memory: 0, unwanted: 0 },
    }),
    openSessions: () => 0,
    metrics: () => [],
    activity: () => ({
      firstTokens: { turns: 0, medianSeconds: undefined, byStart: {} },
      today: { date: "2026-01-31", turns: 0, costUsd: 0 },
    }),
    problem: () => undefined,
    resolveWorkspace: async () => "/",
    sessionDirectory: async () => "/",
    warm: async () => undefined,
    look: async () => undefined,
    close: async () => undefined,
    ...over,
  };
}

export interface TestDaemonOptions {
  runner?: TurnRunner;
  engine?: (runner: TurnRunner) => Promise<Engine>;
  flags?: Record<string, string>;
  env?: Record<string, string>;
}

const RAW_BOUND_MS = 10_000;

function exchangeRaw(port: number, bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    const bound = setTimeout(() => socket.destroy(), RAW_BOUND_MS);
    const isWhole = () => {
      const head = received.indexOf("\r\n\r\n");
      const length = /^content-length: (\d+)\r$/im.exec(received)?.[1];
      return head >= 0 && length !== undefined && received.length >= head + 4 + Number(length);
    };
    socket.on("data", (part) => {
      received += part.toString("latin1");
      if (isWhole()) socket.destroy();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(bound);
      resolve(received);
    });
  });
}

export async function startTestDaemon(options: TestDaemonOptions = {}): Promise<TestDaemon> {
  const directory = await createTmpDir();
  const facts = { ...readHostFacts(), env: { HOME: directory.path, ...options.env }, cwd: directory.path };
  const paths = resolvePaths(facts);
  const flags = { port: "0", "log-level": "debug", ...options.flags };
  const { config } = resolveConfig({ flags, facts, home: paths.home });
  let turns = 0;
  let logged = "";
  const runner: TurnRunner = (request) => {
    turns += 1;
    return (options.runner ?? HELLO)(request);
  };
  const daemon = startDaemon({
    config,
    paths,
    facts,
    log: createLogger({
      level: config.log.level,
      timestamps: false,
      write: (line) => {
        logged += line;
      },
    }),
    lookMs: 0,
    startEngine: async () => (options.engine ? options.engine(runner) : scriptedEngine(runner)),
  });
  const port = Number(new URL(daemon.url).port);
  return {
    daemon,
    port,
    paths,
    turns: () => turns,
    log: () => logged,
    raw: (bytes) => exchangeRaw(port, bytes),
    [Symbol.asyncDispose]: async () => {
      await daemon.stop();
      await directory[Symbol.asyncDispose]();
    },
  };
}
