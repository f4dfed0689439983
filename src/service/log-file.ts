/** launchd writes the log and never rotates it: the daemon does, at its start and then regularly. */
import { closeSync, copyFileSync, openSync, readSync, statSync, truncateSync } from "node:fs";

/** Two of these are kept. */
const MAX_LOG_BYTES = 10 * 1024 * 1024;
const ROTATE_INTERVAL_MS = 10 * 60_000;

/** Copied and cut, not renamed: launchd holds the file open, for appending. Never throws; true where it was rotated. */
export function rotateLog(path: string, maxBytes = MAX_LOG_BYTES): boolean {
  try {
    if (statSync(path).size <= maxBytes) return false;
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
    return true;
  } catch {
    return false; // not there, or the disk is full: the next pass tries again
  }
}

/** For the rest of the process's life. */
export function rotateLogRegularly(path: string): void {
  rotateLog(path);
  setInterval(rotateLog, ROTATE_INTERVAL_MS, path).unref();
}

/** Of the end of the log, as much as is looked at. */
const TAIL_BYTES = 4096;

/** The last line that the daemon wrote; undefined where there is none. */
export function lastLine(path: string): string | undefined {
  try {
    const descriptor = openSync(path, "r");
    try {
      const bytes = Buffer.alloc(TAIL_BYTES);
      const read = readSync(descriptor, bytes, 0, TAIL_BYTES, Math.max(0, statSync(path).size - TAIL_BYTES));
      return bytes.toString("utf8", 0, read).trimEnd().split("\n").at(-1) || undefined;
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
}
