/**
 * A session's own events: what its watchers see on SSE and WebSocket and what the store keeps, in one vocabulary
 * (docs/websocket.md). Built here from the neutral turn events, encoded once, sent to everybody as it is.
 */
import { changeToWire } from "../turn/changes.ts";
import type { TurnEnd, TurnEvent, Usage } from "../turn/events.ts";
import type { Json, JsonObject } from "../turn/message.ts";

export const SESSION_EVENT_TYPES = [
  "turn_queued",
  "turn_start",
  "code_delta",
  "thinking_delta",
  "tool_start",
  "tool_end",
  "client_call",
  "permission_request",
  "permission_resolved",
  "notice",
  "code_response",
  "error",
  "session_closed",
] as const;
export type SessionEventType = (typeof SESSION_EVENT_TYPES)[number];

/** As it goes out, but for `seq` and `session_id`, which the hub adds. */
export interface SessionEvent extends JsonObject {
  type: SessionEventType;
}

/** Text of a tool's input or output that an event carries; the rest is cut and said to be. */
const MAX_TOOL_TEXT_CHARS = 16 * 1024;
/** Deepest nesting of a tool's input that is looked through for long texts. */
const MAX_INPUT_DEPTH = 8;

/** Between two blocks of text, so that the deltas joined are the response's `content`. */
export const BLOCK_SEPARATOR = "\n\n";

export function usageToWire(usage: Usage): JsonObject {
  const wire: JsonObject = {};
  if (usage.inputTokens !== undefined) wire.input_tokens = usage.inputTokens;
  if (usage.outputTokens !== undefined) wire.output_tokens = usage.outputTokens;
  if (usage.cacheReadTokens !== undefined) wire.cache_read_input_tokens = usage.cacheReadTokens;
  if (usage.cacheWriteTokens !== undefined) wire.cache_creation_input_tokens = usage.cacheWriteTokens;
  return wire;
}

/** Cuts every long text in a tool's input; the shape stays. */
function boundInput(value: Json, depth = 0): Json {
  if (typeof value === "string") {
    return value.length > MAX_TOOL_TEXT_CHARS ? `${value.slice(0, MAX_TOOL_TEXT_CHARS)}…` : value;
  }
  if (value === null || typeof value !== "object") return value;
  if (depth >= MAX_INPUT_DEPTH) return "…";
  if (Array.isArray(value)) return value.map((item) => boundInput(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, boundInput(item, depth + 1)]));
}

/** The end of a turn as its watchers see it. `requestId` is the client's own id of its `code_request`. */
export function toCodeResponse(turnId: string, content: string, end: TurnEnd): SessionEvent {
  return {
    type: "code_response",
    turn_id: turnId,
    content,
    files_changed: (end.filesChanged ?? []).map(changeToWire),
    ...(end.filesChanged === undefined ? { files_changed_unknown: true } : {}),
    permission_denials: end.permissionDenials.map((denial) => ({
      tool: denial.tool,
      tool_use_id: denial.toolUseId,
      input: boundInput(denial.input),
    })),
    stop_reason: end.reason.unified,
    usage: usageToWire(end.usage),
    ...(end.costUsd === undefined ? {} : { cost_usd: end.costUsd }),
    ...(end.numTurns === undefined ? {} : { num_turns: end.numTurns }),
    ...(end.structuredOutput === undefined ? {} : { structured_output: end.structuredOutput }),
  };
}

/** Every event of a running turn but its start and end; undefined where watchers need not see it. */
export function toSessionEvent(turnId: string, event: TurnEvent, separate: boolean): SessionEvent | undefined {
  switch (event.type) {
    case "text-delta":
      return { type: "code_delta", turn_id: turnId, text: separate ? BLOCK_SEPARATOR + event.text : event.text };
    case "thinking-delta":
      return { type: "thinking_delta", turn_id: turnId, text: event.text };
    case "tool-run":
      return {
        type: "tool_start",
        turn_id: turnId,
        tool_use_id: event.id,
        tool: event.name,
        input: boundInput(event.input),
        ...(event.parentId === undefined ? {} : { parent_tool_use_id: event.parentId }),
      };
    case "tool-end": {
      const long = event.output.length > MAX_TOOL_TEXT_CHARS;
      return {
        type: "tool_end",
        turn_id: turnId,
        tool_use_id: event.id,
        output: long ? event.output.slice(0, MAX_TOOL_TEXT_CHARS) : event.output,
        ...(long ? { output_truncated: true } : {}),
        is_error: event.isError,
      };
    }
    case "client-call-end":
      return { type: "client_call", turn_id: turnId, call_id: event.id, name: event.name, arguments: event.arguments };
    case "permission-request":
      return {
        type: "permission_request",
        turn_id: turnId,
        permission_id: event.requestId,
        tool: event.tool,
        input: boundInput(event.input),
        ...(event.reason === undefined ? {} : { reason: event.reason }),
        suggestions: event.suggestions,
        ...(event.toolUseId === undefined ? {} : { tool_use_id: event.toolUseId }),
        expires_at: event.expiresAt,
      };
    case "permission-resolved":
      return {
        type: "permission_resolved",
        turn_id: turnId,
        permission_id: event.requestId,
        behavior: event.behavior,
        ...(event.message === undefined ? {} : { message: event.message }),
      };
    case "notice":
      return { type: "notice", turn_id: turnId, code: event.code, text: event.text };
    default:
      return undefined;
  }
}
