/**
 * The processes we keep: spares booted ahead of need, busy ones, and idle ones that wait for their conversation.
 *
 * Invariant: a process that was ever handed out belongs to that conversation until it ends. Only processes nobody has
 * prompted are spares, so no conversation can meet a trace of another.
 *
 * Over 300 lines: the life of a process is one state machine, and every way out of a state must free its place.
 */
import { availableParallelism } from "node:os";
import type {
  ClaudeProcess,
  InitializeOptions,
  InitializeResult,
  LaunchOptions,
  ProcessListener,
} from "../claude/transport.ts";
import { DaemonError, toDaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Lease, PoolStatus, ProcessNeed, ProcessSource, RestOptions, StartKind } from "./contracts.ts";
import { ownMemoryBytes } from "./process-memory.ts";
import { BootGate, WaitingLine } from "./queue.ts";
import { canUseSpare, initializeKey, launchKey, RecentProfiles, type SpareProfile } from "./spares.ts";

export interface PoolOptions {
  /** Processes alive at once, spares included. */
  limit: number;
  /** Own memory of all processes together. */
  memoryLimitBytes: number;
  /** Own memory of one process: above it, it is ended when its turn is over (at twice that, at once). */
  processMemoryCapBytes: number;
  queueLimit: number;
  queueWaitMs: number;
  /** An idle process is ended after this long; one that waits for client results after `waitingEvictionMs`. */
  idleEvictionMs: number;
  waitingEvictionMs: number;
  /** Processes that wait for client results, at most; the longest waiting is ended first. */
  waitingLimit: number;
  /** Unused processes are stopped (no CPU) after this long. */
  suspendAfterMs: number;
  chatSpares: number;
  profileSpares: number;
  recentMs: number;
  /** Processes that boot at the same time, for requests; by default one more than there are cores. */
  bootsAtOnce?: number;
  /** How often idle processes are looked after. */
  housekeepingMs: number;
}

export const DEFAULT_POOL_OPTIONS: Omit<PoolOptions, "limit" | "memoryLimitBytes"> = {
  processMemoryCapBytes: 1024 * 1024 * 1024,
  queueLimit: 64,
  queueWaitMs: 60_000,
  idleEvictionMs: 30 * 60_000,
  waitingEvictionMs: 30 * 60_000,
  waitingLimit: 16,
  suspendAfterMs: 20_000,
  chatSpares: 1,
  profileSpares: 2,
  recentMs: 60 * 60_000,
  housekeepingMs: 5_000,
};

/** At most a quarter of the machine's memory at 250 MB a process, between 4 and 32 (design.md 3). */
export function defaultProcessLimits(totalMemoryBytes: number): Pick<PoolOptions, "limit" | "memoryLimitBytes"> {
  const quarter = totalMemoryBytes / 4;
  const limit = Math.min(32, Math.max(4, Math.floor(quarter / 250_000_000)));
  return { limit, memoryLimitBytes: Math.max(quarter, limit * EXPECTED_MEMORY_BYTES) };
}

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

type MemberState = "booting" | "spare" | "busy" | "idle" | "waiting" | "ended";

interface Member {
  process: ClaudeProcess;
  state: MemberState;
  launchKey: string;
  model: string | undefined;
  /** Undefined until it is initialized. */
  initializeKey: string | undefined;
  answer: InitializeResult | undefined;
  /** What it was booted ahead of need for. */
  profile: string | undefined;
  fingerprint: string | undefined;
  usedAt: number;
  memoryBytes: number;
  /** Stopped right after its turn, because others need the processor. */
  heldBack: boolean;
  /** What it said before its turn listens (`Lease.early`). */
  early: ((listener: ProcessListener) => void)[];
}

/** Until it is measured. */
const EXPECTED_MEMORY_BYTES = 140_000_000;
/** The process that told what models there are. */
const UNASKED_PROFILE = "described";
/** Spares are booted when no process was asked for during this time: the request goes first. */
const REFILL_QUIET_MS = 150;
/** When a process that has done its turn is weighed: the answer is out by then, the next turn hardly there. */
const WEIGH_AFTER_MS = 5;
/** Longest wait for a spare to boot before the next is started. */
const BOOT_TIMEOUT_MS = 10_000;
/** Weight of the newest turn in the estimate of how long a place stays taken. */
const BUSY_ESTIMATE_WEIGHT = 0.2;

export class Pool implements ProcessSource {
  private readonly members = new Set<Member>();
  /** Places promised to those who are about to start a process. */
  private reserved = 0;
  private readonly line: WaitingLine;
  private readonly boots: BootGate;
  private readonly recent: RecentProfiles;
  private hits = 0;
  private misses = 0;
  private busyEstimateMs = 5_000;
  private housekeeping: Timer | undefined;
  private refillTimer: Timer | undefined;
  private refilling = false;
  private closed = false;

  constructor(
    private readonly deps: PoolDeps,
    private readonly options: PoolOptions,
  ) {
    const { queueLimit, queueWaitMs, chatSpares, profileSpares, recentMs } = options;
    this.line = new WaitingLine({ limit: queueLimit, waitMs: queueWaitMs }, () => this.busyEstimateMs / options.limit);
    this.boots = new BootGate(options.bootsAtOnce ?? availableParallelism() + 1);
    this.recent = new RecentProfiles({ chatSpares, profileSpares, recentMs });
  }

  /** Boots the first spares; returns at once. */
  warm(): void {
    this.scheduleRefill(0);
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
    this.scheduleRefill(REFILL_QUIET_MS);
    const spare = await this.takeSpare(need);
    if (spare) {
      const start = spare.answer ? "profile" : "spare";
      try {
        return await this.handOver(spare, need, start);
      } catch (error) {
        // A spare that died in its sleep is not the request's problem: start a fresh one.
        this.deps.log.warn("a spare process failed", { error: toDaemonError(error).message });
        void this.end(spare);
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
      void this.end(member);
      throw error;
    } finally {
      booted();
      this.scheduleRefill(REFILL_QUIET_MS);
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
    const count = (...states: MemberState[]) => [...this.members].filter((one) => states.includes(one.state)).length;
    return {
      live: this.members.size,
      busy: count("busy"),
      idle: count("idle", "waiting"),
      spare: count("spare", "booting"),
      limit: this.options.limit,
      rssBytes: this.measure(),
      queue: { waiting: this.line.waiting, limit: this.line.limit },
      hits: this.hits,
      misses: this.misses,
    };
  }

  /** Refuses everything from now on and ends every process, whatever it does. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.housekeeping);
    clearTimeout(this.refillTimer);
    this.line.refuseAll(stopping());
    await Promise.all([...this.members].map((member) => this.end(member, true)));
  }

  private refuseIfClosed(): void {
    if (this.closed) throw stopping();
  }

  /** The fastest spare that serves this need, taken out of the spares at once; checked against what it has read. */
  private async takeSpare(need: ProcessNeed): Promise<Member | undefined> {
    if (!canUseSpare(need)) return undefined;
    const launch = launchKey(need);
    const initialize = initializeKey(need);
    const fitting = [...this.members].filter(
      (member) =>
        (member.state === "spare" || member.state === "booting") &&
        member.process.alive &&
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
    if (usable.length === 0) for (const member of fitting) void this.end(member);
    for (const member of usable) {
      member.state = "busy";
      if (need.launch.kind === "chat") return member;
      if (member.fingerprint === (await this.deps.fingerprint(need.launch))) return member;
      void this.end(member);
    }
    return undefined;
  }

  private async handOver(member: Member, need: ProcessNeed, start: StartKind): Promise<Lease> {
    member.process.wake();
    if (!member.answer) await this.initialize(member, need.initialize);
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
      end: () => this.end(member),
    };
  }

  private settle(member: Member, state: "idle" | "waiting" | "spare"): void {
    member.state = state;
    member.usedAt = Date.now();
    setTimeout(() => this.weigh(member), WEIGH_AFTER_MS).unref();
    // About a second after a turn the CLI collects its garbage, 0.13 s of a core: not while others wait for that core.
    member.heldBack = state !== "spare" && this.pressed;
    if (member.heldBack) member.process.suspend();
    const waiting = this.ranked("waiting");
    if (waiting.length > this.options.waitingLimit && waiting[0]) void this.end(waiting[0]);
    this.letIn();
  }

  /** Not in `settle`: the last bytes of an answer wait for that. */
  private weigh(member: Member): void {
    if (member.state === "busy" || member.state === "ended") return;
    member.memoryBytes = ownMemoryBytes(member.process.pid) ?? member.memoryBytes;
    if (member.memoryBytes <= this.options.processMemoryCapBytes) return;
    this.deps.log.warn("a claude process outgrew its memory cap and is ended", { pid: member.process.pid });
    void this.end(member);
  }

  private async initialize(member: Member, options: InitializeOptions): Promise<void> {
    if (member.process.launch.answerInterrupted) member.process.listen(recorder(member.early));
    member.initializeKey = initializeKey({ launch: member.process.launch, initialize: options });
    member.answer = await member.process.initialize(options);
    this.deps.initialized(member.answer);
  }

  private start(need: ProcessNeed, state: MemberState, profile: SpareProfile | undefined): Member {
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
    void process.exited.then(() => this.forget(member));
    this.housekeeping ??= setInterval(() => this.keepHouse(), this.options.housekeepingMs).unref();
    return member;
  }

  private forget(member: Member): void {
    member.state = "ended";
    this.members.delete(member);
    if (this.members.size === 0) {
      clearInterval(this.housekeeping);
      this.housekeeping = undefined;
    }
    this.letIn();
  }

  /** Its place is free at once; the process itself may take a moment to go. */
  private async end(member: Member, now = false): Promise<void> {
    const { state } = member;
    this.forget(member);
    await stop(member.process, state, now);
  }

  /** Settles with a place reserved: at once, after evicting, or after waiting in line. */
  private async reserve(signal: AbortSignal): Promise<void> {
    if (this.line.waiting > 0 || !this.makeRoom(true)) await this.line.wait(signal);
    else this.reserved += 1;
  }

  private letIn(): void {
    while (this.line.waiting > 0 && this.makeRoom(true)) {
      this.reserved += 1;
      this.line.grantNext();
    }
  }

  /** Processes boot for requests, or requests wait for a place. */
  private get pressed(): boolean {
    return !this.boots.idle || this.line.waiting > 0;
  }

  private hasRoom(): boolean {
    if (this.members.size + this.reserved >= this.options.limit) return false;
    let bytes = (this.reserved + 1) * EXPECTED_MEMORY_BYTES;
    for (const member of this.members) bytes += member.memoryBytes;
    return bytes <= this.options.memoryLimitBytes || this.members.size + this.reserved === 0;
  }

  /** Least recently used idle processes go first, then spares, then those that wait for client results. */
  private makeRoom(mayEvictSpares: boolean): boolean {
    while (!this.hasRoom()) {
      const victim = mayEvictSpares
        ? [...this.ranked("idle"), ...this.ranked("spare", "booting"), ...this.ranked("waiting")][0]
        : this.ranked("idle")[0];
      if (!victim) return false;
      // Not through `end`: that would let others in before the place is counted as ours.
      const { state } = victim;
      victim.state = "ended";
      this.members.delete(victim);
      void stop(victim.process, state, false);
    }
    return true;
  }

  private ranked(...states: MemberState[]): Member[] {
    return [...this.members]
      .filter((member) => states.includes(member.state))
      .sort((left, right) => left.usedAt - right.usedAt);
  }

  private measure(): number {
    let total = 0;
    for (const member of this.members) {
      member.memoryBytes = ownMemoryBytes(member.process.pid) ?? member.memoryBytes;
      total += member.memoryBytes;
    }
    return total;
  }

  private keepHouse(): void {
    const now = Date.now();
    const { idleEvictionMs, waitingEvictionMs, suspendAfterMs, processMemoryCapBytes } = this.options;
    for (const member of [...this.members]) {
      const unusedMs = now - member.usedAt;
      if (member.state === "idle" && unusedMs > idleEvictionMs) void this.end(member);
      else if (member.state === "waiting" && unusedMs > waitingEvictionMs) void this.end(member);
      else if (member.state === "busy") {
        member.memoryBytes = ownMemoryBytes(member.process.pid) ?? member.memoryBytes;
        if (member.memoryBytes > 2 * processMemoryCapBytes) {
          this.deps.log.error("a claude process is ended in its turn: it takes too much memory", {
            pid: member.process.pid,
          });
          void this.end(member);
        }
      } else if (unusedMs > suspendAfterMs && !member.process.suspended) member.process.suspend();
    }
    this.wakeHeldBack();
    this.scheduleRefill(REFILL_QUIET_MS);
  }

  /** What was stopped in a rush comes to its garbage when there is nothing else to do: one at a time, it costs a core. */
  private wakeHeldBack(): void {
    if (this.pressed || this.ranked("busy").length > 0) return;
    const member = this.ranked("idle", "waiting").find((entry) => entry.heldBack);
    if (!member) return;
    member.heldBack = false;
    member.process.wake();
  }

  private scheduleRefill(delayMs: number): void {
    if (this.closed) return;
    clearTimeout(this.refillTimer);
    this.refillTimer = setTimeout(() => void this.refill(), delayMs).unref();
  }

  /** Boots at most one spare; comes back for the next. */
  private async refill(): Promise<void> {
    if (this.refilling || this.closed || this.pressed) return;
    const chat: ProcessNeed = { launch: this.deps.chatLaunch, initialize: {} };
    const profiles = this.recent.wanted(Date.now(), chat);
    const wanted = new Set(profiles.map((profile) => profile.key));
    for (const spare of this.ranked("spare")) {
      if (!wanted.has(spare.profile ?? "") && spare.profile !== UNASKED_PROFILE) void this.end(spare);
    }
    const kept = new Set(this.ranked("spare", "booting").map((member) => member.profile));
    this.refilling = true;
    try {
      for (const profile of profiles) {
        if (kept.has(profile.key)) continue;
        const fingerprint =
          profile.need.launch.kind === "agent" ? await this.deps.fingerprint(profile.need.launch) : "";
        if (fingerprint === undefined) continue;
        // A spare for any chat is worth an idle process; one for a single profile only takes what is free.
        if (this.closed || !(profile.initialize ? this.hasRoom() : this.makeRoom(false))) continue;
        await this.bootSpare(profile, fingerprint);
        this.scheduleRefill(REFILL_QUIET_MS);
        return;
      }
    } catch (error) {
      this.deps.log.warn("a spare process could not be started", { error: toDaemonError(error).message });
    } finally {
      this.refilling = false;
    }
  }

  private async bootSpare(profile: SpareProfile, fingerprint: string): Promise<void> {
    const member = this.start(profile.need, "booting", profile);
    member.fingerprint = fingerprint;
    if (profile.initialize) {
      member.state = "busy";
      await this.initialize(member, profile.need.initialize).catch((error: unknown) => {
        void this.end(member);
        throw error;
      });
      if (member.state === "busy") this.settle(member, "spare");
      return;
    }
    // A process says nothing when it has booted, but it answers then. It can be taken meanwhile, it is only not faster
    // yet; CLIs that refuse the question have booted too.
    await member.process.control("apply_flag_settings", { settings: {} }, BOOT_TIMEOUT_MS).catch(() => undefined);
    if (member.state === "booting") this.settle(member, "spare");
  }
}

/**
 * At EOF a process that waits for client results would call them failed and ask the model again: its turn is ended first.
 * One that works would go on to the end of its turn.
 */
async function stop(process: ClaudeProcess, state: MemberState, now: boolean): Promise<void> {
  if (state === "waiting" && !now) await process.interrupt().catch(() => undefined);
  await process.close({ now: now || state === "busy" });
}

/** Between `initialize` and the turn's own listener; a few lines at most, the model has hardly been asked. */
function recorder(early: Member["early"]): ProcessListener {
  return {
    message: (message) => void early.push((listener) => listener.message(message)),
    clientCall: (call) => void early.push((listener) => listener.clientCall(call)),
    permission: (prompt) => void early.push((listener) => listener.permission(prompt)),
    cancelled: (id) => void early.push((listener) => listener.cancelled(id)),
    beforeEdit: async () => {},
    exited: (report) => void early.push((listener) => listener.exited(report)),
  };
}

function gone(): DaemonError {
  return new DaemonError("interrupted", "The client went away before a claude process was free.");
}

function stopping(): DaemonError {
  return new DaemonError("overloaded", "The daemon is stopping. Try again when it has started again.", {
    detail: { retryAfterSeconds: 5 },
  });
}
