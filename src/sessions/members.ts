/** The pool's processes: what each is doing, what it weighs, and how it goes. */
import type { ClaudeProcess, InitializeResult, ProcessListener } from "../claude/transport.ts";
import type { DaemonError } from "../errors.ts";
import { EVICTION_REASONS, type EvictionReason } from "./contracts.ts";
import { EXPECTED_MEMORY_BYTES, type PoolOptions } from "./pool-options.ts";
import { ownMemoryBytes } from "./process-memory.ts";

export type MemberState = "booting" | "spare" | "busy" | "idle" | "waiting" | "ended";

export interface Member {
  process: ClaudeProcess;
  state: MemberState;
  launchKey: string;
  model: string | undefined;
  /** Undefined until it is initialized. */
  initializeKey: string | undefined;
  answer: InitializeResult | undefined;
  /** It has carried out a turn ahead of need (claude/rewind.ts), or is about to: false where that failed. */
  rehearsal?: Promise<boolean>;
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

export interface EndOptions {
  /** Counted, where it is the pool's decision and not its conversation's. */
  reason?: EvictionReason;
  /** What a turn that runs on it fails with. */
  failure?: DaemonError;
  now?: boolean;
}

export class Members {
  private readonly all = new Set<Member>();
  private readonly evicted = new Map<EvictionReason, number>();

  constructor(
    private readonly options: Pick<PoolOptions, "limit" | "memoryLimitBytes">,
    /** A place has become free. */
    private readonly freed: () => void,
  ) {}

  get size(): number {
    return this.all.size;
  }

  [Symbol.iterator](): Iterator<Member> {
    return [...this.all][Symbol.iterator]();
  }

  add(member: Member): void {
    this.all.add(member);
    void member.process.exited.then(() => this.forget(member));
  }

  /** In these states, the least recently used first. */
  ranked(...states: MemberState[]): Member[] {
    return [...this.all]
      .filter((member) => states.includes(member.state))
      .sort((left, right) => left.usedAt - right.usedAt);
  }

  count(...states: MemberState[]): number {
    let count = 0;
    for (const member of this.all) if (states.includes(member.state)) count += 1;
    return count;
  }

  /** Its place is free at once; the process itself may take a moment to go. */
  async end(member: Member, options: EndOptions = {}): Promise<void> {
    const { state } = member;
    this.note(state, options.reason);
    this.forget(member);
    await stop(member.process, state, options);
  }

  /** Whether one more fits beside those and `reserved` others that are about to start. */
  hasRoom(reserved: number): boolean {
    if (this.all.size + reserved >= this.options.limit) return false;
    let bytes = (reserved + 1) * EXPECTED_MEMORY_BYTES;
    for (const member of this.all) bytes += member.memoryBytes;
    return bytes <= this.options.memoryLimitBytes || this.all.size + reserved === 0;
  }

  /** Least recently used idle processes go first, then spares, then those that wait for client results. */
  makeRoom(reserved: number, mayEvictSpares: boolean): boolean {
    while (!this.hasRoom(reserved)) {
      const victim = mayEvictSpares
        ? [...this.ranked("idle"), ...this.ranked("spare", "booting"), ...this.ranked("waiting")][0]
        : this.ranked("idle")[0];
      if (!victim) return false;
      // Not through `end`: that would let others in before the place is counted as the caller's.
      const { state } = victim;
      this.note(state, "limit");
      victim.state = "ended";
      this.all.delete(victim);
      void stop(victim.process, state, {});
    }
    return true;
  }

  /** Own memory of all of them, measured now. */
  measure(): number {
    let total = 0;
    for (const member of this.all) total += weigh(member);
    return total;
  }

  /** Every reason, also those that did not occur. */
  evictions(): Record<EvictionReason, number> {
    return Object.fromEntries(EVICTION_REASONS.map((reason) => [reason, this.evicted.get(reason) ?? 0])) as Record<
      EvictionReason,
      number
    >;
  }

  private note(state: MemberState, reason: EvictionReason | undefined): void {
    if (reason !== undefined && state !== "ended") this.evicted.set(reason, (this.evicted.get(reason) ?? 0) + 1);
  }

  private forget(member: Member): void {
    member.state = "ended";
    this.all.delete(member);
    this.freed();
  }
}

/** One small read from /proc. */
export function weigh(member: Member): number {
  member.memoryBytes = ownMemoryBytes(member.process.pid) ?? member.memoryBytes;
  return member.memoryBytes;
}

/**
 * At EOF a process that waits for client results would call them failed and ask the model again: its turn is ended first.
 * One that works would go on to the end of its turn.
 */
async function stop(process: ClaudeProcess, state: MemberState, { now, failure }: EndOptions): Promise<void> {
  if (state === "waiting" && !now) await process.interrupt().catch(() => undefined);
  await process.close({ now: now === true || state === "busy", ...(failure && { failure }) });
}

/** Between `initialize` and the turn's own listener; a few lines at most, the model has hardly been asked. */
export function recorder(early: Member["early"]): ProcessListener {
  return {
    message: (message) => void early.push((listener) => listener.message(message)),
    clientCall: (call) => void early.push((listener) => listener.clientCall(call)),
    permission: (prompt) => void early.push((listener) => listener.permission(prompt)),
    cancelled: (id) => void early.push((listener) => listener.cancelled(id)),
    beforeEdit: async () => {},
    exited: (report) => void early.push((listener) => listener.exited(report)),
  };
}
