/**
 * How a claude ends: EOF on stdin (it finishes its turn and writes its session), SIGTERM with SIGCONT (a stopped process
 * sits on its SIGTERM), SIGKILL; each rung bounded. Then whatever it had started and left behind.
 */
import type { Logger } from "../log.ts";
import { listDescendants, listMarked, type ProcessIdentity, signalAll, signalOne, stillAlive } from "./descendants.ts";

export interface Grace {
  /** After EOF: an idle claude needs 50 ms. */
  eofMs: number;
  /** After SIGTERM: with a shell command running a claude needs 1.1 s. */
  termMs: number;
  /** For descendants, between SIGTERM and SIGKILL. */
  sweepMs: number;
}

export const DEFAULT_GRACE: Grace = { eofMs: 5_000, termMs: 5_000, sweepMs: 1_000 };

/** How often a descendant is looked at while it may still end by itself. */
const SWEEP_POLL_MS = 25;

export interface Ending {
  pid: number;
  exited: Promise<unknown>;
  /** Settles when the grace of EOF is not to be waited for. */
  hurry: Promise<void>;
  closeInput(): void;
  rung(name: "eof" | "SIGTERM" | "SIGKILL"): void;
  grace: Grace;
}

/** Settles when the process is gone; SIGKILL makes sure that it will be. */
export async function endProcess(ending: Ending): Promise<void> {
  const { pid, exited, hurry, grace } = ending;
  ending.rung("eof");
  ending.closeInput();
  if (await within(exited, grace.eofMs, hurry)) return;
  ending.rung("SIGTERM");
  signalOne(pid, "SIGTERM");
  signalOne(pid, "SIGCONT");
  if (await within(exited, grace.termMs)) return;
  ending.rung("SIGKILL");
  // Once it is dead its children belong to init: they have to be known before.
  const left = await listDescendants(pid);
  signalOne(pid, "SIGKILL");
  await exited;
  signalAll(await stillAlive(left), "SIGKILL");
}

export interface Sweeping {
  /** As they were while the process lived. */
  descendants: readonly ProcessIdentity[];
  /** Environment that marks further ones. */
  marker: { name: string; value: string } | undefined;
  graceMs: number;
  logger: Logger;
}

/** Ends what is left of these and of everything with the marker. Settles when all have had their SIGKILL. */
export async function sweep({ descendants, marker, graceMs, logger }: Sweeping): Promise<void> {
  const find = async () => {
    const marked = marker === undefined ? [] : await listMarked(marker.name, marker.value);
    const known = new Set(marked.map(({ pid }) => pid));
    return [...marked, ...(await stillAlive(descendants)).filter(({ pid }) => !known.has(pid))];
  };
  let left = await find();
  if (left.length === 0) return;
  logger.info("claude left processes behind; they are ended", { count: left.length });
  signalAll(left, "SIGTERM");
  signalAll(left, "SIGCONT");
  for (const until = performance.now() + graceMs; left.length > 0 && performance.now() < until; ) {
    await Bun.sleep(SWEEP_POLL_MS);
    left = await stillAlive(left);
  }
  // Again from the start: what was just ended may have started something in the meantime.
  signalAll(await find(), "SIGKILL");
}

/** Whether it settled in time. */
async function within(promise: Promise<unknown>, timeoutMs: number, hurry?: Promise<void>): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), timeoutMs);
  try {
    const candidates: Promise<boolean>[] = [promise.then(() => true), late.promise];
    if (hurry) candidates.push(hurry.then(() => false));
    return await Promise.race(candidates);
  } finally {
    clearTimeout(timer);
  }
}
