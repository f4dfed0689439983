/**
 * A bound on the processes of a run where the daemon is root: the kernel exempts root from RLIMIT_NPROC even inside a
 * sandbox, and measuring alone loses against a fork bomb (12,000 processes within a second on two cores).
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const ROOT = "/sys/fs/cgroup";
/** The last processes of a run leave their group a moment after they are gone. */
const REMOVE_ATTEMPTS = 50;
const MAX_REMOVE_RETRY_MS = 20;

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** Directories in which a group with a bound on processes can be made, the likeliest first. */
function parents(): string[] {
  const found: string[] = [];
  for (const line of read("/proc/self/cgroup").trim().split("\n")) {
    const [, controllers, own] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (own === undefined) continue;
    if (controllers === "pids") found.push(join(ROOT, "pids", own));
    if (controllers !== "") continue;
    // Version 2: a group with processes of its own cannot bound its children, so beside ours comes first.
    for (const group of [dirname(own), own]) {
      const path = join(ROOT, group);
      if (/\bpids\b/.test(read(join(path, "cgroup.subtree_control")))) found.push(path);
    }
  }
  return found;
}

export interface ProcessGroup {
  /** Wraps a command so that it and all its descendants count. */
  wrap(command: readonly string[]): string[];
  /** Removes the group once it is empty. Bounded; never rejects. */
  remove(): Promise<void>;
}

/** Undefined where no group can be made. The caller removes it. */
export function createProcessGroup(name: string, maxProcesses: number): ProcessGroup | undefined {
  for (const parent of parents()) {
    const path = join(parent, name);
    try {
      mkdirSync(path);
    } catch {
      continue;
    }
    try {
      writeFileSync(join(path, "pids.max"), String(maxProcesses));
      return {
        wrap: (command) => ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', join(path, "cgroup.procs"), ...command],
        remove: () => remove(path),
      };
    } catch {
      rmdirSync(path);
    }
  }
  return undefined;
}

async function remove(path: string): Promise<void> {
  for (let attempt = 0; attempt < REMOVE_ATTEMPTS; attempt++) {
    try {
      rmdirSync(path);
      return;
    } catch {
      await Bun.sleep(Math.min(attempt + 1, MAX_REMOVE_RETRY_MS));
    }
  }
}
