/** What /proc says of processes: memory, CPU, state, children. Linux only. */
import { readdirSync, readFileSync } from "node:fs";

/** `getconf CLK_TCK` on every Linux there is. */
const TICKS_PER_SECOND = 100;

interface Stat {
  state: string;
  parent: number;
  ticks: number;
}

function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "?", parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
  } catch {
    return undefined; // It has ended.
  }
}

export const stateOf = (pid: number): string => statOf(pid)?.state ?? "gone";

/** CPU seconds that a process has used. */
export const cpuSeconds = (pid: number): number => (statOf(pid)?.ticks ?? 0) / TICKS_PER_SECOND;

/** Every process below this one. */
export function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    if (stat) parents.set(Number(name), stat.parent);
  }
  const found: number[] = [];
  for (let open = [pid]; open.length > 0; ) {
    open = [...parents].filter(([, parent]) => open.includes(parent)).map(([child]) => child);
    found.push(...open);
  }
  return found;
}

export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

export interface Memory {
  rssMb: number;
  /** Without the pages of files, which are shared with every other process of the same binary. */
  anonymousMb: number;
}

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) / 1024;
  return { rssMb: megabytes("VmRSS"), anonymousMb: megabytes("RssAnon") };
}

/** Settles once none of these uses more than 5 % of a core for a quarter of a second, or after `limitMs`. */
export async function quiet(pids: () => readonly number[], limitMs = 8_000): Promise<void> {
  const until = performance.now() + limitMs;
  let calm = 0;
  while (calm < 5 && performance.now() < until) {
    const before = new Map(pids().map((pid) => [pid, cpuSeconds(pid)]));
    await Bun.sleep(50);
    const used = pids().reduce((sum, pid) => sum + cpuSeconds(pid) - (before.get(pid) ?? 0), 0);
    calm = used <= 0.01 && pids().length === before.size ? calm + 1 : 0;
  }
}
