/**
 * One line of the CLI to a typed value. Tolerant on purpose: what we do not know is skipped, what is malformed is
 * reported and skipped, and neither ends a process that still works (new CLI versions must not break old daemons).
 */
import type { Logger } from "../log.ts";
import type { Json, JsonObject } from "../turn/message.ts";
import { isObject } from "./json.ts";
import type { ClaudeMessage } from "./messages.ts";

export type ParsedLine =
  | { kind: "message"; message: ClaudeMessage }
  /** The CLI asks us; it waits for exactly one answer. */
  | { kind: "request"; id: string; request: JsonObject & { subtype: string } }
  /** The CLI answers one of our requests. */
  | { kind: "response"; id: string; result: { response: JsonObject } | { error: string } }
  /** The CLI takes back one of its requests. */
  | { kind: "cancel"; id: string }
  /** Known to be of no use, or unknown: `type` for the debug log. */
  | { kind: "skipped"; type: string }
  | { kind: "malformed"; reason: string };

const OTHER_TYPES = new Set(["rate_limit_event", "tool_progress", "transcript_mirror", "command_lifecycle"]);

function malformed(reason: string): ParsedLine {
  return { kind: "malformed", reason };
}

/** Never throws. An empty line is skipped. */
export function parseLine(line: string): ParsedLine {
  if (line === "" || line === "\r") return { kind: "skipped", type: "" };
  let value: Json;
  try {
    value = JSON.parse(line);
  } catch {
    return malformed("not JSON");
  }
  if (!isObject(value) || typeof value.type !== "string") return malformed("no type");
  const known = toMessage(value.type, value);
  return known ?? toControl(value.type, value);
}

/** Checks what later code relies on without looking again; every other field stays as it came. */
function toMessage(type: string, value: JsonObject): ParsedLine | undefined {
  let good: boolean;
  switch (type) {
    case "stream_event":
      good = isObject(value.event) && typeof value.event.type === "string";
      break;
    case "assistant":
    case "user":
      good = isObject(value.message);
      break;
    case "result":
      good = typeof value.subtype === "string" && typeof value.is_error === "boolean";
      break;
    case "system":
      good = typeof value.subtype === "string";
      break;
    default:
      if (!OTHER_TYPES.has(type)) return undefined;
      good = true;
  }
  if (!good) return malformed(`${type} without what it must have`);
  return { kind: "message", message: value as unknown as ClaudeMessage };
}

function toControl(type: string, value: JsonObject): ParsedLine {
  const { request_id: id, request, response } = value;
  switch (type) {
    case "control_request":
      if (typeof id !== "string" || !isObject(request) || typeof request.subtype !== "string")
        return malformed("control_request without id or subtype");
      return { kind: "request", id, request: { ...request, subtype: request.subtype } };
    case "control_response": {
      if (!isObject(response) || typeof response.request_id !== "string")
        return malformed("control_response without id");
      if (response.subtype === "success")
        return {
          kind: "response",
          id: response.request_id,
          result: { response: isObject(response.response) ? response.response : {} },
        };
      const error = typeof response.error === "string" ? response.error : "unknown error";
      return { kind: "response", id: response.request_id, result: { error } };
    }
    case "control_cancel_request":
      return typeof id === "string" ? { kind: "cancel", id } : malformed("control_cancel_request without id");
    default:
      return { kind: "skipped", type };
  }
}

/** Says what was skipped; never the line itself, which may hold a conversation. */
export function reportUnused(
  parsed: Extract<ParsedLine, { kind: "skipped" | "malformed" }>,
  chars: number,
  logger: Logger,
): void {
  if (parsed.kind === "malformed") logger.warn("a line of claude was not understood", { reason: parsed.reason, chars });
  else if (parsed.type !== "") logger.debug("a line of claude was skipped", { type: parsed.type });
}
