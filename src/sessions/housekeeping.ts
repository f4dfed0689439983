/** What is done about processes that nobody uses at the moment, and about those that grow too large. */
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Member, type Members, weigh } from "./members.ts";
import type { PoolOptions } from "./pool-options.ts";

const MIB = 1024 * 1024;

export interface HousekeepingDeps {
  members: Members;
  options: PoolOptions;
  /** Requests wait, or boot a process themselves. */
  pressed(): boolean;
  log: Logger;
}

/** One round: ends what is unused for too long or too large, stops what is unused, wakes what was stopped in a rush. */
export function keepHouse({ members, options, pressed, log }: HousekeepingDeps, now: number): void {
  for (const member of members) {
    const unusedMs = now - member.usedAt;
    if (member.state === "idle" && isStale(member, options, now)) void members.end(member, { reason: "stale" });
    else if (member.state === "idle" && unusedMs > options.idleEvictionMs) void members.end(member, { reason: "idle" });
    else if (member.state === "waiting" && unusedMs > options.waitingEvictionMs)
      void members.end(member, { reason: "waiting" });
    else if (member.state === "busy") endIfHuge(member, members, options, log);
    else if (unusedMs > options.suspendAfterMs && !member.process.suspended) member.process.suspend();
  }
  if (!pressed() && members.count("busy") === 0) wakeHeldBack(members);
}

/**
 * Stopped for so long that its connection to the model API may be dead without its knowing. A running claude closes
 * what it has not used for five minutes; a stopped one would write its next request into it, and where a firewall has
 * forgotten the connection without a word nothing answers for many minutes. Its conversation resumes in a new process.
 */
export function isStale(member: Member, { staleAfterMs }: PoolOptions, now: number): boolean {
  return member.process.suspended && now - member.usedAt > staleAfterMs;
}

/** After a turn: a process past its cap is ended, its conversation resumes in another one. */
export function endIfLarge(
  member: Member,
  members: Members,
  { processMemoryCapBytes }: PoolOptions,
  log: Logger,
): void {
  if (member.state === "busy" || member.state === "ended" || weigh(member) <= processMemoryCapBytes) return;
  log.warn("a claude process outgrew its memory cap and is ended", {
    pid: member.process.pid,
    bytes: member.memoryBytes,
  });
  void members.end(member, { reason: "memory" });
}

/** In its turn it may take twice as much; then the turn fails. */
function endIfHuge(member: Member, members: Members, { processMemoryCapBytes }: PoolOptions, log: Logger): void {
  if (weigh(member) <= 2 * processMemoryCapBytes) return;
  log.error("a claude process is ended in its turn: it takes too much memory", {
    pid: member.process.pid,
    bytes: member.memoryBytes,
  });
  const failure = new DaemonError(
    "claude_failed",
    `Claude Code was ended because it took ${Math.round(member.memoryBytes / MIB)} MB of memory. Go on in a new ` +
      "conversation, or allow more (limits.process_memory_mb).",
  );
  void members.end(member, { reason: "memory", failure });
}

/** What was stopped in a rush comes to its garbage when there is nothing else to do: one at a time, it costs a core. */
function wakeHeldBack(members: Members): void {
  const member = members.ranked("idle", "waiting").find((entry) => entry.heldBack);
  if (!member) return;
  member.heldBack = false;
  member.process.wake();
}
