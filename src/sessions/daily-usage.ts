/** What was done today, for `status`: kept in the store, so that a restart does not begin the day again. */
import type { Store } from "../store/store.ts";

export interface DayUsage {
  /** Local, `2026-01-31`. */
  date: string;
  /** That came to an end, whatever its reason; agent and chat. */
  turns: number;
  /** As claude reports it. */
  costUsd: number;
}

/** The local calendar day. */
export function dayOf(time: number): string {
  const at = new Date(time);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/**
 * Turns that end within this time share one row write: a write for each would be committed just when the first token of a
 * client's next turn is due. A daemon that is killed loses this much of the count.
 */
const WRITE_MS = 1_000;

/** Counts the turns of the day that it is. Reading it costs nothing: today's numbers are held in memory, too. */
export class DailyUsage {
  private unwritten: DayUsage | undefined;
  private timer: Timer | undefined;

  private constructor(
    private readonly store: Store["usage"],
    private readonly now: () => number,
    private today: DayUsage,
  ) {}

  /** Throws what reading the store throws. Whoever opens it calls `write` before the store closes. */
  static async open(store: Store["usage"], now: () => number): Promise<DailyUsage> {
    const date = dayOf(now());
    return new DailyUsage(store, now, { date, ...(await store.of(date)) });
  }

  add(costUsd = 0): void {
    this.today = plusTurn(this.current(), costUsd);
    const { date } = this.today;
    if (this.unwritten?.date !== date) this.write();
    this.unwritten = plusTurn(this.unwritten ?? { date, turns: 0, costUsd: 0 }, costUsd);
    this.timer ??= setTimeout(() => this.write(), WRITE_MS).unref();
  }

  current(): DayUsage {
    const date = dayOf(this.now());
    return this.today.date === date ? this.today : { date, turns: 0, costUsd: 0 };
  }

  /** Hands what was added since the last time to the store. */
  write(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.unwritten) this.store.add(this.unwritten);
    this.unwritten = undefined;
  }
}

function plusTurn({ date, turns, costUsd }: DayUsage, more: number): DayUsage {
  return { date, turns: turns + 1, costUsd: costUsd + more };
}
