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

/** Counts the turns of the day that it is. Reading it costs nothing: today's numbers are held in memory, too. */
export class DailyUsage {
  private constructor(
    private readonly store: Store["usage"],
    private readonly now: () => number,
    private today: DayUsage,
  ) {}

  /** Throws what reading the store throws. */
  static async open(store: Store["usage"], now: () => number): Promise<DailyUsage> {
    const date = dayOf(now());
    return new DailyUsage(store, now, { date, ...(await store.of(date)) });
  }

  add(costUsd: number | undefined): void {
    const { date, turns, costUsd: before } = this.current();
    this.today = { date, turns: turns + 1, costUsd: before + (costUsd ?? 0) };
    this.store.add(date, costUsd ?? 0);
  }

  current(): DayUsage {
    const date = dayOf(this.now());
    return this.today.date === date ? this.today : { date, turns: 0, costUsd: 0 };
  }
}
