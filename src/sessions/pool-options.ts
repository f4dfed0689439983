/** How many processes are kept, and how long. */

export interface PoolOptions {
  /** Processes alive at once, spares included. */
  limit: number;
  /** Own memory of all processes together. */
  memoryLimitBytes: number;
  /** Own memory of one process: above it, it is ended when its turn is over (at twice that, at once). */
  processMemoryCapBytes: number;
  queueLimit: number;
  queueWaitMs: number;
  /** An idle process is ended after this long; one that waits for client results after `waitingEvictionMs`. */
  idleEvictionMs: number;
  waitingEvictionMs: number;
  /** Processes that wait for client results, at most; the longest waiting is ended first. */
  waitingLimit: number;
  /** Unused processes are stopped (no CPU) after this long. */
  suspendAfterMs: number;
  /** One that was stopped and not used for this long is not used again (housekeeping.ts, `isStale`). */
  staleAfterMs: number;
  chatSpares: number;
  profileSpares: number;
  recentMs: number;
  /** Processes that boot at the same time, for requests; by default one more than there are cores. */
  bootsAtOnce?: number;
  /** How often idle processes are looked after. */
  housekeepingMs: number;
}

export const DEFAULT_POOL_OPTIONS: Omit<PoolOptions, "limit" | "memoryLimitBytes"> = {
  processMemoryCapBytes: 1024 * 1024 * 1024,
  queueLimit: 64,
  queueWaitMs: 60_000,
  idleEvictionMs: 30 * 60_000,
  waitingEvictionMs: 30 * 60_000,
  waitingLimit: 16,
  suspendAfterMs: 20_000,
  staleAfterMs: 5 * 60_000,
  chatSpares: 1,
  profileSpares: 2,
  recentMs: 60 * 60_000,
  housekeepingMs: 5_000,
};

/** What a process is taken to need until it is measured. */
export const EXPECTED_MEMORY_BYTES = 140_000_000;

/** At most a quarter of the machine's memory at 250 MB a process, between 4 and 32. */
export function defaultProcessLimits(totalMemoryBytes: number): Pick<PoolOptions, "limit" | "memoryLimitBytes"> {
  const quarter = totalMemoryBytes / 4;
  const limit = Math.min(32, Math.max(4, Math.floor(quarter / 250_000_000)));
  return { limit, memoryLimitBytes: Math.max(quarter, limit * EXPECTED_MEMORY_BYTES) };
}
