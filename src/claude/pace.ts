/**
 * Reads at once from a writer that takes its time, and in batches from one that does not. Measured on Bun 1.4.5: a read
 * costs a wake-up, six system calls and a buffer of 64 KiB however little it brings, and a claude that writes line after
 * line was read line by line. Until the runtime's own 16 KiB are full every write still wakes it, so a batch should be
 * larger; at some 200 lines that nobody has read a socket is full and claude waits, so it should not be much larger.
 */

/** Reads without a pause; each costs one, and each millisecond spent waiting for the writer earns one. */
const BURST_READS = 64;
/** Before each read of a writer that is never waited for: how late its lines may come. */
const FIRST_PAUSE_MS = 2;
const MIN_PAUSE_MS = 1;
const MAX_PAUSE_MS = 8;
/** What a pause should bring: after less the next one is longer, after more it is shorter. */
const SMALL_BATCH_BYTES = 16 * 1024;
const LARGE_BATCH_BYTES = 32 * 1024;

export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

const REAL_CLOCK: Clock = { now: () => performance.now(), sleep: Bun.sleep };

/** The same read, one call at a time, at the pace of its writer. */
export function paced<Result extends { value?: Uint8Array | undefined }>(
  read: () => Promise<Result>,
  clock: Clock = REAL_CLOCK,
): () => Promise<Result> {
  let credit = BURST_READS;
  let pauseMs = FIRST_PAUSE_MS;
  return async () => {
    const pauses = credit < 1;
    if (pauses) await clock.sleep(pauseMs);
    else credit -= 1;
    const askedAt = clock.now();
    const result = await read();
    credit = Math.min(BURST_READS, credit + clock.now() - askedAt);
    const bytes = result.value?.length ?? 0;
    if (pauses && bytes < SMALL_BATCH_BYTES) pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2);
    else if (pauses && bytes > LARGE_BATCH_BYTES) pauseMs = Math.max(MIN_PAUSE_MS, pauseMs / 2);
    return result;
  };
}
