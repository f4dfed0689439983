/**
 * The spares: handed out to whom they serve, booted again in the background, one at a time and when no request needs the
 * processor; initialized ones then rehearse. Those nobody wants any more are ended.
 */
import { rehearse } from "../claude/rewind.ts";
import type { LaunchOptions } from "../claude/transport.ts";
import { toDaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ProcessNeed } from "./contracts.ts";
import type { Member, Members } from "./members.ts";
import { canUseSpare, initializeKey, launchKey, type RecentProfiles, type SpareProfile } from "./spares.ts";

/** The process that told what models there are: it stays, for a conversation without a system prompt. */
export const UNASKED_PROFILE = "described";
/** Spares are booted when no process was asked for during this time: the request goes first. */
export const REFILL_QUIET_MS = 150;
/** After so many no spare rehearses any more: else they would be started and ended for ever. */
const MAX_FAILED_REHEARSALS = 3;
/** Longest wait for a spare to boot before the next is started. */
const BOOT_TIMEOUT_MS = 10_000;

export interface SpareKeeperDeps {
  members: Members;
  recent: RecentProfiles;
  chatLaunch: LaunchOptions;
  /** As in `PoolDeps`. */
  fingerprint(launch: LaunchOptions): Promise<string | undefined>;
  /** Requests wait, or boot a process themselves. */
  pressed(): boolean;
  /** Places promised to requests. */
  reserved(): number;
  start(need: ProcessNeed, state: "booting" | "busy", profile: SpareProfile): Member;
  initialize(member: Member, need: ProcessNeed): Promise<void>;
  /** It is ready to be taken. */
  settle(member: Member): void;
  log: Logger;
}

export class SpareKeeper {
  private timer: Timer | undefined;
  private working = false;
  private closed = false;
  /** In a row, by processes that were still there. */
  private failedRehearsals = 0;

  constructor(private readonly deps: SpareKeeperDeps) {}

  schedule(delayMs: number): void {
    if (this.closed) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refill(), delayMs).unref();
  }

  /** The fastest spare that serves this need, taken out of the spares at once; checked against what it has read. */
  async take(need: ProcessNeed): Promise<Member | undefined> {
    if (!canUseSpare(need)) return undefined;
    const { members } = this.deps;
    const launch = launchKey(need);
    const initialize = initializeKey(need);
    const fitting = [...members].filter(
      (member) =>
        isFree(member) &&
        member.launchKey === launch &&
        (member.initializeKey === undefined || member.initializeKey === initialize),
    );
    const rank = (member: Member) =>
      (member.state === "booting" ? 4 : 0) + (member.answer ? 0 : 2) + (member.model === need.launch.model ? 0 : 1);
    fitting.sort((left, right) => rank(left) - rank(right));
    const usable = fitting.filter(
      ({ model, process }) => model === need.launch.model || process.features.silentModelSwitch,
    );
    // Older CLIs would tell the model of the change: such spares make room for one that has this model.
    if (usable.length === 0) for (const member of fitting) void members.end(member);
    for (const member of usable) {
      // While the one before was waited for, another request may have taken this one, or it may have ended.
      if (!isFree(member)) continue;
      member.state = "busy";
      if (member.rehearsal && !(await member.rehearsal)) continue;
      if (need.launch.kind === "chat") return member;
      if (member.fingerprint === (await this.deps.fingerprint(need.launch))) return member;
      void members.end(member);
    }
    return undefined;
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  /** Boots or rehearses at most one spare; comes back for the next. */
  private async refill(): Promise<void> {
    const { members, recent, fingerprint: fingerprintOf, log } = this.deps;
    if (this.working || this.closed || this.deps.pressed()) return;
    const profiles = recent.wanted(Date.now(), { launch: this.deps.chatLaunch, initialize: {} });
    const wanted = new Set(profiles.map((profile) => profile.key));
    for (const spare of members.ranked("spare")) {
      if (wanted.has(spare.profile ?? "") || spare.profile === UNASKED_PROFILE) continue;
      void members.end(spare, { reason: "unwanted" });
    }
    const kept = new Set(members.ranked("spare", "booting").map((member) => member.profile));
    this.working = true;
    try {
      for (const profile of profiles) {
        if (kept.has(profile.key)) continue;
        const { launch } = profile.need;
        const fingerprint = launch.kind === "agent" ? await fingerprintOf(launch) : "";
        if (fingerprint === undefined) continue;
        // A spare for any chat is worth an idle process; one for a single profile only takes what is free.
        const reserved = this.deps.reserved();
        if (this.closed || !(profile.initialize ? members.hasRoom(reserved) : members.makeRoom(reserved, false)))
          continue;
        await this.boot(profile, fingerprint);
        this.schedule(REFILL_QUIET_MS);
        return;
      }
      const next = members.ranked("spare").find(canRehearse);
      if (!next || this.failedRehearsals >= MAX_FAILED_REHEARSALS) return;
      await this.rehearse(next);
      this.schedule(REFILL_QUIET_MS);
    } catch (error) {
      log.warn("a spare process could not be started", { error: toDaemonError(error).message });
    } finally {
      this.working = false;
    }
  }

  private async boot(profile: SpareProfile, fingerprint: string): Promise<void> {
    const { members, start, initialize, settle } = this.deps;
    const member = start(profile.need, profile.initialize ? "busy" : "booting", profile);
    member.fingerprint = fingerprint;
    if (profile.initialize) {
      await initialize(member, profile.need).catch((error: unknown) => {
        void members.end(member);
        throw error;
      });
      if (member.state === "busy") settle(member);
      return;
    }
    // A process says nothing when it has booted, but it answers then. It can be taken meanwhile, it is only not faster
    // yet; CLIs that refuse the question have booted too.
    await member.process.control("apply_flag_settings", { settings: {} }, BOOT_TIMEOUT_MS).catch(() => undefined);
    if (member.state === "booting") settle(member);
  }

  /** Whoever takes it meanwhile waits for that: 30 ms, of which its turn gets most back. */
  private async rehearse(member: Member): Promise<void> {
    // Else it could be stopped for want of use in the middle of it.
    member.usedAt = Date.now();
    member.rehearsal = rehearse(member.process).then(
      () => {
        this.failedRehearsals = 0;
        return true;
      },
      (error: unknown) => {
        // One that was ended meanwhile, because others needed its place, says nothing of the next.
        if (member.state !== "ended" && member.process.alive) {
          this.failedRehearsals += 1;
          this.deps.log.warn("a spare process could not rehearse", { error: toDaemonError(error).message });
        }
        void this.deps.members.end(member);
        return false;
      },
    );
    await member.rehearsal;
  }
}

function isFree({ state, process }: Member): boolean {
  return (state === "spare" || state === "booting") && process.alive;
}

/** An agent's would stand in its session's file, and hooks would see it. */
function canRehearse({ answer, rehearsal, process }: Member): boolean {
  const { launch, features } = process;
  return answer !== undefined && rehearsal === undefined && launch.kind === "chat" && features.rewindsConversations;
}
