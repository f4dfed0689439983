/** The runs of code that go on: a stopping daemon waits for them as for turns, and tells those it cannot wait for. */
import { DaemonError } from "../errors.ts";
import type { ExecutionEvent, ExecutionRequest } from "../exec/contract.ts";
import type { Executor } from "../exec/runner.ts";

export interface Runs {
  /** The same executor, whose runs are counted here. */
  executor: Executor;
  /** Runs whose last event has not been taken. */
  running(): number;
  /** Refuses new ones from here on. */
  drain(): void;
  /** Ends all of them: their readers get `interrupted`. */
  interrupt(): void;
}

const STOPPED =
  "The daemon was stopped while this code ran, and its time to finish was over. What it had done stays done.";
const STOPPING = "The daemon is stopping. Try again when it runs again.";

export function createRuns(executor: Executor): Runs {
  const running = new Set<AbortController>();
  let draining = false;

  async function* run(request: ExecutionRequest): AsyncGenerator<ExecutionEvent, void, undefined> {
    if (draining) throw new DaemonError("overloaded", STOPPING, { detail: { retryAfterSeconds: 5 } });
    const stop = new AbortController();
    running.add(stop);
    try {
      for await (const event of executor.run({ ...request, signal: AbortSignal.any([request.signal, stop.signal]) })) {
        if (stop.signal.aborted) break;
        yield event;
      }
      if (stop.signal.aborted) throw new DaemonError("interrupted", STOPPED);
    } finally {
      running.delete(stop);
    }
  }

  return {
    executor: { ...executor, run },
    running: () => running.size,
    drain: () => {
      draining = true;
    },
    interrupt: () => {
      for (const stop of running) stop.abort();
    },
  };
}
