/** The durations (nanoseconds) and counts that every last frame carries. */
import type { TurnEnd, TurnEvent } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";
import type { TurnRunner } from "../../turn/runner.ts";

export interface Stopwatch {
  /** Notes when things happen; cheap for deltas. */
  see(event: TurnEvent): void;
  /** At `turn-end`. Counts that are unknown are left out. */
  metrics(end: TurnEnd): JsonObject;
}

/** `now` gives milliseconds; the clock starts here. */
export function createStopwatch(now: () => number): Stopwatch {
  const startedAt = now();
  let acceptedAt: number | undefined;
  let answeredAt: number | undefined;
  // At least 1: clients divide by them.
  const between = (from: number, to: number) => Math.max(1, Math.round((to - from) * 1e6));
  return {
    see(event) {
      if (event.type === "turn-start") acceptedAt = now();
      else if (event.type === "model-start") answeredAt ??= now();
    },
    metrics({ usage }) {
      const endedAt = now();
      const accepted = acceptedAt ?? startedAt;
      const answered = answeredAt ?? endedAt;
      const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = usage;
      const prompt = (inputTokens ?? 0) + (cacheReadTokens ?? 0) + (cacheWriteTokens ?? 0);
      return {
        total_duration: between(startedAt, endedAt),
        load_duration: between(startedAt, accepted),
        ...(inputTokens === undefined ? {} : { prompt_eval_count: prompt }),
        prompt_eval_duration: between(accepted, answered),
        ...(outputTokens === undefined ? {} : { eval_count: outputTokens }),
        eval_duration: between(answered, endedAt),
      };
    },
  };
}

/** The same runner, watched: for answers that are collected before they are written. */
export function watched(runner: TurnRunner, stopwatch: Stopwatch): TurnRunner {
  return async function* (request) {
    for await (const event of runner(request)) {
      stopwatch.see(event);
      yield event;
    }
  };
}
