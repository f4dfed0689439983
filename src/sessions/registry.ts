/**
 * All sessions: the ones in memory (something runs, a process lives, somebody watches), the stored ones behind them, and
 * what a daemon that was killed left unfinished.
 */
import { DaemonError } from "../errors.ts";
import { createId, isId } from "../ids.ts";
import type { Page, SessionRecord, ChangeRecord as StoredChange, TurnRecord } from "../store/records.ts";
import type { ListOptions, SessionFilter } from "../store/store.ts";
import type { PermissionMode } from "../turn/request.ts";
import type { UndoOptions, UndoResult } from "../workspace/records.ts";
import type { AgentSessions, OpenConversation, OpenSession, SessionStatus } from "./agent-sessions.ts";
import { Hub, seqAfterCrash } from "./hub.ts";
import { assertBypassAllowed, SessionPermissions } from "./permissions.ts";
import { Session, type SessionDeps } from "./session.ts";
import { stopping } from "./session-job.ts";
import type { TerminalSession, TerminalSessions } from "./terminal.ts";
import { undoTurn } from "./undo-turn.ts";

export interface RegistryDeps extends SessionDeps {
  /** A real directory within the configured roots; undefined asks for the default one. */
  resolveWorkspace(path: string | undefined): Promise<string>;
  /** Claude's own store of sessions. */
  terminal: TerminalSessions;
  permissionWaitMs: number;
  defaultPermissionMode: PermissionMode;
}

/** A session in memory costs a few KB; those that nothing needs are let go of past this many. */
const MAX_LOADED = 512;
/** How long running turns may take to stop when the daemon ends. */
const CLOSE_TIMEOUT_MS = 8_000;

export interface SessionView {
  record: SessionRecord;
  status: SessionStatus;
  process: "live" | "none";
}

/** What happened to the daemon, as the turn's own record tells it. */
const KILLED = "The daemon was stopped while this turn ran. What it had done until then stays done.";

export class SessionRegistry implements AgentSessions {
  private readonly loaded = new Map<string, Session>();
  private readonly loading = new Map<string, Promise<Session | undefined>>();
  private closed = false;
  private draining = false;
  private readonly deps: RegistryDeps;

  constructor(deps: Omit<RegistryDeps, "accepting">) {
    this.deps = { ...deps, accepting: () => !this.draining };
  }

  /**
   * Settles what a daemon that was killed left: its running turns are reported interrupted. To be called once, before
   * anything else.
   */
  async recover(): Promise<number> {
    const { store } = this.deps;
    const unfinished = await store.turns.unfinished();
    for (const turn of unfinished) {
      turn.status = "interrupted";
      turn.endedAt = this.deps.now();
      turn.error = { code: "interrupted", message: KILLED };
      store.turns.put(turn);
    }
    for (const sessionId of new Set(unfinished.map((turn) => turn.sessionId))) {
      const record = await store.sessions.get(sessionId);
      if (!record) continue;
      const { last } = await store.events.bounds(sessionId);
      const session = this.build(record, seqAfterCrash(last));
      for (const turn of unfinished.filter((one) => one.sessionId === sessionId)) {
        session.hub.publish({ type: "error", turn_id: turn.id, code: "interrupted", message: KILLED });
      }
    }
    await store.flush();
    if (unfinished.length > 0) this.deps.log.warn("turns were cut off by the last stop", { turns: unfinished.length });
    return unfinished.length;
  }

  async create(options: OpenSession & { resume?: string; fork?: boolean }): Promise<Session> {
    this.assertOpen();
    const { resume, fork, ...rest } = options;
    if (resume === undefined) return this.openSession(rest, "code");
    // One of ours already: two objects on one claude session would write past each other.
    const own = fork === true ? undefined : await this.deps.store.sessions.byClaudeSession(resume);
    if (own && own.closedAt === undefined) return this.require(own.id);
    const known = await this.deps.terminal.find(resume);
    if (!known) {
      throw new DaemonError(
        "not_found",
        "Claude has no session of that id. GET /v1/code/session?origin=terminal lists those that can be resumed.",
        { detail: { param: "resume" } },
      );
    }
    if (known.cwd !== undefined && rest.workspace !== undefined) {
      const [asked, begun] = await Promise.all(
        [rest.workspace, known.cwd].map((path) => this.deps.resolveWorkspace(path)),
      );
      if (asked !== begun) {
        const message = "A session goes on in the directory it began in. Leave workspace out, or name that one.";
        throw new DaemonError("invalid_request", message, { detail: { param: "workspace" } });
      }
    }
    const title = rest.title ?? known.title;
    const session = await this.openSession(
      { ...rest, workspace: known.cwd ?? rest.workspace, ...(title === undefined ? {} : { title }) },
      "terminal",
    );
    session.record.claudeSessionId = resume;
    session.record.forkPending = fork === true;
    this.deps.store.sessions.put(session.record);
    return session;
  }

  async openForConversation(options: OpenConversation): Promise<Session> {
    this.assertOpen();
    return this.openSession(options, "stateless", options.start);
  }

  async get(id: string): Promise<Session | undefined> {
    const session = this.loaded.get(id);
    if (session) {
      // Most recently used last.
      this.loaded.delete(id);
      this.loaded.set(id, session);
      return session;
    }
    if (!isId("ses", id) || this.closed) return undefined;
    // Two at once must get the same object: it alone numbers the events.
    let loading = this.loading.get(id);
    if (!loading) {
      loading = this.load(id).finally(() => this.loading.delete(id));
      this.loading.set(id, loading);
    }
    return loading;
  }

  /** The real directory that a client's words mean. Throws what confinement throws. */
  resolve(workspace: string): Promise<string> {
    return this.deps.resolveWorkspace(workspace);
  }

  /** Throws `not_found`. */
  async require(id: string): Promise<Session> {
    const session = await this.get(id);
    if (!session) throw new DaemonError("not_found", "There is no session of that id.");
    return session;
  }

  async list(filter: SessionFilter): Promise<Page<SessionView>> {
    const { items, next } = await this.deps.store.sessions.list(filter);
    return { items: items.map((record) => this.view(record)), next };
  }

  /** Sessions that began in a terminal and are not ours yet, newest first. */
  async listTerminal(limit: number): Promise<TerminalSession[]> {
    const found = await this.deps.terminal.list(limit);
    const ours = await Promise.all(found.map((item) => this.deps.store.sessions.byClaudeSession(item.id)));
    return found.filter((_, index) => ours[index] === undefined);
  }

  view(record: SessionRecord): SessionView {
    const session = this.loaded.get(record.id);
    if (session) return { record: session.record, status: session.status, process: session.process };
    return { record, status: record.closedAt === undefined ? "idle" : "closed", process: "none" };
  }

  /** Ends it for good: what runs is interrupted, the process ended. Its record stays. */
  async closeSession(id: string): Promise<Session> {
    const session = await this.require(id);
    await session.close(true);
    this.loaded.delete(id);
    return session;
  }

  /** The turn's record, of a running one as it stands now. Throws `not_found`. */
  async turn(sessionId: string, turnId: string): Promise<TurnRecord> {
    const turn = await this.deps.store.turns.get(sessionId, turnId);
    if (!turn) throw new DaemonError("not_found", "This session has no turn of that id.");
    return turn;
  }

  async turns(sessionId: string, options: ListOptions): Promise<Page<TurnRecord>> {
    await this.require(sessionId);
    return this.deps.store.turns.list(sessionId, options);
  }

  /** What undo can take back, newest first. */
  async changes(sessionId: string, options: ListOptions): Promise<Page<StoredChange>> {
    await this.require(sessionId);
    return this.deps.store.changes.list(sessionId, options);
  }

  /** Takes a turn's changes back (or an undo's). Throws `not_found`, and what `undoTurn` throws. */
  async undo(sessionId: string, turnId: string, options: Omit<UndoOptions, "undoId">): Promise<UndoResult> {
    return undoTurn(this.deps, await this.require(sessionId), turnId, options);
  }

  /** In memory, for health. */
  get open(): number {
    return this.loaded.size;
  }

  /** Takes no new turns from here on; settles when those that run or wait have ended. */
  async drain(): Promise<void> {
    this.draining = true;
    await Promise.all([...this.loaded.values()].map((session) => session.quiet()));
  }

  /** Interrupts what runs, ends the processes, stores everything. Bounded in time. */
  async close(): Promise<void> {
    this.closed = true;
    const closing = Promise.all([...this.loaded.values()].map((session) => session.close(false)));
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    await Promise.race([closing, late]).finally(() => clearTimeout(timer));
    this.loaded.clear();
  }

  private async openSession(
    options: OpenSession,
    origin: SessionRecord["origin"],
    start?: OpenConversation["start"],
  ): Promise<Session> {
    const { deps } = this;
    const permissionMode = options.permissionMode ?? deps.defaultPermissionMode;
    if (permissionMode === "bypassPermissions") assertBypassAllowed(deps.bypassAllowed);
    // Named before anything is stored: an unknown model is no session.
    await deps.modelFlag(options.model);
    const workspace = await deps.resolveWorkspace(options.workspace);
    const now = deps.now();
    const record: SessionRecord = {
      id: createId("ses"),
      workspace,
      model: options.model,
      permissionMode,
      origin,
      claudeSessionId: undefined,
      forkPending: false,
      title: options.title,
      createdAt: now,
      lastActiveAt: now,
      closedAt: undefined,
      turns: 0,
      usage: {
        inputTokens: undefined,
        outputTokens: undefined,
        cacheReadTokens: undefined,
        cacheWriteTokens: undefined,
      },
      costUsd: 0,
      options: options.options ?? {},
    };
    deps.store.sessions.put(record);
    return this.build(record, 0, start);
  }

  private async load(id: string): Promise<Session | undefined> {
    const record = await this.deps.store.sessions.get(id);
    if (!record) return undefined;
    const { last } = await this.deps.store.events.bounds(id);
    return this.build(record, last);
  }

  private build(record: SessionRecord, lastSeq: number, start?: OpenConversation["start"]): Session {
    const { deps } = this;
    const log = deps.log.child({ session: record.id });
    const hub = new Hub({ sessionId: record.id, store: deps.store, log, lastSeq });
    const permissions = new SessionPermissions({
      waitMs: deps.permissionWaitMs,
      bypassAllowed: deps.bypassAllowed,
      now: deps.now,
      modeChanged: (mode) => session.setPermissionMode(mode),
    });
    const session = new Session(deps, record, hub, permissions, start);
    this.loaded.set(record.id, session);
    this.evict();
    return session;
  }

  private evict(): void {
    if (this.loaded.size <= MAX_LOADED) return;
    for (const [id, session] of this.loaded) {
      if (this.loaded.size <= MAX_LOADED) return;
      if (session.process === "live" || session.status !== "idle" || session.hub.watcherCount > 0) continue;
      session.hub.close();
      this.loaded.delete(id);
    }
  }

  private assertOpen(): void {
    if (this.closed || this.draining) throw stopping();
  }
}
