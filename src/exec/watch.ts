/**
 * What a running process tree takes: rlimits do not bound the memory of a tree, nor the processes of root, so both are
 * measured while it runs. Linux reads /proc; elsewhere only rlimits hold.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface TreeUse {
  /** Threads of all processes. */
  threads: number;
  /** Resident memory, shared pages counted once for each process that has them. */
  residentBytes: number;
}

const PAGE_BYTES = 4096;
/** A tree with more processes is over any limit: stop counting. */
const MAX_COUNTED = 20_000;

/** The tree below `root`, itself included; all zero where it is gone or the system has no /proc. */
export function measureTree(root: number): TreeUse {
  const use: TreeUse = { threads: 0, residentBytes: 0 };
  const queue = [root];
  for (let index = 0; index < queue.length && queue.length < MAX_COUNTED; index++) {
    const pid = queue[index];
    try {
      const threads = readdirSync(`/proc/${pid}/task`);
      use.threads += threads.length;
      use.residentBytes += privateBytes(pid);
      for (const thread of threads) {
        const children = readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1");
        for (const child of children.split(" ")) if (child !== "") queue.push(Number(child));
      }
    } catch {
      // Gone between two reads.
    }
  }
  return use;
}

/** Memory of one process without what it maps from files. */
function privateBytes(pid: number | undefined): number {
  const [, resident, shared] = readFileSync(`/proc/${pid}/statm`, "latin1").split(" ");
  return Math.max(0, Number(resident) - Number(shared)) * PAGE_BYTES;
}
