/**
 * The process of one session: at most one, and it may go at any time (evicted, crashed, the daemon restarted). The next turn
 * gets the live one where it fits, else a new one that resumes claude's own session.
 */
import type { LaunchOptions } from "../claude/transport.ts";
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { SessionRecord } from "../store/records.ts";
import type { PermissionMode } from "../turn/request.ts";
import type { WorkspaceChanges } from "../workspace/records.ts";
import type { OpenConversation, SessionTurn } from "./agent-sessions.ts";
import type { Lease, ProcessNeed, ProcessSource, RestOptions, StartKind } from "./contracts.ts";
import type { TerminalSessions } from "./terminal.ts";

export interface SessionProcessDeps {
  processes: ProcessSource;
  /** Undefined where nothing can tell what changed. */
  changes: WorkspaceChanges | undefined;
  /** The `--model` value of a session's model; undefined for claude's own choice. Throws `model_not_found`. */
  modelFlag(model: string): Promise<string | undefined>;
  /** Whether the workspace's own settings, hooks and MCP servers may run. */
  isTrusted(workspace: string): Promise<boolean>;
  /** Claude's own store of sessions. */
  terminal: Pick<TerminalSessions, "exists">;
  /** Paths the agent's tools may never read. */
  denyPaths: string[];
  log: Logger;
}

export class SessionProcess {
  private lease: Lease | undefined;
  private key = "";
  /** What the live process was last told; a plan that was approved changes it under us. */
  private model: string | undefined;
  private mode: PermissionMode | undefined;
  /** How the last turn came to its process. */
  startKind: StartKind | undefined;

  /** `start` is where the first turn begins, until claude has named its session. */
  constructor(
    private readonly deps: SessionProcessDeps,
    private readonly record: SessionRecord,
    private start: OpenConversation["start"],
  ) {}

  get state(): "live" | "none" {
    return this.lease?.process.alive ? "live" : "none";
  }

  /** For a turn that waits in it: false where the pool has taken it away. */
  takeBack(): boolean {
    return this.lease?.take() ?? false;
  }

  rest(options?: RestOptions): void {
    this.lease?.rest(options);
  }

  /** It is no more. */
  forget(): void {
    this.lease = undefined;
  }

  async end(): Promise<void> {
    await this.lease?.end();
    this.lease = undefined;
  }

  /** Its permission mode has changed without us. */
  modeChanged(mode: PermissionMode): void {
    this.mode = mode;
  }

  /** Claude has named its session: from now on that is resumed. */
  begun(): void {
    this.start = undefined;
  }

  /** The live process where it fits, told what differs; else a new one that resumes. */
  async take(input: SessionTurn, signal: AbortSignal): Promise<Lease> {
    const { record, deps } = this;
    const model = await deps.modelFlag(input.model ?? record.model);
    const mode = input.permissionMode ?? record.permissionMode;
    const need = await this.needOf(input, model, mode);
    const { model: _, permissionMode, ...fixed } = need.launch;
    // A process cannot be switched to bypassPermissions, only be launched with it.
    const bypass = permissionMode === "bypassPermissions";
    const key = JSON.stringify([fixed, need.initialize, bypass]);
    const { lease } = this;
    if (lease && this.key === key && this.start === undefined && lease.take()) {
      try {
        if (this.model !== model) await lease.process.setModel(model ?? "default");
        if (this.mode !== mode) await lease.process.setPermissionMode(mode);
        this.model = model;
        this.mode = mode;
        this.startKind = "live";
        return lease;
      } catch (error) {
        deps.log.warn("a live process could not be reused", { session: record.id, problem: String(error) });
      }
    }
    await lease?.end();
    this.lease = undefined;
    const resume = await this.resumeOf();
    const launch = resume === undefined ? need.launch : { ...need.launch, resume };
    this.lease = await deps.processes.acquire({ ...need, launch }, signal);
    this.startKind = this.lease.start;
    this.key = key;
    this.model = model;
    this.mode = mode;
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
