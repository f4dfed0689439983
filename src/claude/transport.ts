/**
 * What the rest of the daemon knows of a `claude` process. `process.ts` implements it on `Bun.spawn`; the CLI's traps
 * (docs/claude-cli.md) stay behind it.
 *
 * One owner at a time: `sessions/` hands a process to one conversation and never back.
 */

import type { DaemonError } from "../errors.ts";
import type { Json, JsonObject, UserBlock } from "../turn/message.ts";
import type { ClientTool, Effort, PermissionMode } from "../turn/request.ts";
import type { ClaudeFeatures } from "./features.ts";
import type { ClaudeMessage } from "./messages.ts";

/** What is fixed when a process starts. All of it becomes argv (`--flag=value`) or allow-listed environment. */
export interface LaunchOptions {
  kind: "agent" | "chat";
  /** Real, existing directory. Chat processes get a neutral empty one. */
  cwd: string;
  model?: string;
  /** Agent: load project settings, hooks, CLAUDE.md and MCP servers of `cwd`. Only for trusted workspaces. */
  trusted: boolean;
  /** Chat: a settings file of ours with nothing but the commands that log in. The user's own settings are not read. */
  loginSettings?: string;
  permissionMode?: PermissionMode;
  allowedTools?: string[];
  disallowedTools?: string[];
  maxTurns?: number;
  /** Continue a stored session or a transcript file; `at` cuts after that line's uuid; `fork` gives it a new id. */
  resume?: { from: string; at?: string; fork?: boolean };
  /** Render the system prompt anew although the resumed session has recorded one (from 2.1.260; before, none is). */
  freshSystemPrompt?: boolean;
  /** Session id to use (UUID) for a new or forked session. */
  sessionId?: string;
  /** Write the session to claude's own store, so that `claude --resume` knows it. */
  persist: boolean;
  /** Answer a history that ends in the user's line as it stands, without a message on stdin. */
  answerInterrupted?: boolean;
  /** Chat: live settings that must hold from the first request on, where that goes out before `applySettings` could. */
  settings?: LiveSettings;
  /** Whether client tools will be offered: plain names, no tool search (both are launch-time environment). */
  clientTools: boolean;
  /** Agent: commands and subagents may outlive their turn, and then start turns of their own. Off unless asked for. */
  backgroundTasks?: boolean;
  /** Paths the agent's tools may never read (the daemon's state directory). */
  denyPaths?: string[];
}

/** What is fixed at `initialize`. It travels through stdin, so none of it shows in argv and none of it has argv's limits. */
export interface InitializeOptions {
  /** The whole system prompt in place of the CLI's own; "" gives none. Fixed for the life of the process. */
  systemPrompt?: string;
  /** Added to the end of the system prompt. */
  appendSystemPrompt?: string;
  /** Offered to the model as an in-band MCP server; needs `launch.clientTools`. */
  clientTools?: ClientTool[];
  /** The CLI's own structured output. An invalid schema is dropped by the CLI in silence. */
  jsonSchema?: JsonObject;
  /** Call back before any of Claude's own tools runs: none may change a file before `files_changed` is ready. */
  hookEdits?: boolean;
}

export interface CliModel {
  value: string;
  resolvedModel: string | undefined;
  displayName: string;
  description: string | undefined;
  supportsEffort: boolean;
  efforts: string[];
}

export interface InitializeResult {
  models: CliModel[];
  /** Where claude's login comes from; undefined means not logged in. */
  login: string | undefined;
  raw: JsonObject;
}

/** Settings of a live process that apply from the next request to the API on; `undefined` resets. */
export interface LiveSettings {
  maxOutputTokens: number | undefined;
  effort: Effort | undefined;
  thinkingOff: boolean;
  /** Built by us from validated values only, never from client strings as keys. */
  extraBody: JsonObject | undefined;
}

/** One call of a client tool that waits for its result. */
export interface ClientCallRequest {
  callId: string;
  name: string;
  arguments: JsonObject;
}

export type ClientCallResult = {
  content: ({ type: "text"; text: string } | { type: "image"; mediaType: string; data: string })[];
  isError: boolean;
};

export interface PermissionPrompt {
  requestId: string;
  tool: string;
  input: JsonObject;
  toolUseId: string | undefined;
  description: string | undefined;
  suggestions: JsonObject[];
}

export type PermissionAnswer =
  | { behavior: "allow"; updatedInput?: JsonObject; updatedPermissions?: JsonObject[] }
  | { behavior: "deny"; message: string; interrupt?: boolean };

/** What a process tells its owner. Called synchronously, in the order of the CLI's lines; must not throw. */
export interface ProcessListener {
  /** Every parsed line that is not control traffic. */
  message(message: ClaudeMessage): void;
  /** The model called a client tool; answered with `answerClientCall`. */
  clientCall(call: ClientCallRequest): void;
  /** A tool needs a person; answered with `answerPermission`. */
  permission(prompt: PermissionPrompt): void;
  /** The CLI took a request back (interrupt, timeout): it needs no answer any more. */
  cancelled(id: string): void;
  /** One of Claude's own tools is about to run; the CLI waits until the promise settles. */
  beforeEdit(tool: string, input: JsonObject): Promise<void>;
  /** The process is gone, expected or not. Called once, after the last line. */
  exited(report: ExitReport): void;
}

export interface ExitReport {
  code: number | null;
  signal: string | null;
  /** Which rung of the ladder ended it; undefined when it ended by itself. */
  endedBy: "eof" | "SIGTERM" | "SIGKILL" | undefined;
  /** Last lines of stderr, bounded. For the log only. */
  stderrTail: string;
  /** Why we ended it (an endless line, too much memory); to be thrown instead of `claude_crashed`. */
  failure: DaemonError | undefined;
}

export interface CloseOptions {
  now?: boolean;
  /** What a turn under way fails with. */
  failure?: DaemonError;
}

export interface PromptOptions {
  /** Keeps `/` and `@` as text. */
  verbatim: boolean;
  /** A new UUID that names the message, where it must be known before the pipe has taken it. */
  uuid?: string;
  /** The message is only taken into the memory: its turn ends at once, without a request to the API. */
  unanswered?: boolean;
}

export interface ClaudeProcess {
  readonly pid: number;
  readonly launch: LaunchOptions;
  /** Its own version's: after an update, processes of two versions live side by side. */
  readonly features: ClaudeFeatures;
  /** Unix milliseconds. */
  readonly startedAt: number;
  readonly exited: Promise<ExitReport>;
  /** True until it has exited or its stdin is closed. */
  readonly alive: boolean;

  /** Replaces the owner; lines that arrive without one are dropped (a spare says nothing that matters). */
  listen(listener: ProcessListener | undefined): void;

  /** At most once; before the first prompt. Throws `claude_crashed`, `claude_failed`, `timed_out`. */
  initialize(options: InitializeOptions): Promise<InitializeResult>;

  /**
   * Sends one user message; the CLI begins a turn. Returns its uuid. The promise settles when the pipe has taken the bytes
   * (backpressure), not when the turn ends. `client-result` blocks are refused (`internal`): the CLI drops them; results go
   * through `answerClientCall`.
   */
  prompt(content: UserBlock[], options: PromptOptions): Promise<string>;

  /** Both answer exactly once: for an id that is unknown, answered or cancelled they do nothing and return false. */
  answerClientCall(callId: string, result: ClientCallResult): boolean;
  answerPermission(requestId: string, answer: PermissionAnswer): boolean;

  setModel(model: string): Promise<void>;
  setPermissionMode(mode: PermissionMode): Promise<void>;
  /** Replaces the live settings as a whole: what is undefined goes back to the CLI's default. */
  applySettings(settings: LiveSettings): Promise<void>;
  /** Any other control request, correlated and bounded in time. */
  control(subtype: string, payload: JsonObject, timeoutMs?: number): Promise<Json>;

  /** Ends the running turn; settles when the CLI has acknowledged. A no-op when idle. */
  interrupt(): Promise<void>;

  /** SIGSTOP and SIGCONT: an idle process costs no CPU. Writing to a suspended process wakes it first. */
  suspend(): void;
  wake(): void;
  readonly suspended: boolean;

  /**
   * Stops reading stdout until `resumeReading`: backpressure from a slow client reaches the CLI. Lines of the chunk in
   * hand still arrive (at most `CHUNK_BYTES` of them).
   */
  pauseReading(): void;
  resumeReading(): void;

  /**
   * EOF on stdin, then SIGTERM, then SIGKILL, each rung bounded; always takes its descendants with it.
   * Idempotent; settles when the process is gone. `now` skips the grace of EOF (mid-turn).
   */
  close(options?: CloseOptions): Promise<ExitReport>;
}
