/**
 * Gives back what an idle daemon does not need: the resident pages of the program's own code, most of which only the
 * start or the last request has touched (20 MB of 65). The kernel drops them from this process alone and maps them again
 * at the next touch, from the page cache: about 1 ms for the first request after a pause.
 *
 * Safe only for pages that are exactly the file's: a mapping in which something was changed (a debugger's breakpoint) is
 * left alone.
 */
import { readFileSync } from "node:fs";
import type { Logger } from "../log.ts";

/** How often the daemon looks whether it had anything to do; twice in a row idle is idle. */
const LOOK_EVERY_MS = 5_000;
/** CPU time within one look that still counts as idle: housekeeping takes about 1 ms. */
const IDLE_CPU_MS = 10;
const MADV_DONTNEED = 4;

export interface CodeMapping {
  address: number;
  bytes: number;
  residentKb: number;
}

/** Executable mappings of one file, as `/proc/PID/smaps` tells them; changed ones are left out. */
export function codeMappings(smaps: string, path: string): CodeMapping[] {
  const found: CodeMapping[] = [];
  for (const entry of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \d+ +(.*)$/m.exec(entry);
    if (head?.[3] !== path || !/^Anonymous: +0 kB$/m.test(entry)) continue;
    const address = Number.parseInt(head[1] ?? "", 16);
    const bytes = Number.parseInt(head[2] ?? "", 16) - address;
    found.push({ address, bytes, residentKb: Number(/^Rss: +(\d+) kB$/m.exec(entry)?.[1]) });
  }
  return found;
}

/** Linux only. Gives back the code of this process; returns how many KB were resident. Throws where libc is not found. */
export async function releaseCode(): Promise<number> {
  const { openLibc } = await import("./libc.ts");
  const { madvise } = openLibc({ madvise: { args: ["usize", "usize", "i32"], returns: "i32" } });
  let releasedKb = 0;
  for (const { address, bytes, residentKb } of codeMappings(
    readFileSync("/proc/self/smaps", "latin1"),
    process.execPath,
  )) {
    if (madvise(address, bytes, MADV_DONTNEED) === 0) releasedKb += residentKb;
  }
  return releasedKb;
}

export interface IdleMemoryDeps {
  /** CPU time of this process so far. */
  cpuMs(): number;
  release(): Promise<number>;
  log: Logger;
  everyMs?: number;
}

/** Releases once in each pause. Keeps nothing alive; returns what ends it. */
export function releaseWhenIdle({ cpuMs, release, log, everyMs = LOOK_EVERY_MS }: IdleMemoryDeps): () => void {
  let before = cpuMs();
  let idleLooks = 0;
  const timer = setInterval(() => {
    const now = cpuMs();
    idleLooks = now - before <= IDLE_CPU_MS ? idleLooks + 1 : 0;
    before = now;
    if (idleLooks !== 2) return;
    release().then(
      (kilobytes) => {
        // Its own work is no reason to do it again.
        before = cpuMs();
        log.debug("idle: gave back the memory of unused code", { kilobytes });
      },
      (error: unknown) => {
        clearInterval(timer);
        log.debug("the memory of unused code cannot be given back", { reason: String(error) });
      },
    );
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** CPU time of this process, user and system. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
