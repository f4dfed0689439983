/**
 * One session: its turns one after the other, at most one claude process, and the truth about both. The process may go
 * at any time (evicted, crashed, the daemon restarted): the next turn resumes claude's own session in a new one.
 *
 * A turn is carried out whether or not anybody reads it; its end is stored before anybody is told of it.
 *
 * Over 300 lines: the life of a turn within its session, whose steps share one state.
 */
import type { ClaudeProcess, LaunchOptions } from "../claude/transport.ts";
import { DaemonError, toDaemonError } from "../errors.ts";
import { createId } from "../ids.ts";
import type { Logger } from "../log.ts";
import type { SessionRecord, TurnRecord } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { ClientResultBlock, UserBlock } from "../turn/message.ts";
import type { PermissionMode } from "../turn/request.ts";
import type { TurnChanges, WorkspaceChanges } from "../workspace/records.ts";
import type { AgentSession, OpenConversation, SessionStatus, SessionTurn, SubmittedTurn } from "./agent-sessions.ts";
import type {
  Lease,
  PartOptions,
  PartOutcome,
  ProcessNeed,
  ProcessSource,
  StartKind,
  Turn,
  TurnInput,
  TurnOptions,
} from "./contracts.ts";
import type { Hub } from "./hub.ts";
import { isFirstToken, type MetricsRecorder } from "./metrics.ts";
import { assertBypassAllowed, type SessionPermissions } from "./permissions.ts";
import type { TerminalSessions } from "./terminal.ts";
import { addUsage, TurnJournal } from "./turn-journal.ts";
import { type Entry, TurnLine } from "./turn-line.ts";

export interface SessionDeps {
  store: Store;
  processes: ProcessSource;
  /** `runTurn` of turn.ts. */
  runTurn(process: ClaudeProcess, input: TurnInput, options: TurnOptions): Turn;
  /** Undefined where nothing can tell what changed. */
  changes: WorkspaceChanges | undefined;
  /** The `--model` value of a session's model; undefined for claude's own choice. Throws `model_not_found`. */
  modelFlag(model: string): Promise<string | undefined>;
  /** Whether the workspace's own settings, hooks and MCP servers may run. */
  isTrusted(workspace: string): Promise<boolean>;
  /** Claude's own store of sessions. */
  terminal: Pick<TerminalSessions, "exists">;
  /** The config allows bypassPermissions. */
  bypassAllowed: boolean;
  /** Paths the agent's tools may never read. */
  denyPaths: string[];
  stallTimeoutMs: number;
  /** False while the daemon drains. */
  accepting(): boolean;
  /** Told of turns and their first tokens; those that a stateless request reads have their first token told by it. */
  metrics?: MetricsRecorder;
  log: Logger;
  now(): number;
}

/** A title of the session's own: the beginning of the first prompt. */
const MAX_TITLE_CHARS = 80;

interface Job {
  journal: TurnJournal;
  input: SessionTurn;
  /** Fires for the client's signal and for `interrupt`. */
  abort: AbortController;
  entry: Entry;
  turn: Turn | undefined;
  changes: TurnChanges | undefined;
  paused: boolean;
  done: Promise<TurnRecord>;
  settle(record: TurnRecord): void;
  over: boolean;
}

function textOf(content: UserBlock[] | undefined): string {
  return (content ?? []).flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
}

function toTitle(prompt: string): string | undefined {
  const line = prompt.trim().split("\n", 1)[0]?.trim() ?? "";
  if (line === "") return undefined;
  return line.length > MAX_TITLE_CHARS ? `${line.slice(0, MAX_TITLE_CHARS - 1)}…` : line;
}

export function stopping(): DaemonError {
  return new DaemonError("overloaded", "The daemon is stopping. Try again when it runs again.", {
    detail: { retryAfterSeconds: 5 },
  });
}

export class Session implements AgentSession {
  private readonly line = new TurnLine();
  private lease: Lease | undefined;
  private leaseKey = "";
  /** What the live process was last told; a plan that was approved changes it under us. */
  private leaseModel: string | undefined;
  private leaseMode: PermissionMode | undefined;
  startKind: StartKind | undefined;
  private current: Job | undefined;
  private readonly jobs = new Map<string, Job>();
  private start: OpenConversation["start"];
  private lastOutcome: PartOutcome | undefined;

  constructor(
    private readonly deps: SessionDeps,
    readonly record: SessionRecord,
    readonly hub: Hub,
    readonly permissions: SessionPermissions,
    start?: OpenConversation["start"],
  ) {
    this.start = start;
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
    return this.lease?.process.alive ? "live" : "none";
  }

  get outcome(): PartOutcome | undefined {
    return this.lastOutcome;
  }

  get waiting(): readonly string[] {
    return this.current?.paused ? (this.current.turn?.waiting ?? []) : [];
  }

  /** Turns that run or wait, oldest first. */
  get liveTurns(): TurnRecord[] {
    return [...this.jobs.values()].map((job) => job.journal.record);
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
    void this.exhaust(this.carryOut(job), () => {
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
    if (!job?.paused || !turn || !known || !this.lease?.take()) {
      throw new DaemonError("invalid_request", "No turn of this session waits for the results of these calls.");
    }
    job.paused = false;
    const { signal } = part;
    if (signal) this.follow(job, signal);
    turn.continue(results, more, { ...this.partOf(job), ...part, signal: job.abort.signal });
    yield* this.relay(job, turn);
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
    this.leaseMode = mode;
    this.deps.store.sessions.put(this.record);
  }

  /** Ends what runs and the process; the session can be resumed later. `closed`: it is over for good. */
  async close(closed: boolean): Promise<void> {
    if (closed && this.record.closedAt === undefined) this.record.closedAt = this.deps.now();
    this.line.refuseAll(new DaemonError("interrupted", "The session was closed before the turn began."));
    await this.interrupt();
    await this.lease?.end();
    this.lease = undefined;
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
    if (record.closedAt !== undefined) {
      throw new DaemonError(
        "invalid_request",
        "This session is closed. Create one that resumes its claude_session_id.",
      );
    }
    if (!deps.accepting()) throw stopping();
    if (input.permissionMode === "bypassPermissions") assertBypassAllowed(deps.bypassAllowed);
    const problem = deps.store.problem();
    if (problem !== undefined) {
      throw new DaemonError("overloaded", problem, { detail: { reason: "storage_full" } });
    }
    // Whoever goes on without the results of the calls has given that turn up.
    if (this.current?.paused) void this.interrupt(this.current.journal.record.id);
    const abort = new AbortController();
    const entry = this.line.join(abort.signal);
    const prompt = input.prompt ?? textOf(input.content);
    record.turns++;
    record.lastActiveAt = deps.now();
    record.title ??= toTitle(prompt);
    const journal = new TurnJournal({
      id: createId("trn"),
      sessionId: this.id,
      number: record.turns,
      prompt,
      createdAt: deps.now(),
      requestId: input.requestId,
    });
    const { promise: done, resolve: settle } = Promise.withResolvers<TurnRecord>();
    const job: Job = {
      journal,
      input,
      abort,
      entry,
      turn: undefined,
      changes: undefined,
      paused: false,
      done,
      settle,
      over: false,
    };
    this.jobs.set(journal.record.id, job);
    this.follow(job, input.signal);
    deps.store.sessions.put(record);
    deps.store.turns.put(journal.record);
    if (entry.position > 0) this.hub.publish(journal.queued(entry.position));
    return job;
  }

  private follow(job: Job, signal: AbortSignal): void {
    if (signal.aborted) job.abort.abort();
    else signal.addEventListener("abort", () => job.abort.abort(), { once: true, signal: job.abort.signal });
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
    yield* this.relay(job, turn);
  }

  /** Reads one part to its end. A reader who leaves early interrupts claude; the rest is read all the same. */
  private async *relay(
    job: Job,
    turn: Turn,
    events = turn[Symbol.asyncIterator](),
  ): AsyncGenerator<TurnEvent, void, undefined> {
    let finished = false;
    try {
      for (;;) {
        const step = await events.next();
        if (step.done) throw new Error("a turn ended without turn-end");
        await this.observe(job, turn, step.value);
        finished = step.value.type === "turn-end";
        yield step.value;
        if (finished) return;
      }
    } catch (error) {
      finished = true;
      await this.failed(job, error);
      throw toDaemonError(error);
    } finally {
      if (!finished) {
        job.abort.abort();
        void this.exhaust(this.relay(job, turn, events));
      }
    }
  }

  private async exhaust(events: AsyncIterable<TurnEvent>, firstToken?: () => void): Promise<void> {
    let waiting = firstToken;
    try {
      for await (const event of events) {
        if (!waiting || !isFirstToken(event)) continue;
        waiting();
        waiting = undefined;
      }
    } catch {
      // It is in the turn's record, and its watchers were told.
    }
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
      this.lease?.rest({ waiting: true });
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
    const { record: turnRecord } = job.journal;
    this.noteOutcome(job.turn?.outcome);
    record.lastActiveAt = deps.now();
    record.usage = addUsage(record.usage, turnRecord.usage);
    record.costUsd += turnRecord.costUsd ?? 0;
    deps.store.turns.put(turnRecord);
    deps.store.sessions.put(record);
    const change = job.changes?.record;
    if (change && change.paths.length > 0) {
      deps.store.changes.put({
        id: change.turnId,
        sessionId: this.id,
        workspace: change.workspace,
        at: change.endedAt,
        data: JSON.parse(JSON.stringify(change)),
      });
    }
    await this.hub.publishDurably(event, () => deps.store.flush()).catch((error: unknown) => this.notStored(error));
    job.changes?.close();
    this.jobs.delete(turnRecord.id);
    void this.wound(job);
  }

  private async wound(job: Job): Promise<void> {
    const outcome = await job.turn?.settled;
    this.noteOutcome(outcome);
    if (this.current === job) {
      this.current = undefined;
      if (outcome?.state === "gone") this.lease = undefined;
      else this.lease?.rest();
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
    this.start = undefined;
    if (record.claudeSessionId === claudeSessionId && !record.forkPending) return;
    record.claudeSessionId = claudeSessionId;
    record.forkPending = false;
    this.deps.store.sessions.put(record);
  }

  private notStored(error: unknown): void {
    this.deps.log.error("the end of a turn could not be stored", { session: this.id, problem: String(error) });
    this.hub.publish({ type: "notice", code: "not_stored", text: toDaemonError(error).message });
  }

  private partOf(job: Job): PartOptions {
    const { input } = job;
    return {
      ignored: input.ignored ?? [],
      settings: input.settings,
      stop: input.stop ?? [],
      parallelCalls: input.parallelCalls ?? true,
      signal: job.abort.signal,
    };
  }

  private async begin(job: Job): Promise<Turn> {
    const { deps } = this;
    const { input } = job;
    const lease = await this.takeProcess(input, job.abort.signal);
    const changes = deps.changes?.begin({ turnId: job.journal.record.id, workspace: this.record.workspace });
    job.changes = changes;
    this.hub.publish(job.journal.started(deps.now()));
    deps.store.turns.put(job.journal.record);
    const turn = deps.runTurn(
      lease.process,
      { content: input.content, verbatim: input.verbatim, early: lease.early },
      {
        ...this.partOf(job),
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

  /** The live process where it fits, told what differs; else a new one that resumes. */
  private async takeProcess(input: SessionTurn, signal: AbortSignal): Promise<Lease> {
    const { record, deps } = this;
    const model = await deps.modelFlag(input.model ?? record.model);
    const mode = input.permissionMode ?? record.permissionMode;
    const need = await this.needOf(input, model, mode);
    const { model: _, permissionMode, ...fixed } = need.launch;
    // A process cannot be switched to bypassPermissions, only be launched with it.
    const bypass = permissionMode === "bypassPermissions";
    const key = JSON.stringify([fixed, need.initialize, bypass]);
    const { lease } = this;
    if (lease && this.leaseKey === key && this.start === undefined && lease.take()) {
      try {
        if (this.leaseModel !== model) await lease.process.setModel(model ?? "default");
        if (this.leaseMode !== mode) await lease.process.setPermissionMode(mode);
        this.leaseModel = model;
        this.leaseMode = mode;
        this.startKind = "live";
        return lease;
      } catch (error) {
        deps.log.warn("a live process could not be reused", { session: this.id, problem: String(error) });
      }
    }
    await lease?.end();
    this.lease = undefined;
    const resume = await this.resumeOf();
    const launch = resume === undefined ? need.launch : { ...need.launch, resume };
    this.lease = await deps.processes.acquire({ ...need, launch }, signal);
    this.startKind = this.lease.start;
    this.leaseKey = key;
    this.leaseModel = model;
    this.leaseMode = mode;
    return this.lease;
  }

  private async needOf(input: SessionTurn, model: string | undefined, mode: PermissionMode): Promise<ProcessNeed> {
    const { record, deps } = this;
    const options = { ...record.options, ...input.options };
    const { systemPrompt, appendSystemPrompt, ...flags } = options;
    const tools = input.clientTools ?? [];
    const schema = input.jsonSchema === undefined ? {} : { jsonSchema: input.jsonSchema };
    const launch: LaunchOptions = {
      kind: "agent",
      cwd: record.workspace,
      ...(model === undefined ? {} : { model }),
      trusted: await deps.isTrusted(record.workspace),
      permissionMode: mode,
      ...flags,
      // The CLI has recorded the prompt of the session's first turn and would send that.
      ...(input.options?.systemPrompt !== undefined || input.options?.appendSystemPrompt !== undefined
        ? { freshSystemPrompt: true }
        : {}),
      ...(this.start?.answerInterrupted === true ? { answerInterrupted: true } : {}),
      persist: true,
      clientTools: tools.length > 0,
      ...schema,
      denyPaths: deps.denyPaths,
    };
    const initialize: ProcessNeed["initialize"] = {
      ...(systemPrompt === undefined ? {} : { systemPrompt }),
      ...(appendSystemPrompt === undefined ? {} : { appendSystemPrompt }),
      ...(tools.length === 0 ? {} : { clientTools: tools }),
      ...schema,
      hookEdits: deps.changes !== undefined,
    };
    return { launch, initialize };
  }

  private async resumeOf(): Promise<LaunchOptions["resume"]> {
    const { record, deps } = this;
    if (this.start) return this.start.resume;
    const { claudeSessionId } = record;
    if (claudeSessionId === undefined) return undefined;
    if (await deps.terminal.exists(claudeSessionId, record.workspace)) {
      return { from: claudeSessionId, ...(record.forkPending ? { fork: true } : {}) };
    }
    // Killed before claude wrote its first line: there is nothing to resume and nothing is lost.
    if (record.usage.outputTokens === undefined && !record.forkPending) return undefined;
    throw new DaemonError(
      "not_found",
      "Claude no longer has this session's transcript, so it cannot go on. Create a new session.",
    );
  }
}
