/** Memory that processes have for themselves (what they share, the CLI's own binary, is not theirs to answer for). */
import { readFileSync } from "node:fs";

const PAGE_BYTES = 4096;

/**
 * Resident bytes that are not file-backed or shared; undefined where the system does not tell (then only counts limit).
 * One small read from /proc, about 20 µs.
 */
export function ownMemoryBytes(pid: number): number | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const [, resident, shared] = readFileSync(`/proc/${pid}/statm`, "latin1").split(" ");
    return (Number(resident) - Number(shared)) * PAGE_BYTES;
  } catch {
    return undefined;
  }
}
