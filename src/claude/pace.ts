/**
 * Reads at once from a writer that takes its time, and in batches from one that does not. Measured on Bun 1.4.5: a read
 * costs a wake-up and several system calls however little it brings, and a claude that writes line after line was read
 * line by line. A batch should be larger; at some 200 lines that nobody has read a socket is full and claude waits, so it
 * should not be much larger.
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

/** The pace of one writer, told by what each read brought. */
export class Pace {
  // The first read is one.
  #credit = BURST_READS - 1;
  #pauseMs = FIRST_PAUSE_MS;
  #paused = false;

  /** A read that was waited for so long has brought so much: milliseconds to let pass before the next one; 0: none. */
  afterRead(bytes: number, waitedMs: number): number {
    this.#credit = Math.min(BURST_READS, this.#credit + waitedMs);
    if (this.#paused && bytes < SMALL_BATCH_BYTES) this.#pauseMs = Math.min(MAX_PAUSE_MS, this.#pauseMs * 2);
    else if (this.#paused && bytes > LARGE_BATCH_BYTES) this.#pauseMs = Math.max(MIN_PAUSE_MS, this.#pauseMs / 2);
    this.#paused = this.#credit < 1;
    if (this.#paused) return this.#pauseMs;
    this.#credit -= 1;
    return 0;
  }
}
