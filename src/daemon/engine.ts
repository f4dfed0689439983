/**
 * What the daemon needs of the engine, and how requests reach it before it is there: the daemon listens at once, while
 * `claude` is still being looked for, and the first requests wait for that.
 */
import type { ResponseArchive } from "../api/responses/archive.ts";
import type { ActivityFacts, ClaudeFacts } from "../api/system/health.ts";
import type { MetricFamily } from "../api/system/metrics.ts";
import { type DaemonError, toDaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { PoolStatus } from "../sessions/contracts.ts";
import type { SessionRegistry } from "../sessions/registry.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { ModelCatalog } from "../turn/models.ts";
import type { TurnRequest } from "../turn/request.ts";
import type { TurnRunner } from "../turn/runner.ts";
import type { WorkspaceChanges } from "../workspace/records.ts";

/** What the daemon hands to the engine once it listens. */
export interface EngineStart {
  /** Ports that the daemon listens on: a claude that would call them is refused. */
  ports: readonly number[];
  /** Random; marks every process that this daemon starts. */
  instanceId: string;
  changes: WorkspaceChanges;
}

export interface Engine {
  runner: TurnRunner;
  models: ModelCatalog;
  sessions: SessionRegistry;
  /** Where answers of the Responses API are kept. */
  archive: ResponseArchive;
  claude(): ClaudeFacts;
  pool(): PoolStatus;
  openSessions(): number;
  /** What does not work although turns can run; undefined when all is well. */
  problem(): string | undefined;
  metrics(): readonly MetricFamily[];
  /** What a person wants to know of the last turns. */
  activity(): ActivityFacts;
  /** The confined real directory of a request; undefined asks for the default one. */
  resolveWorkspace(path: string | undefined): Promise<string>;
  /** The directory of a stored session. Throws `not_found`. */
  sessionDirectory(id: string): Promise<string>;
  /** Boots the first spares; settles when claude has said its models and its login. */
  warm(): Promise<void>;
  /** Asks claude again for its login where the last word of it may no longer be true. Never rejects. */
  look(): Promise<void>;
  /** Ends every process with its descendants. Bounded by the ladder of `ClaudeProcess.close`. */
  close(): Promise<void>;
}

export interface EngineHost {
  runner: TurnRunner;
  models: ModelCatalog;
  /** Settles once the engine is there; rejects with what prevented it. */
  sessions(): Promise<SessionRegistry>;
  archive: ResponseArchive;
  /** Takes no new turns of sessions from here on; settles when those that run have ended. */
  drainSessions(): Promise<void>;
  claude(): ClaudeFacts;
  pool(): PoolStatus | undefined;
  openSessions(): number;
  problem(): string | undefined;
  metrics(): readonly MetricFamily[];
  /** Undefined until the engine is there. */
  activity(): ActivityFacts | undefined;
  resolveWorkspace(path: string | undefined): Promise<string>;
  sessionDirectory(id: string): Promise<string>;
  /** Settles when the engine is there; rejects with what prevented it. */
  ready: Promise<void>;
  /** Settles when what is known of claude's login is up to date, or cannot be known. Never rejects. */
  look(): Promise<void>;
  /** Turns of requests that run now. */
  running(): number;
  /** Ends the running turns with what they have; their answers still go out. */
  interruptTurns(): void;
  close(): Promise<void>;
}

/** Takes the promise of an engine; every part waits for it or says what is known so far. */
export function createEngineHost(starting: Promise<Engine>, log: Logger): EngineHost {
  let engine: Engine | undefined;
  let failure: DaemonError | undefined;
  const turns = new Set<AbortController>();
  const ready = starting.then(
    (started) => {
      engine = started;
    },
    (error: unknown) => {
      failure = toDaemonError(error);
      throw failure;
    },
  );
  // Whoever awaits `ready` hears of it; a request that comes first gets the same error.
  ready.catch(() => undefined);
  const asked = ready
    .then(() => engine?.warm())
    .catch((error: unknown) => {
      log.warn("claude could not be asked for its models", { reason: toDaemonError(error).message });
    });
  const started = async (): Promise<Engine> => {
    if (engine) return engine;
    await ready;
    return starting;
  };

  async function* run(request: TurnRequest): AsyncGenerator<TurnEvent, void, undefined> {
    const { runner } = engine ?? (await started());
    const controller = new AbortController();
    const abort = () => controller.abort();
    if (request.signal.aborted) abort();
    request.signal.addEventListener("abort", abort, { once: true });
    turns.add(controller);
    try {
      yield* runner({ ...request, signal: controller.signal });
    } finally {
      turns.delete(controller);
      request.signal.removeEventListener("abort", abort);
    }
  }

  return {
    runner: run,
    models: {
      list: async () => (await started()).models.list(),
      get: async (id) => (await started()).models.get(id),
    },
    sessions: async () => (await started()).sessions,
    archive: {
      // An answer is written after its turn, and deleted after it was read: the engine is there.
      put: (record) => engine?.archive.put(record),
      get: async (id) => (await started()).archive.get(id),
      delete: (id) => engine?.archive.delete(id),
    },
    drainSessions: async () => engine?.sessions.drain(),
    claude: () =>
      engine?.claude() ?? {
        usable: failure === undefined,
        path: undefined,
        version: undefined,
        loggedIn: undefined,
        problem: failure?.message,
      },
    pool: () => engine?.pool(),
    openSessions: () => engine?.openSessions() ?? 0,
    problem: () => engine?.problem(),
    metrics: () => engine?.metrics() ?? [],
    activity: () => engine?.activity(),
    resolveWorkspace: async (path) => (await started()).resolveWorkspace(path),
    sessionDirectory: async (id) => (await started()).sessionDirectory(id),
    ready,
    look: async () => {
      await asked;
      await engine?.look();
    },
    running: () => turns.size,
    interruptTurns: () => {
      for (const turn of turns) turn.abort();
    },
    close: async () => {
      const started = await starting.catch(() => undefined);
      await started?.close();
    },
  };
}
