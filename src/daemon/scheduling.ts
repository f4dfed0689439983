/**
 * How soon the daemon runs once it is woken. A turn wakes it some 17 times for a tenth of a millisecond, on cores that claude
 * keeps busy, and in all it waited longer for a core than it ran (3.3 ms a turn, docs/performance.md). Linux lets everybody who needs
 * little at a time say so: whoever asks for short slices runs earlier, not longer (EEVDF, from 6.12 on). Nobody's share
 * of the processor changes, and no right is needed.
 */
import { ptr } from "bun:ffi";
import { openLibc } from "./libc.ts";

/** The shortest that the kernel grants: a wake-up of the daemon seldom needs more. */
const SLICE_NS = 100_000n;
/** Numbers of the system calls by `process.arch`; glibc has no function for them before 2.41. */
const CALLS: Readonly<Record<string, { set: number; get: number } | undefined>> = {
  x64: { set: 314, get: 315 },
  arm64: { set: 274, get: 275 },
};
/** `struct sched_attr` as it first was: size, policy, flags, nice, priority, runtime, deadline, period. */
const ATTRIBUTES_BYTES = 48;
const POLICY = 4;
const FLAGS = 8;
const NICE = 16;
const RUNTIME = 24;
const SCHED_OTHER = 0;
/** claude and every other child starts with the slices that everybody has; it would lose a raised priority (nice < 0), too. */
const SCHED_FLAG_RESET_ON_FORK = 1n;

interface Scheduler {
  /** What holds for a thread (0: this one); undefined where the kernel does not tell. */
  get(thread: number): DataView | undefined;
  /** False where the kernel refuses. */
  set(attributes: DataView): boolean;
}

function openScheduler(): Scheduler | undefined {
  const calls = CALLS[process.arch];
  if (process.platform !== "linux" || !calls) return undefined;
  const { syscall } = openLibc({ syscall: { args: ["i64", "i32", "ptr", "u32", "u32"], returns: "i64" } });
  return {
    get: (thread) => {
      const attributes = new DataView(new ArrayBuffer(ATTRIBUTES_BYTES));
      return syscall(calls.get, thread, ptr(attributes), ATTRIBUTES_BYTES, 0) === 0n ? attributes : undefined;
    },
    set: (attributes) => syscall(calls.set, 0, ptr(attributes), 0, 0) === 0n,
  };
}

/**
 * Nanoseconds that a thread (a process: its first one) may run before another's turn comes; undefined where the kernel knows
 * no slices per thread, or the thread has another policy. Throws where libc is not found.
 */
export function sliceOf(thread: number): bigint | undefined {
  return readSlice(openScheduler()?.get(thread));
}

function readSlice(attributes: DataView | undefined): bigint | undefined {
  if (attributes?.getUint32(POLICY, true) !== SCHED_OTHER) return undefined;
  const slice = attributes.getBigUint64(RUNTIME, true);
  return slice > 0n ? slice : undefined;
}

/**
 * Asks for short slices for the calling thread alone: the event loop. False where there are none to be had (older kernels,
 * other systems, a real-time or idle policy, a sandbox that refuses the call) or where a raised priority would be lost to
 * claude; everything works without them. Throws where libc is not found.
 */
export function askForShortSlices(): boolean {
  const scheduler = openScheduler();
  const attributes = scheduler?.get(0);
  const slice = readSlice(attributes);
  if (!scheduler || !attributes || slice === undefined) return false;
  if (slice <= SLICE_NS) return true;
  if (attributes.getInt32(NICE, true) < 0) return false;
  attributes.setBigUint64(FLAGS, attributes.getBigUint64(FLAGS, true) | SCHED_FLAG_RESET_ON_FORK, true);
  attributes.setBigUint64(RUNTIME, SLICE_NS, true);
  return scheduler.set(attributes);
}
