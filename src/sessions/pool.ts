/**
 * The processes we keep: spares booted ahead of need, busy ones, and idle ones that wait for their conversation.
 *
 * Invariant: a process that was ever handed out belongs to its conversation, and to those that begin as it did
 * (conversations.ts), until it ends. Spares are processes that no client has prompted, so a conversation that begins anew
 * cannot meet a trace of another.
 */
import { availableParallelism } from "node:os";
import type { ClaudeProcess, InitializeResult, LaunchOptions } from "../claude/transport.ts";
import { DaemonError, toDaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Lease, PoolStatus, ProcessNeed, ProcessSource, RestOptions, StartKind } from "./contracts.ts";
import { endIfLarge, isStale, keepHouse } from "./housekeeping.ts";
import { type Member, Members, recorder } from "./members.ts";
import { EXPECTED_MEMORY_BYTES, type PoolOptions } from "./pool-options.ts";
import { BootGate, WaitingLine } from "./queue.ts";
import { REFILL_QUIET_MS, SpareKeeper, UNASKED_PROFILE } from "./spare-keeper.ts";
import { initializeKey, launchKey, RecentProfiles, type SpareProfile } from "./spares.ts";

export interface PoolDeps {
  spawn(launch: LaunchOptions): ClaudeProcess;
  /** What a chat process is launched with: the base of the spares. */
  chatLaunch: LaunchOptions;
  /** Every `initialize` answer, for the model catalog. */
  initialized(answer: InitializeResult): void;
  /**
   * Everything an agent process reads when it boots, as one string; undefined where no process may be booted ahead of
   * need (untrusted, SessionStart hooks). A spare is used only while this is unchanged.
   */
  fingerprint(launch: LaunchOptions): Promise<string | undefined>;
  log: Logger;
}

/** When a process that has done its turn is weighed: the answer is out by then, the next turn hardly there. */
const WEIGH_AFTER_MS = 5;
/** Weight of the newest turn in the estimate of how long a place stays taken. */
const BUSY_ESTIMATE_WEIGHT = 0.2;

export class Pool implements ProcessSource {
  private readonly members: Members;
  /** Places promised to those who are about to start a process. */
  private reserved = 0;
  private readonly line: WaitingLine;
  private readonly boots: BootGate;
  private readonly recent: RecentProfiles;
  private hits = 0;
  private misses = 0;
  private busyEstimateMs = 5_000;
  private housekeeping: Timer | undefined;
  private readonly keeper: SpareKeeper;
  private closed = false;

  constructor(
    private readonly deps: PoolDeps,
    private readonly options: PoolOptions,
  ) {
    const { queueLimit, queueWaitMs, chatSpares, profileSpares, recentMs } = options;
    this.line = new WaitingLine({ limit: queueLimit, waitMs: queueWaitMs }, () => this.busyEstimateMs / options.limit);
    this.boots = new BootGate(options.bootsAtOnce ?? availableParallelism() + 1);
    this.recent = new RecentProfiles({ chatSpares, profileSpares, recentMs });
    this.members = new Members(options, () => this.freed());
    this.keeper = new SpareKeeper({
      members: this.members,
      recent: this.recent,
      chatLaunch: deps.chatLaunch,
      fingerprint: deps.fingerprint,
      pressed: () => this.pressed,
      reserved: () => this.reserved,
      start: (need, state, profile) => this.start(need, state, profile),
      initialize: (member, need) => this.initialize(member, need),
      settle: (member) => this.settle(member, "spare"),
      log: deps.log,
    });
  }

  /** Boots the first spares; returns at once. */
  warm(): void {
    this.keeper.schedule(0);
  }

  async acquire(need: ProcessNeed, signal: AbortSignal): Promise<Lease> {
    this.refuseIfClosed();
    if (signal.aborted) throw gone();
    this.recent.note(need, Date.now());
    const lease = await this.obtain(need, signal);
    // Counted here: that claude is asked for its models says nothing about conversations.
    if (lease.start === "spare" || lease.start === "profile") this.hits += 1;
    else this.misses += 1;
    return lease;
  }

  private async obtain(need: ProcessNeed, signal: AbortSignal): Promise<Lease> {
    this.keeper.schedule(REFILL_QUIET_MS);
    const spare = await this.keeper.take(need);
    if (spare) {
      const start = spare.answer ? "profile" : "spare";
      try {
        return await this.handOver(spare, need, start);
      } catch (error) {
        // A spare that died in its sleep is not the request's problem: start a fresh one.
        this.deps.log.warn("a spare process failed", { error: toDaemonError(error).message });
        void this.members.end(spare);
      }
    }
    await this.reserve(signal);
    let member: Member;
    let booted: (() => void) | undefined;
    try {
      booted = await this.boots.enter(signal);
      this.refuseIfClosed();
      member = this.start(need, "busy", undefined);
    } catch (error) {
      booted?.();
      throw error;
    } finally {
      this.reserved -= 1;
    }
    try {
      return await this.handOver(member, need, need.launch.resume ? "resume" : "cold");
    } catch (error) {
      void this.members.end(member);
      throw error;
    } finally {
      booted();
      this.keeper.schedule(REFILL_QUIET_MS);
    }
  }

  /** An `initialize` answer, from a process that is there or one that then stays as a spare. */
  async describe(): Promise<InitializeResult> {
    for (const member of this.members) if (member.answer) return member.answer;
    const lease = await this.obtain(
      { launch: this.deps.chatLaunch, initialize: { systemPrompt: "" } },
      new AbortController().signal,
    );
    const member = [...this.members].find((entry) => entry.process === lease.process);
    if (member) {
      // Nobody has prompted it: it stays, for a conversation without a system prompt.
      member.profile = UNASKED_PROFILE;
      this.settle(member, "spare");
    }
    return lease.initialized;
  }

  status(): PoolStatus {
    return {
      live: this.members.size,
      busy: this.members.count("busy"),
      idle: this.members.count("idle", "waiting"),
      spare: this.members.count("spare", "booting"),
      limit: this.options.limit,
      rssBytes: this.members.measure(),
      queue: { waiting: this.line.waiting, limit: this.line.limit },
      hits: this.hits,
      misses: this.misses,
      evictions: this.members.evictions(),
    };
  }

  /** Refuses everything from now on and ends every process, whatever it does. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.housekeeping);
    this.keeper.close();
    this.line.refuseAll(stopping());
    await Promise.all([...this.members].map((member) => this.members.end(member, { now: true })));
  }

  private refuseIfClosed(): void {
    if (this.closed) throw stopping();
  }

  private async handOver(member: Member, need: ProcessNeed, start: StartKind): Promise<Lease> {
    member.process.wake();
    if (!member.answer) await this.initialize(member, need);
    if (member.model !== need.launch.model) {
      await member.process.setModel(need.launch.model ?? "default");
      member.model = need.launch.model;
    }
    member.usedAt = Date.now();
    if (!member.answer) throw new DaemonError("internal", "claude was not initialized.");
    return this.leaseOf(member, start, member.answer);
  }

  private leaseOf(member: Member, start: StartKind, initialized: InitializeResult): Lease {
    return {
      process: member.process,
      start,
      initialized,
      early: member.early,
      take: () => {
        if (!member.process.alive || (member.state !== "idle" && member.state !== "waiting")) return false;
        if (isStale(member, this.options, Date.now())) {
          void this.members.end(member, { reason: "stale" });
          return false;
        }
        member.state = "busy";
        member.usedAt = Date.now();
        member.process.wake();
        return true;
      },
      rest: (options?: RestOptions) => {
        if (member.state !== "busy") return;
        const busyMs = Date.now() - member.usedAt;
        this.busyEstimateMs += (busyMs - this.busyEstimateMs) * BUSY_ESTIMATE_WEIGHT;
        this.settle(member, options?.waiting ? "waiting" : "idle");
      },
      end: () => this.members.end(member),
    };
  }

  private settle(member: Member, state: "idle" | "waiting" | "spare"): void {
    member.state = state;
    member.usedAt = Date.now();
    const weigh = () => endIfLarge(member, this.members, this.options, this.deps.log);
    setTimeout(weigh, WEIGH_AFTER_MS).unref();
    // About a second after a turn the CLI collects its garbage, 0.13 s of a core: not while others wait for that core.
    member.heldBack = state !== "spare" && this.pressed;
    if (member.heldBack) member.process.suspend();
    const [longest, ...others] = this.members.ranked("waiting");
    if (longest && others.length >= this.options.waitingLimit) void this.members.end(longest, { reason: "waiting" });
    this.letIn();
  }

  private async initialize(member: Member, need: ProcessNeed): Promise<void> {
    if (member.process.launch.answerInterrupted) member.process.listen(recorder(member.early));
    member.initializeKey = initializeKey(need);
    member.answer = await member.process.initialize(need.initialize);
    this.deps.initialized(member.answer);
  }

  private start(need: ProcessNeed, state: "booting" | "busy", profile: SpareProfile | undefined): Member {
    const process = this.deps.spawn(need.launch);
    const member: Member = {
      process,
      state,
      launchKey: launchKey(need),
      model: need.launch.model,
      initializeKey: undefined,
      answer: undefined,
      profile: profile?.key,
      fingerprint: undefined,
      usedAt: Date.now(),
      memoryBytes: EXPECTED_MEMORY_BYTES,
      heldBack: false,
      early: [],
    };
    this.members.add(member);
    this.housekeeping ??= setInterval(() => {
      keepHouse(
        { members: this.members, options: this.options, pressed: () => this.pressed, log: this.deps.log },
        Date.now(),
      );
      this.keeper.schedule(REFILL_QUIET_MS);
    }, this.options.housekeepingMs).unref();
    return member;
  }

  private freed(): void {
    if (this.members.size === 0) {
      clearInterval(this.housekeeping);
      this.housekeeping = undefined;
    }
    this.letIn();
  }

  /** Settles with a place reserved: at once, after evicting, or after waiting in line. */
  private async reserve(signal: AbortSignal): Promise<void> {
    if (this.line.waiting > 0 || !this.members.makeRoom(this.reserved, true)) await this.line.wait(signal);
    else this.reserved += 1;
  }

  private letIn(): void {
    while (this.line.waiting > 0 && this.members.makeRoom(this.reserved, true)) {
      this.reserved += 1;
      this.line.grantNext();
    }
  }

  /** Processes boot for requests, or requests wait for a place. */
  private get pressed(): boolean {
    return !this.boots.idle || this.line.waiting > 0;
  }
}

function gone(): DaemonError {
  return new DaemonError("interrupted", "The client went away before a claude process was free.");
}

function stopping(): DaemonError {
  return new DaemonError("overloaded", "The daemon is stopping. Try again when it has started again.", {
    detail: { retryAfterSeconds: 5 },
  });
}
