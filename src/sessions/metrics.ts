/** Numbers for `/metrics`: how turns start and how long their first token takes, by kind of start. */
import type { TurnEvent } from "../turn/events.ts";
import { START_KINDS, type StartKind } from "./contracts.ts";
import { type FirstTokens, FirstTokenWindow } from "./first-tokens.ts";

/** Upper bounds in seconds; the last bucket is open. */
export const FIRST_TOKEN_BUCKETS = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 15, 30, 60] as const;

export interface Histogram {
  /** Observations per bucket (not cumulative); one more than there are bounds. */
  counts: number[];
  count: number;
  sumSeconds: number;
}

export interface EngineMetrics {
  firstTokenSeconds: Record<StartKind, Histogram>;
  /** Turns by how they ended: an `EndReason`, or an error code. */
  turnsEnded: Record<string, number>;
  turnsRunning: number;
  /** Requests that joined the turn of their first attempt instead of running again. */
  retriesJoined: number;
}

export class MetricsRecorder {
  private readonly firstToken = new Map<StartKind, Histogram>();
  private readonly ended = new Map<string, number>();
  private readonly window = new FirstTokenWindow();
  private running = 0;
  retriesJoined = 0;

  /** `finished` is told of each turn that came to its end, with what claude says it cost. */
  constructor(private readonly finished: (costUsd: number | undefined) => void = () => undefined) {}

  turnFinished(costUsd: number | undefined): void {
    this.finished(costUsd);
  }

  /** Of the last turns. */
  firstTokens(): FirstTokens {
    return this.window.summary();
  }

  turnStarted(): void {
    this.running += 1;
  }

  turnEnded(how: string): void {
    this.running -= 1;
    this.ended.set(how, (this.ended.get(how) ?? 0) + 1);
  }

  firstTokenAfter(kind: StartKind, seconds: number): void {
    const histogram = this.firstToken.get(kind) ?? empty();
    this.firstToken.set(kind, histogram);
    const bucket = FIRST_TOKEN_BUCKETS.findIndex((bound) => seconds <= bound);
    const index = bucket < 0 ? FIRST_TOKEN_BUCKETS.length : bucket;
    histogram.counts[index] = (histogram.counts[index] ?? 0) + 1;
    histogram.count += 1;
    histogram.sumSeconds += seconds;
    this.window.add(kind, seconds);
  }

  snapshot(): EngineMetrics {
    const firstTokenSeconds = Object.fromEntries(
      START_KINDS.map((kind) => [kind, structuredClone(this.firstToken.get(kind) ?? empty())]),
    ) as Record<StartKind, Histogram>;
    return {
      firstTokenSeconds,
      turnsEnded: Object.fromEntries(this.ended),
      turnsRunning: this.running,
      retriesJoined: this.retriesJoined,
    };
  }
}

function empty(): Histogram {
  return { counts: new Array<number>(FIRST_TOKEN_BUCKETS.length + 1).fill(0), count: 0, sumSeconds: 0 };
}

/** Whether an event is the first that a reader would see of the answer. */
export function isFirstToken(event: TurnEvent): boolean {
  switch (event.type) {
    case "text-delta":
    case "thinking-delta":
    case "tool-start":
    case "client-call-start":
      return true;
    default:
      return false;
  }
}
