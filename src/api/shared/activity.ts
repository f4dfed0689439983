/** What a stream shows of Claude's own work: enough to follow it, bounded, so that a written file is not sent twice. */
import { assertNever } from "../../errors.ts";
import type { TurnEvent } from "../../turn/events.ts";
import type { Json, JsonObject } from "../../turn/message.ts";

/** Longest string shown of a tool's input or output. */
const MAX_CHARS = 2000;
/** Deepest level shown. */
const MAX_DEPTH = 6;
/** Most entries shown of one array or object. */
const MAX_ENTRIES = 64;

export function boundText(text: string): string {
  return text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)}…` : text;
}

function bound(value: Json, depth: number): Json {
  if (typeof value === "string") return boundText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return "…";
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => bound(item, depth - 1));
  return boundObject(value, depth);
}

function boundObject(value: JsonObject, depth: number): JsonObject {
  const shown: JsonObject = {};
  for (const [key, item] of Object.entries(value).slice(0, MAX_ENTRIES)) shown[boundText(key)] = bound(item, depth - 1);
  return shown;
}

/** A tool's input, cut to what a reader needs. */
export function boundInput(input: JsonObject): JsonObject {
  return boundObject(input, MAX_DEPTH);
}

type ActivityEvent = Extract<
  TurnEvent,
  { type: "tool-start" | "tool-run" | "tool-end" | "notice" | "permission-request" | "permission-resolved" }
>;

/** One step of Claude's own work, the same in every format (`claude_code.activity`). */
export function toActivity(event: ActivityEvent): JsonObject {
  switch (event.type) {
    case "tool-start":
      return { type: "tool_start", id: event.id, name: event.name, ...parentOf(event) };
    case "tool-run":
      return { type: "tool_run", id: event.id, name: event.name, input: boundInput(event.input), ...parentOf(event) };
    case "tool-end":
      return { type: "tool_end", id: event.id, is_error: event.isError, output: boundText(event.output) };
    case "notice":
      return { type: "notice", code: event.code, text: event.text };
    case "permission-request":
      return {
        type: "permission_request",
        request_id: event.requestId,
        tool: event.tool,
        input: boundInput(event.input),
        ...(event.reason === undefined ? {} : { reason: event.reason }),
      };
    case "permission-resolved":
      return { type: "permission_resolved", request_id: event.requestId, behavior: event.behavior };
    default:
      return assertNever(event);
  }
}

function parentOf(event: { parentId: string | undefined }): JsonObject {
  return event.parentId === undefined ? {} : { parent_id: event.parentId };
}
