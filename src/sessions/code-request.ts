/** From a request of the code API (REST or WebSocket alike) to a session's turn. */
import { DaemonError } from "../errors.ts";
import type { SessionOptions } from "../store/records.ts";
import type { JsonObject, UserBlock } from "../turn/message.ts";
import type { PermissionMode } from "../turn/request.ts";
import { type ContextFile, readContextFiles } from "../workspace/context-files.ts";
import type { SessionTurn } from "./agent-sessions.ts";
import type { PermissionDecision } from "./permissions.ts";

export interface CodeRequest {
  /** What the person wrote. */
  text: string;
  files?: readonly ContextFile[];
  model?: string;
  permissionMode?: PermissionMode;
  options?: SessionOptions;
  /** A typed `/command` or `@file` works as in the terminal. */
  expand?: boolean;
  /** The client's own id of the request. */
  requestId?: string;
}

export interface CodeRequestPlace {
  /** Real path of the session's workspace. */
  workspace: string;
  /** Never read, not even inside the workspace. */
  deniedPaths: readonly string[];
}

/** Throws `forbidden` where a program inside a session asks for more rights than a session has by itself. */
export function assertNoMoreRights(asked: { permissionMode?: PermissionMode; options?: SessionOptions }): void {
  const more = asked.permissionMode === "bypassPermissions" || (asked.options?.allowedTools ?? []).length > 0;
  if (!more) return;
  throw new DaemonError("forbidden", "A program that runs inside a session cannot give itself more rights.");
}

/**
 * Reads the files and puts them before the text, so that the text is the last block and nothing in a file is expanded.
 * Throws what `readContextFiles` throws, before anything runs.
 */
export async function toSessionTurn(
  request: CodeRequest,
  place: CodeRequestPlace,
  signal: AbortSignal,
): Promise<SessionTurn> {
  const files = request.files ?? [];
  const blocks: UserBlock[] =
    files.length === 0 ? [] : await readContextFiles(files, { workspace: place.workspace, denied: place.deniedPaths });
  const { model, permissionMode, options, requestId } = request;
  return {
    content: [...blocks, { type: "text", text: request.text }],
    verbatim: request.expand !== true,
    prompt: request.text,
    ...(model === undefined ? {} : { model }),
    ...(permissionMode === undefined ? {} : { permissionMode }),
    ...(options === undefined || Object.keys(options).length === 0 ? {} : { options }),
    ...(requestId === undefined ? {} : { requestId }),
    signal,
  };
}

const AGENT = "claude-code";

/** Only agents have sessions: a bare model name is taken for the agent with that model. */
export function toAgentModel(model: string | undefined): string {
  if (model === undefined) return AGENT;
  return model === AGENT || model.startsWith(`${AGENT}:`) ? model : `${AGENT}:${model}`;
}

/** Parsed files without the keys that are not there. */
export function toFiles(files: readonly (string | { path: string; content?: string | undefined })[]): ContextFile[] {
  return files.map((file) => {
    if (typeof file === "string") return file;
    return file.content === undefined ? { path: file.path } : { path: file.path, content: file.content };
  });
}

/** An answer to a permission prompt in the words of REST and WebSocket; its values were parsed from JSON. */
export interface AnswerFields {
  behavior: "allow" | "deny";
  message?: string | undefined;
  interrupt?: boolean | undefined;
  remember?: boolean | undefined;
  updated_input?: Record<string, unknown> | undefined;
  answers?: Record<string, string | string[]> | undefined;
  permission_mode?: PermissionMode | undefined;
}

export function toDecision(fields: AnswerFields): PermissionDecision {
  const { behavior, message, interrupt, remember, updated_input: updatedInput, answers } = fields;
  const { permission_mode: permissionMode } = fields;
  return {
    behavior,
    ...(message === undefined ? {} : { message }),
    ...(interrupt === undefined ? {} : { interrupt }),
    ...(remember === undefined ? {} : { remember }),
    ...(updatedInput === undefined ? {} : { updatedInput: updatedInput as JsonObject }),
    ...(answers === undefined ? {} : { answers }),
    ...(permissionMode === undefined ? {} : { permissionMode }),
  };
}
