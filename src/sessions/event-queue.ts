/**
 * Between a process and its reader: holds what the reader has not taken, and tells when that is too much. Bounded by
 * what the process still delivers after `pause` (one chunk of its stdout).
 */
import type { TurnEvent } from "../turn/events.ts";

export interface Flow {
  pause(): void;
  resume(): void;
}

/** Characters waiting at which the process is no longer read, and at which it is again. */
const HIGH_CHARS = 256 * 1024;
const LOW_CHARS = 64 * 1024;
/** What an event counts beside its text. */
const EVENT_CHARS = 64;

export class EventQueue {
  private items: TurnEvent[] = [];
  private head = 0;
  private chars = 0;
  private wake: (() => void) | undefined;
  private failure: unknown;
  private failed = false;
  private dropped = false;
  paused = false;

  constructor(private readonly flow: Flow) {}

  /** The first event of a part: what came while nobody read follows it. */
  open(event: TurnEvent): void {
    this.items.splice(this.head, 0, event);
    this.chars += sizeOf(event);
    this.notify();
  }

  push(event: TurnEvent): void {
    if (this.dropped) return;
    this.items.push(event);
    this.chars += sizeOf(event);
    if (!this.paused && this.chars > HIGH_CHARS) {
      this.paused = true;
      this.flow.pause();
    }
    this.notify();
  }

  /** Thrown to the reader after everything that is queued. */
  fail(error: unknown): void {
    this.failed = true;
    this.failure = error;
    this.notify();
  }

  /** The next event without waiting; undefined where there is none yet. Throws the failure when all else is taken. */
  take(): TurnEvent | undefined {
    const event = this.items[this.head];
    if (event === undefined) {
      if (this.failed) throw this.failure;
      return undefined;
    }
    this.head += 1;
    if (this.head === this.items.length) {
      this.items.length = 0;
      this.head = 0;
    } else if (this.head > 1024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    this.chars -= sizeOf(event);
    if (this.paused && this.chars < LOW_CHARS) this.release();
    return event;
  }

  /** Settles when there is something to take. One waiter. */
  arrival(): Promise<void> {
    if (this.head < this.items.length || this.failed) return Promise.resolve();
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  /** Everything up to and with `turn-end`. Where the reader leaves before that, drops the rest and says so. */
  async *events(left: () => void): AsyncGenerator<TurnEvent, void, undefined> {
    let over = false;
    try {
      while (!over) {
        const event = this.take();
        if (event === undefined) {
          await this.arrival();
          continue;
        }
        over = event.type === "turn-end";
        yield event;
      }
    } catch (error) {
      over = true;
      throw error;
    } finally {
      if (!over) {
        this.drop();
        left();
      }
    }
  }

  /** Nobody reads any more: drops everything and lets the process run on. */
  drop(): void {
    this.dropped = true;
    this.items.length = 0;
    this.head = 0;
    this.chars = 0;
    if (this.paused) this.release();
  }

  private release(): void {
    this.paused = false;
    this.flow.resume();
  }

  private notify(): void {
    const { wake } = this;
    this.wake = undefined;
    wake?.();
  }
}

function sizeOf(event: TurnEvent): number {
  switch (event.type) {
    case "text-delta":
    case "thinking-delta":
      return EVENT_CHARS + event.text.length;
    case "tool-delta":
    case "client-call-delta":
      return EVENT_CHARS + event.json.length;
    case "tool-end":
      return EVENT_CHARS + event.output.length;
    default:
      return EVENT_CHARS;
  }
}
