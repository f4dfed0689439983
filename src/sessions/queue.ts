/** The line of those who wait for a process: first come, first served, bounded in length and time. */
import { DaemonError } from "../errors.ts";

export interface QueueOptions {
  limit: number;
  waitMs: number;
}

interface Waiter {
  grant(): void;
  refuse(error: DaemonError): void;
}

/** Retry-After is an estimate between these. */
const MIN_RETRY_SECONDS = 1;
const MAX_RETRY_SECONDS = 60;

export class WaitingLine {
  private readonly waiters = new Set<Waiter>();

  constructor(
    private readonly options: QueueOptions,
    /** About how long a place stays taken; for Retry-After. */
    private readonly placeFreesMs: () => number,
  ) {}

  get waiting(): number {
    return this.waiters.size;
  }

  get limit(): number {
    return this.options.limit;
  }

  /** Settles when `grantNext` reaches this place. Throws `queue_full`, or `interrupted` when the signal fires first. */
  wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(gone());
    if (this.waiters.size >= this.options.limit) return Promise.reject(this.full("The daemon is at its limit"));
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.waiters.delete(waiter);
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      };
      const waiter: Waiter = {
        grant: () => {
          leave();
          resolve();
        },
        refuse: (error) => {
          leave();
          reject(error);
        },
      };
      const abort = () => waiter.refuse(gone());
      const timer = setTimeout(() => {
        const seconds = Math.round(this.options.waitMs / 1000);
        waiter.refuse(this.full(`No claude process became free within ${seconds} s`));
      }, this.options.waitMs);
      signal.addEventListener("abort", abort, { once: true });
      this.waiters.add(waiter);
    });
  }

  /** Lets the first in line go; false where nobody waits. */
  grantNext(): boolean {
    const [first] = this.waiters;
    first?.grant();
    return first !== undefined;
  }

  /** The daemon is stopping: everybody leaves. */
  refuseAll(error: DaemonError): void {
    for (const waiter of [...this.waiters]) waiter.refuse(error);
  }

  private full(what: string): DaemonError {
    const seconds = Math.ceil((this.placeFreesMs() * (this.waiters.size + 1)) / 1000);
    const retryAfterSeconds = Math.min(MAX_RETRY_SECONDS, Math.max(MIN_RETRY_SECONDS, seconds));
    return new DaemonError("queue_full", `${what}: try again in ${retryAfterSeconds} s.`, {
      detail: { retryAfterSeconds },
    });
  }
}

/**
 * How many processes boot at once. A boot is half a second of one core: more of them at a time than there are cores only
 * make each other late. First come, first served.
 */
export class BootGate {
  private free: number;
  private readonly waiting = new Set<() => void>();

  constructor(private readonly atOnce: number) {
    this.free = atOnce;
  }

  /** Nobody boots or waits to. */
  get idle(): boolean {
    return this.free === this.atOnce;
  }

  /** Settles with the function that lets the next one boot; to be called once, however the boot went. */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (this.free > 0) this.free -= 1;
    else {
      const { promise, resolve } = Promise.withResolvers<void>();
      // Whoever leaves early still gets its turn and gives it on at once.
      this.waiting.add(resolve);
      await promise;
    }
    let left = false;
    const leave = () => {
      if (left) return;
      left = true;
      const [next] = this.waiting;
      if (!next) {
        this.free += 1;
        return;
      }
      this.waiting.delete(next);
      next();
    };
    if (signal.aborted) {
      leave();
      throw gone();
    }
    return leave;
  }
}

function gone(): DaemonError {
  return new DaemonError("interrupted", "The client went away before a claude process was free.");
}
