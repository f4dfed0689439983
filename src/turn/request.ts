import type { Json, JsonObject, Message } from "./message.ts";

/** A function of the client, offered to the model beside (agent) or instead of (chat) Claude's own tools. */
export interface ClientTool {
  name: string;
  description?: string;
  /** JSON Schema of the arguments; the formats fill in `{"type":"object","properties":{}}` where the client sent none. */
  inputSchema: JsonObject;
}

export type ToolChoice = { type: "auto" } | { type: "none" } | { type: "required" } | { type: "tool"; name: string };

export const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;
export type Effort = (typeof EFFORTS)[number];

export const PERMISSION_MODES = ["default", "acceptEdits", "plan", "dontAsk", "bypassPermissions"] as const;
export type PermissionMode = (typeof PERMISSION_MODES)[number];

/** `object` is any JSON object; `schema` is JSON that validates against it. */
export type OutputFormat = { type: "text" } | { type: "object" } | { type: "schema"; schema: JsonObject };

/** What shapes the answer. An absent key means the client did not ask. */
export interface OutputOptions {
  /** Most output tokens; the answer then ends with reason `length`. At least 1. */
  maxTokens?: number;
  /** The shown text ends before the first of these. */
  stop?: string[];
  effort?: Effort;
  /** Thinking on or off as the client asked; a budget is not a promise the CLI can keep. */
  thinking?: "on" | "off";
  format?: OutputFormat;
  temperature?: number;
  topP?: number;
}

/** Our additions, the same in every format (the `claude_code` object and the `x-claude-code-*` headers). */
export interface ClaudeCodeOptions {
  /** Directory the agent works in; confined to the configured roots by the runner. */
  workspace?: string;
  /** `ses_…`: that session is the history; of `messages` only what follows the last assistant message is sent. */
  sessionId?: string;
  permissionMode?: PermissionMode;
  allowedTools?: string[];
  disallowedTools?: string[];
  appendSystemPrompt?: string;
  maxTurns?: number;
  /** A typed `/command` or `@file` works as in the terminal (agent only). */
  expand?: boolean;
  /** Refuse the request where a parameter would have been ignored. */
  strict?: boolean;
}

/**
 * One prompt to one result, in no format's words. Built by `api/<format>/request.ts`, carried out by a `TurnRunner`.
 */
export interface TurnRequest {
  /** As the client wrote it: `claude-code`, `claude-code:opus`, `sonnet`, a full id, an alias. */
  model: string;
  /** The client's system text, joined in order with newlines; undefined where it sent none. */
  system: string | undefined;
  /** The whole history, oldest first, ending with what is new. Never empty. */
  messages: Message[];
  tools: ClientTool[];
  toolChoice: ToolChoice;
  /** False: at most one client call a response. */
  parallelToolCalls: boolean;
  output: OutputOptions;
  claudeCode: ClaudeCodeOptions;
  /** The client's names of parameters that nothing here can honour (e.g. `seed`): reported, or refused when strict. */
  unsupported: string[];
  /** How the client called the output options it sent, so that what a kind of model ignores is named in its words. */
  optionNames: Partial<Record<keyof OutputOptions | "toolChoice" | "parallelToolCalls", string>>;
  retry: RetryInfo;
  /** Fires when the client is gone: the turn is interrupted. */
  signal: AbortSignal;
}

/** What tells a client's automatic retry from a new request (docs/conversations.md). */
export interface RetryInfo {
  idempotencyKey?: string;
  /** `x-stainless-retry-count`; 0 for a first attempt. */
  attempt: number;
  /** Digest of format, path and raw body: two requests with the same digest are the same request. */
  bodyDigest?: string;
}

/** A parsed value of unknown shape at a boundary; re-exported so that formats import one module. */
export type { Json, JsonObject };
