/**
 * Reads at once from a writer that takes its time, and in batches from one that does not. Measured on Bun 1.4.5: a read
 * costs a wake-up, six system calls and a buffer of 64 KiB however little it brings, and a claude that writes line after
 * line was read line by line. The pause is long enough for the runtime's own 16 KiB to fill: until then every write of
 * claude still wakes it.
 */

/** Reads without a pause; each costs one, and each millisecond spent waiting for the writer earns one. */
const BURST_READS = 64;
/** Before each read of a writer that is never waited for: how late its lines may come. */
const PAUSE_MS = 4;

export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

const REAL_CLOCK: Clock = { now: () => performance.now(), sleep: Bun.sleep };

/** The same read, one call at a time, at the pace of its writer. */
export function paced<Result>(read: () => Promise<Result>, clock: Clock = REAL_CLOCK): () => Promise<Result> {
  let credit = BURST_READS;
  return async () => {
    if (credit >= 1) credit -= 1;
    else await clock.sleep(PAUSE_MS);
    const askedAt = clock.now();
    const result = await read();
    credit = Math.min(BURST_READS, credit + clock.now() - askedAt);
    return result;
  };
}
