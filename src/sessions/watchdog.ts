/** Tells that a turn makes no progress. One timer a turn, not one a line. */
export interface WatchdogOptions {
  /** Longest time without a sign of life. */
  limitMs: number;
  /** Silence is no fault now: a tool runs, a person is asked, the reader does not keep up. */
  excused(): boolean;
  stalled(): void;
}

export class Watchdog {
  private timer: Timer | undefined;
  private lastSignAt = performance.now();

  constructor(private readonly options: WatchdogOptions) {}

  start(): void {
    this.sign();
    this.arm(this.options.limitMs);
  }

  /** A sign of life. */
  sign(): void {
    this.lastSignAt = performance.now();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private arm(delayMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), delayMs);
  }

  private look(): void {
    const { limitMs, excused, stalled } = this.options;
    const silentMs = performance.now() - this.lastSignAt;
    if (excused()) this.arm(limitMs);
    else if (silentMs < limitMs) this.arm(limitMs - silentMs);
    else stalled();
  }
}
