/**
 * What runs on this machine, read from /proc: for tests that nothing is left behind. The only polling in the tests is
 * here, because the end of somebody else's process gives no signal.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessInfo {
  pid: number;
  parent: number;
  /** Process group and session. */
  group: number;
  session: number;
  /** R, S, T (stopped), Z (zombie) … */
  state: string;
  /** Clock ticks since boot: tells a reused pid. */
  startTime: number;
  command: string;
}

const POLL_MS = 20;

export function readProcess(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name stands in parentheses and may itself hold anything.
    const rest = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return {
      pid,
      parent: Number(rest[1]),
      group: Number(rest[2]),
      session: Number(rest[3]),
      state: rest[0] ?? "?",
      startTime: Number(rest[19]),
      command,
    };
  } catch {
    return undefined;
  }
}

/** Living processes; zombies are dead. */
export function listProcesses(): ProcessInfo[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((entry) => entry !== undefined)
    .filter((entry) => entry.state !== "Z" && entry.state !== "X");
}

export const isAlive = (pid: number): boolean => {
  const entry = readProcess(pid);
  return entry !== undefined && entry.state !== "Z" && entry.state !== "X";
};

/** The living descendants of a process (not itself). Those whose parent died are found by `withMarker` only. */
export function descendantsOf(pid: number): ProcessInfo[] {
  const all = listProcesses();
  const found = new Set([pid]);
  for (let size = 0; size !== found.size; ) {
    size = found.size;
    for (const entry of all) if (found.has(entry.parent)) found.add(entry.pid);
  }
  found.delete(pid);
  return all.filter((entry) => found.has(entry.pid));
}

/** Living processes with `NAME=value` in the environment they were started with. */
export function withMarker(marker: string): ProcessInfo[] {
  return listProcesses().filter((entry) => {
    try {
      return readFileSync(`/proc/${entry.pid}/environ`, "utf8").split("\0").includes(marker);
    } catch {
      return false;
    }
  });
}

/** Resident set in bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? 0) * 1024;
}

/** Waits until the list is empty; throws with what is left after the bound. */
export async function waitUntilNone(list: () => ProcessInfo[], maxWaitMs = 10_000): Promise<void> {
  const deadline = performance.now() + maxWaitMs;
  for (;;) {
    const left = list();
    if (left.length === 0) return;
    if (performance.now() > deadline) {
      const lines = left.map((entry) => `${entry.pid} ${entry.state} ${entry.command.slice(0, 200)}`);
      throw new Error(`still running after ${maxWaitMs} ms:\n${lines.join("\n")}`);
    }
    await Bun.sleep(POLL_MS);
  }
}

/** Waits until a condition that has no signal of its own holds (a file appears, a process stops). */
export async function waitUntil(what: string, holds: () => boolean, maxWaitMs = 10_000): Promise<void> {
  const deadline = performance.now() + maxWaitMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${maxWaitMs} ms: ${what}`);
    await Bun.sleep(POLL_MS);
  }
}
