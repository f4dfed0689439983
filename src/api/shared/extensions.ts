/** Our additions, the same in every format: the `claude_code` object, its headers, and what an answer reports. */
import { changeToWire } from "../../turn/changes.ts";
import type { TurnEnd } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";
import { type ClaudeCodeOptions, PERMISSION_MODES, type PermissionMode } from "../../turn/request.ts";
import { invalidField } from "./validation.ts";

/** Bounds of what becomes a command line. */
const MAX_STRING_CHARS = 4096;
const MAX_APPEND_CHARS = 100_000;
const MAX_TOOLS = 256;
const MAX_TURNS = 1000;

/** What the `claude_code` object of a request may have. */
export const EXTENSION_FIELDS = [
  "workspace",
  "session_id",
  "permission_mode",
  "allowed_tools",
  "disallowed_tools",
  "append_system_prompt",
  "max_turns",
  "expand",
  "strict",
];

type Fields = Record<string, unknown>;

function readString(fields: Fields, key: string, maxChars = MAX_STRING_CHARS): string | undefined {
  const value = fields[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw invalidField(`claude_code.${key}`, "must be a string.");
  if (value.length > maxChars) throw invalidField(`claude_code.${key}`, `must have at most ${maxChars} characters.`);
  return value;
}

function readBoolean(fields: Fields, key: string): boolean | undefined {
  const value = fields[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "boolean") throw invalidField(`claude_code.${key}`, "must be true or false.");
  return value;
}

function readTools(fields: Fields, key: string): string[] | undefined {
  const value = fields[key];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length > MAX_TOOLS) {
    throw invalidField(`claude_code.${key}`, `must be an array of at most ${MAX_TOOLS} strings.`);
  }
  return value.map((item: unknown, index) => {
    if (typeof item === "string" && item !== "" && item.length <= MAX_STRING_CHARS) return item;
    throw invalidField(`claude_code.${key}[${index}]`, "must be a non-empty string.");
  });
}

function readPermissionMode(fields: Fields): PermissionMode | undefined {
  const value = readString(fields, "permission_mode");
  if (value === undefined) return undefined;
  const mode = PERMISSION_MODES.find((known) => known === value);
  if (mode) return mode;
  throw invalidField("claude_code.permission_mode", `must be one of ${PERMISSION_MODES.join(", ")}.`);
}

function readMaxTurns(fields: Fields): number | undefined {
  const value = fields.max_turns;
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_TURNS) return value;
  throw invalidField("claude_code.max_turns", `must be a whole number from 1 to ${MAX_TURNS}.`);
}

/**
 * Reads the `claude_code` object of a request, and `x-claude-code-workspace` / `x-claude-code-session` where the object
 * does not say otherwise. Unknown keys are reported by `findUnsupported`; throws `invalid_request` naming a wrong one.
 */
export function readExtensions(value: unknown, headers: Headers): ClaudeCodeOptions {
  if (value !== undefined && value !== null && (typeof value !== "object" || Array.isArray(value))) {
    throw invalidField("claude_code", "must be an object.");
  }
  const fields: Fields = (value as Fields | null | undefined) ?? {};
  const workspace = readString(fields, "workspace") ?? headers.get("x-claude-code-workspace") ?? undefined;
  const sessionId = readString(fields, "session_id") ?? headers.get("x-claude-code-session") ?? undefined;
  const permissionMode = readPermissionMode(fields);
  const allowedTools = readTools(fields, "allowed_tools");
  const disallowedTools = readTools(fields, "disallowed_tools");
  const appendSystemPrompt = readString(fields, "append_system_prompt", MAX_APPEND_CHARS);
  const maxTurns = readMaxTurns(fields);
  const expand = readBoolean(fields, "expand");
  const strict = readBoolean(fields, "strict");
  return {
    ...(workspace ? { workspace } : {}),
    ...(sessionId ? { sessionId } : {}),
    ...(permissionMode ? { permissionMode } : {}),
    ...(allowedTools ? { allowedTools } : {}),
    ...(disallowedTools ? { disallowedTools } : {}),
    ...(appendSystemPrompt ? { appendSystemPrompt } : {}),
    ...(maxTurns === undefined ? {} : { maxTurns }),
    ...(expand === undefined ? {} : { expand }),
    ...(strict === undefined ? {} : { strict }),
  };
}

/** The `claude_code` object of an answer (docs/formats.md). Unknown values are absent. */
export function toWireExtension(turn: { turnId: string; sessionId: string | undefined }, end: TurnEnd): JsonObject {
  return {
    ...(turn.sessionId === undefined ? {} : { session_id: turn.sessionId }),
    turn_id: turn.turnId,
    ...(end.filesChanged === undefined ? {} : { files_changed: end.filesChanged.map(changeToWire) }),
    permission_denials: end.permissionDenials.map((denial) => ({
      tool: denial.tool,
      tool_use_id: denial.toolUseId,
      input: denial.input,
    })),
    ...(end.numTurns === undefined ? {} : { num_turns: end.numTurns }),
    ...(end.costUsd === undefined ? {} : { cost_usd: end.costUsd }),
  };
}
