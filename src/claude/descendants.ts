/**
 * The processes that a claude has started. On Linux from /proc: first the tree, then whatever carries the process marker
 * (a child that left the tree through setsid and a double fork). Elsewhere the tree alone, from one `ps`.
 */
import { readdir, readFile } from "node:fs/promises";

/** A pid together with its start time, so that a reused pid is never taken for the process it was. */
export interface ProcessIdentity {
  pid: number;
  startedAt: string;
}

/** Deepest tree followed; deeper ones are left to the marker and to the reaper. */
const MAX_PROCESSES = 10_000;
const PS_TIMEOUT_MS = 5_000;

const onLinux = process.platform === "linux";

async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // The name may hold anything, parentheses too: fields count from behind it. State is the first, start time the 20th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : { pid, startedAt: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const found: number[] = [];
  try {
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      const list = await readFile(`/proc/${pid}/task/${thread}/children`, "latin1").catch(() => "");
      for (const child of list.split(" ")) if (child !== "") found.push(Number(child));
    }
  } catch {
    // Gone meanwhile.
  }
  return found;
}

/** Every row of the process table as `ps` tells it. */
async function table(): Promise<{ pid: number; parent: number; startedAt: string }[]> {
  const child = Bun.spawn(["/bin/ps", "-axo", "pid=,ppid=,lstart="], {
    env: { LC_ALL: "C" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    timeout: PS_TIMEOUT_MS,
  });
  const rows: { pid: number; parent: number; startedAt: string }[] = [];
  for (const line of (await child.stdout.text()).split("\n")) {
    const match = /^\s*(\d+)\s+(\d+)\s+(.+?)\s*$/.exec(line);
    if (match) rows.push({ pid: Number(match[1]), parent: Number(match[2]), startedAt: match[3] ?? "" });
  }
  return rows;
}

/** All descendants of a process that still lives, without itself. */
export async function listDescendants(pid: number): Promise<ProcessIdentity[]> {
  const found: ProcessIdentity[] = [];
  if (!onLinux) {
    const rows = await table();
    const known = new Set([pid]);
    for (let grew = true; grew; ) {
      grew = false;
      for (const row of rows) {
        if (known.has(row.pid) || !known.has(row.parent)) continue;
        known.add(row.pid);
        found.push({ pid: row.pid, startedAt: row.startedAt });
        grew = true;
      }
    }
    return found;
  }
  const queue = await childrenOf(pid);
  for (let index = 0; index < queue.length && index < MAX_PROCESSES; index++) {
    const next = queue[index];
    if (next === undefined) continue;
    const identity = await identify(next);
    if (identity) found.push(identity);
    queue.push(...(await childrenOf(next)));
  }
  return found;
}

/** Values that mark one process and nothing else; a shorter one could be anybody's. */
const MARKER_VALUE = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

/** Whether an environment, as the kernel shows it, holds `NAME=value` as one whole entry. */
export function carries(environment: string, name: string, value: string): boolean {
  const wanted = `${name}=${value}\0`;
  return environment.startsWith(wanted) || environment.includes(`\0${wanted}`);
}

/**
 * Processes whose environment says `NAME=value`. Only on Linux; a few milliseconds of reading. What it finds is killed,
 * so it finds nothing at all where init, our parent or we ourselves would be among it: that marker marks no child of ours.
 */
export async function listMarked(name: string, value: string): Promise<ProcessIdentity[]> {
  if (!onLinux || !MARKER_VALUE.test(value)) return [];
  const found: ProcessIdentity[] = [];
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
    if (!carries(environment, name, value)) continue;
    if (pid === 1 || pid === process.pid || pid === process.ppid) return [];
    const identity = await identify(pid);
    if (identity) found.push(identity);
  }
  return found;
}

/** Those that are still the processes they were. */
export async function stillAlive(identities: readonly ProcessIdentity[]): Promise<ProcessIdentity[]> {
  if (identities.length === 0) return [];
  if (!onLinux) {
    const rows = new Map((await table()).map((row) => [row.pid, row.startedAt]));
    return identities.filter(({ pid, startedAt }) => rows.get(pid) === startedAt);
  }
  const alive: ProcessIdentity[] = [];
  for (const { pid, startedAt } of identities)
    if ((await identify(pid))?.startedAt === startedAt) alive.push({ pid, startedAt });
  return alive;
}

/** A signal to each; one that is gone already is none of our business. */
export function signalAll(identities: readonly ProcessIdentity[], signal: NodeJS.Signals): void {
  for (const { pid } of identities) signalOne(pid, signal);
}

/** False where the process is gone. */
export function signalOne(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}
