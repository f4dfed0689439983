/**
 * One session: its turns one after the other, at most one claude process, and the truth about both. The process may go
 * at any time (evicted, crashed, the daemon restarted): the next turn resumes claude's own session in a new one.
 *
 * A turn is carried out whether or not anybody reads it; its end is stored before anybody is told of it.
 */
import type { ClaudeProcess } from "../claude/transport.ts";
import { DaemonError, toDaemonError } from "../errors.ts";
import type { SessionRecord } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { ClientResultBlock, UserBlock } from "../turn/message.ts";
import type { PermissionMode } from "../turn/request.ts";
import type { AgentSession, OpenConversation, SessionStatus, SessionTurn, SubmittedTurn } from "./agent-sessions.ts";
import type { PartOptions, PartOutcome, StartKind, Turn, TurnInput, TurnOptions } from "./contracts.ts";
import type { Hub } from "./hub.ts";
import type { MetricsRecorder } from "./metrics.ts";
import type { SessionPermissions } from "./permissions.ts";
import { assertAccepts, createJob, follow, type Job, partOf, storeEnd } from "./session-job.ts";
import { SessionProcess, type SessionProcessDeps } from "./session-process.ts";
import { exhaust, type PartReader, readPart } from "./session-reading.ts";
import { TurnLine } from "./turn-line.ts";

export interface SessionDeps extends SessionProcessDeps {
  store: Store;
  /** `runTurn` of turn.ts. */
  runTurn(process: ClaudeProcess, input: TurnInput, options: TurnOptions): Turn;
  /** The config allows bypassPermissions. */
  bypassAllowed: boolean;
  stallTimeoutMs: number;
  /** False while the daemon drains. */
  accepting(): boolean;
  /** Told of turns and their first tokens; those that a stateless request reads have their first token told by it. */
  metrics?: MetricsRecorder;
  now(): number;
}

export class Session implements AgentSession {
  private readonly line = new TurnLine();
  private readonly own: SessionProcess;
  private readonly reader: PartReader = {
    observe: (job, turn, event) => this.observe(job, turn, event),
    failed: (job, error) => this.failed(job, error),
  };
  private current: Job | undefined;
  private readonly jobs = new Map<string, Job>();
  private lastOutcome: PartOutcome | undefined;

  constructor(
    private readonly deps: SessionDeps,
    readonly record: SessionRecord,
    readonly hub: Hub,
    readonly permissions: SessionPermissions,
    start?: OpenConversation["start"],
  ) {
    this.own = new SessionProcess(deps, record, start);
  }

  get id(): string {
    return this.record.id;
  }

  get status(): SessionStatus {
    if (this.record.closedAt !== undefined) return "closed";
    const { current } = this;
    if (current?.paused) return "waiting_tool";
    if (current && current.journal.openPrompts > 0) return "waiting_permission";
    return this.jobs.size > 0 ? "running" : "idle";
  }

  get process(): "live" | "none" {
    return this.own.state;
  }

  get startKind(): StartKind | undefined {
    return this.own.startKind;
  }

  get outcome(): PartOutcome | undefined {
    return this.lastOutcome;
  }

  get waiting(): readonly string[] {
    return this.current?.paused ? (this.current.turn?.waiting ?? []) : [];
  }

  async *turn(input: SessionTurn): AsyncGenerator<TurnEvent, void, undefined> {
    yield* this.carryOut(this.accept(input));
  }

  submit(input: SessionTurn): SubmittedTurn {
    const job = this.accept(input);
    const { metrics } = this.deps;
    const askedAt = performance.now();
    // One that waits for turns before it says nothing about how fast claude is.
    const waits = job.entry.position > 0;
    metrics?.turnStarted();
    void job.done.then((record) => metrics?.turnEnded(record.error?.code ?? record.reason ?? record.status));
    void exhaust(this.carryOut(job), () => {
      if (this.startKind && !waits) metrics?.firstTokenAfter(this.startKind, (performance.now() - askedAt) / 1000);
    });
    return { turnId: job.journal.record.id, done: job.done };
  }

  async *continue(
    results: ClientResultBlock[],
    more: UserBlock[],
    part: Partial<PartOptions>,
  ): AsyncGenerator<TurnEvent, void, undefined> {
    const job = this.current;
    const { turn } = job ?? {};
    const known = turn !== undefined && results.every((result) => turn.waiting.includes(result.callId));
    if (!job?.paused || !turn || !known || !this.own.takeBack()) {
      throw new DaemonError("invalid_request", "No turn of this session waits for the results of these calls.");
    }
    job.paused = false;
    const { signal } = part;
    if (signal) follow(job, signal);
    turn.continue(results, more, { ...partOf(job), ...part, signal: job.abort.signal });
    yield* readPart(this.reader, job, turn);
  }

  /** Settles when no turn runs or waits. */
  async quiet(): Promise<void> {
    await Promise.all([...this.jobs.values()].map((job) => job.done));
  }

  /** Whether that turn runs or waits; without an id, whether one does. */
  isRunning(turnId?: string): boolean {
    return turnId === undefined ? this.jobs.size > 0 : this.jobs.has(turnId);
  }

  async interrupt(turnId?: string): Promise<boolean> {
    const job = turnId === undefined ? this.current : this.jobs.get(turnId);
    if (!job) return false;
    job.abort.abort();
    if (job.paused) await job.turn?.interrupt();
    await job.done;
    return true;
  }

  /** The mode that a person chose with an answer, or that the client set: it holds from here on. */
  setPermissionMode(mode: PermissionMode): void {
    this.record.permissionMode = mode;
    this.own.modeChanged(mode);
    this.deps.store.sessions.put(this.record);
  }

  /** Ends what runs and the process; the session can be resumed later. `closed`: it is over for good. */
  async close(closed: boolean): Promise<void> {
    if (closed && this.record.closedAt === undefined) this.record.closedAt = this.deps.now();
    this.line.refuseAll(new DaemonError("interrupted", "The session was closed before the turn began."));
    await this.interrupt();
    await this.own.end();
    if (closed) {
      this.hub.publish({ type: "session_closed" });
      this.deps.store.sessions.put(this.record);
    }
    this.hub.close();
    await this.deps.store.flush().catch((error: unknown) => this.notStored(error));
  }

  /** Takes a place in the line. Throws before anything is stored where the turn cannot be accepted. */
  private accept(input: SessionTurn): Job {
    const { record, deps } = this;
    assertAccepts(record, input, deps);
    // Whoever goes on without the results of the calls has given that turn up.
    if (this.current?.paused) void this.interrupt(this.current.journal.record.id);
    const abort = new AbortController();
    const entry = this.line.join(abort.signal);
    const job = createJob(record, input, { entry, abort, now: deps.now() });
    const { journal } = job;
    this.jobs.set(journal.record.id, job);
    follow(job, input.signal);
    deps.store.sessions.put(record);
    deps.store.turns.put(journal.record);
    if (entry.position > 0) this.hub.publish(journal.queued(entry.position));
    return job;
  }

  private async *carryOut(job: Job): AsyncGenerator<TurnEvent, void, undefined> {
    let turn: Turn;
    try {
      await job.entry.entered;
      this.current = job;
      turn = await this.begin(job);
    } catch (error) {
      await this.failed(job, error);
      throw toDaemonError(error);
    }
    yield* readPart(this.reader, job, turn);
  }

  private async observe(job: Job, turn: Turn, event: TurnEvent): Promise<void> {
    if (event.type !== "turn-end") {
      const seen = job.journal.read(event);
      if (seen) this.hub.publish(seen);
      return;
    }
    this.lastOutcome = turn.outcome;
    if (event.reason.unified === "tool-calls") {
      job.journal.paused(event);
      job.paused = true;
      this.own.rest({ waiting: true });
      // The pool may end the process while it waits: then nobody can go on with this turn.
      void turn.settled.then(() => {
        if (job.paused) void this.failed(job, new DaemonError("interrupted", "The results of the calls never came."));
      });
      return;
    }
    const ended = job.journal.ended(event, this.deps.now());
    this.deps.metrics?.turnFinished(job.journal.record.costUsd);
    await this.finished(job, ended);
  }

  private async failed(job: Job, error: unknown): Promise<void> {
    if (job.over) return;
    // Also what fails has changed files, and can be undone.
    const filesChanged = job.turn === undefined ? undefined : await job.changes?.changes();
    await this.finished(job, job.journal.failed(toDaemonError(error), filesChanged, this.deps.now()));
  }

  /** Stores the end, then tells it, then makes room for the next turn once claude is quiet. */
  private async finished(job: Job, event: Parameters<Hub["publish"]>[0]): Promise<void> {
    if (job.over) return;
    job.over = true;
    job.paused = false;
    const { record, deps } = this;
    this.noteOutcome(job.turn?.outcome);
    storeEnd(deps.store, record, job, deps.now());
    await this.hub.publishDurably(event, () => deps.store.flush()).catch((error: unknown) => this.notStored(error));
    job.changes?.close();
    this.jobs.delete(job.journal.record.id);
    void this.wound(job);
  }

  private async wound(job: Job): Promise<void> {
    const outcome = await job.turn?.settled;
    this.noteOutcome(outcome);
    if (this.current === job) {
      this.current = undefined;
      if (outcome?.state === "gone") this.own.forget();
      else this.own.rest();
    }
    job.entry.leave();
    job.settle(job.journal.record);
  }

  private noteOutcome(outcome: PartOutcome | undefined): void {
    if (!outcome) return;
    this.lastOutcome = outcome;
    if (outcome.claudeSessionId !== undefined) this.noteClaudeSession(outcome.claudeSessionId);
  }

  private noteClaudeSession(claudeSessionId: string): void {
    const { record } = this;
    this.own.begun();
    if (record.claudeSessionId === claudeSessionId && !record.forkPending) return;
    record.claudeSessionId = claudeSessionId;
    record.forkPending = false;
    this.deps.store.sessions.put(record);
  }

  private notStored(error: unknown): void {
    this.deps.log.error("the end of a turn could not be stored", { session: this.id, problem: String(error) });
    this.hub.publish({ type: "notice", code: "not_stored", text: toDaemonError(error).message });
  }

  private async begin(job: Job): Promise<Turn> {
    const { deps } = this;
    const { input } = job;
    const lease = await this.own.take(input, job.abort.signal);
    const changes = deps.changes?.begin({ turnId: job.journal.record.id, workspace: this.record.workspace });
    job.changes = changes;
    this.hub.publish(job.journal.started(deps.now()));
    deps.store.turns.put(job.journal.record);
    const turn = deps.runTurn(
      lease.process,
      { content: input.content, verbatim: input.verbatim, early: lease.early },
      {
        ...partOf(job),
        turnId: job.journal.record.id,
        sessionId: this.id,
        model: input.model ?? this.record.model,
        clientTools: (input.clientTools ?? []).map((tool) => tool.name),
        structuredOutput: input.jsonSchema !== undefined,
        permissions: this.permissions,
        begun: (claudeSessionId) => this.noteClaudeSession(claudeSessionId),
        changes,
        stallTimeoutMs: deps.stallTimeoutMs,
      },
    );
    job.turn = turn;
    return turn;
  }
}
