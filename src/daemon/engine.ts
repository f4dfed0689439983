/**
 * What the daemon needs of the engine, and how requests reach it before it is there: the daemon listens at once, while
 * `claude` is still being looked for, and the first requests wait for that.
 */
import type { ClaudeFacts } from "../api/system/health.ts";
import { type DaemonError, toDaemonError } from "../errors.ts";
import type { MetricFamily } from "../metrics.ts";
import type { PoolStatus } from "../sessions/contracts.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { ModelCatalog } from "../turn/models.ts";
import type { TurnRequest } from "../turn/request.ts";
import type { TurnRunner } from "../turn/runner.ts";

export interface Engine {
  runner: TurnRunner;
  models: ModelCatalog;
  claude(): ClaudeFacts;
  pool(): PoolStatus;
  openSessions(): number;
  metrics(): readonly MetricFamily[];
  /** Boots the first spares. Called once the daemon listens. */
  warm(): void;
  /** Ends every process with its descendants. Bounded by the ladder of `ClaudeProcess.close`. */
  close(): Promise<void>;
}

export interface EngineHost {
  runner: TurnRunner;
  models: ModelCatalog;
  claude(): ClaudeFacts;
  pool(): PoolStatus | undefined;
  openSessions(): number;
  metrics(): readonly MetricFamily[];
  /** Settles when the engine is there; rejects with what prevented it. */
  ready: Promise<void>;
  /** Ends the running turns with what they have; their answers still go out. */
  interruptTurns(): void;
  close(): Promise<void>;
}

/** Takes the promise of an engine; every part waits for it or says what is known so far. */
export function createEngineHost(starting: Promise<Engine>): EngineHost {
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
    metrics: () => engine?.metrics() ?? [],
    ready,
    interruptTurns: () => {
      for (const turn of turns) turn.abort();
    },
    close: async () => {
      const started = await starting.catch(() => undefined);
      await started?.close();
    },
  };
}
