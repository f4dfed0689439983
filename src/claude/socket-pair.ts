/**
 * Two connected sockets, as the runtime makes them for a child's stdout, but with our end in our hands: read by a socket of
 * the event loop a piece costs one system call, read by the runtime's subprocess stream five and a buffer of 64 KiB
 * (docs/performance.md).
 */
import { ptr } from "bun:ffi";
import { openLibc } from "../libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
/** No other child may inherit an end. Linux has it as a flag of the call; elsewhere a child could start in between. */
const SOCK_CLOEXEC = 0x80000;

export interface SocketPair {
  ours: number;
  /** Blocking, as a child expects its stdout to be. */
  theirs: number;
}

interface Calls {
  socketpair(domain: number, type: number, protocol: number, pair: unknown): number;
  close(fd: number): number;
}

let calls: Calls | undefined;

function openCalls(): Calls {
  calls ??= openLibc({
    socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
  }) as Calls;
  return calls;
}

/** Undefined where there is none to be had: not on Linux, no libc that is known, or no file descriptor left. */
export function openSocketPair(): SocketPair | undefined {
  if (process.platform !== "linux") return undefined;
  const pair = new Int32Array(2);
  try {
    if (openCalls().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ptr(pair)) !== 0) return undefined;
  } catch {
    return undefined;
  }
  const [ours = -1, theirs = -1] = pair;
  return { ours, theirs };
}

/** One end; the other is closed by whom it was given to. */
export function closeDescriptor(fd: number): void {
  openCalls().close(fd);
}
