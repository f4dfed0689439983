/** Every failure in Anthropic's shape. The outer `type` is required by its clients. */
import type { DaemonError, ErrorCode } from "../../errors.ts";
import type { JsonObject } from "../../turn/message.ts";
import type { RenderedError } from "../shared/format.ts";

interface WireError {
  status: number;
  type:
    | "invalid_request_error"
    | "authentication_error"
    | "permission_error"
    | "not_found_error"
    | "conflict_error"
    | "request_too_large"
    | "rate_limit_error"
    | "api_error"
    | "timeout_error"
    | "overloaded_error";
}

export const WIRE_ERRORS = {
  invalid_request: { status: 400, type: "invalid_request_error" },
  context_length_exceeded: { status: 400, type: "invalid_request_error" },
  unauthenticated: { status: 401, type: "authentication_error" },
  claude_logged_out: { status: 401, type: "authentication_error" },
  forbidden: { status: 403, type: "permission_error" },
  not_found: { status: 404, type: "not_found_error" },
  model_not_found: { status: 404, type: "not_found_error" },
  method_not_allowed: { status: 405, type: "invalid_request_error" },
  request_timeout: { status: 408, type: "timeout_error" },
  session_busy: { status: 409, type: "conflict_error" },
  payload_too_large: { status: 413, type: "request_too_large" },
  unsupported_media_type: { status: 415, type: "invalid_request_error" },
  misdirected: { status: 421, type: "invalid_request_error" },
  queue_full: { status: 429, type: "rate_limit_error" },
  rate_limited: { status: 429, type: "rate_limit_error" },
  usage_limit: { status: 429, type: "rate_limit_error" },
  interrupted: { status: 499, type: "api_error" },
  internal: { status: 500, type: "api_error" },
  unsupported: { status: 501, type: "api_error" },
  claude_failed: { status: 502, type: "api_error" },
  claude_crashed: { status: 502, type: "api_error" },
  claude_missing: { status: 503, type: "api_error" },
  overloaded: { status: 529, type: "overloaded_error" },
  timed_out: { status: 504, type: "timeout_error" },
} as const satisfies Record<ErrorCode, WireError>;

/** What the SDK's tool runner looks for before it sends the whole history instead. */
export const THREAD_UNSUPPORTED = "thread_unsupported_request";

/** `messages[2].content` as this API writes it: `messages.2.content`. */
const toPath = (param: string) => param.replace(/\[(\d+)\]/g, ".$1");

function toMessage(error: DaemonError, model: string | undefined): string {
  const { code, message, detail } = error;
  if (code === "model_not_found") return `model: ${model ?? "unknown"}. ${message}`;
  // Clients recognise this wording and shorten their history.
  if (code === "context_length_exceeded" && !message.includes("prompt is too long")) {
    return `prompt is too long: ${message}`;
  }
  const { param } = detail;
  if (param === undefined || !message.startsWith(`${param}: `)) return message;
  const problem = detail.reason === "missing_required_parameter" ? "Field required" : message.slice(param.length + 2);
  return `${toPath(param)}: ${problem}`;
}

function toWireError(error: DaemonError, model: string | undefined): JsonObject {
  const { reason, param } = error.detail;
  return {
    type: WIRE_ERRORS[error.code].type,
    message: toMessage(error, model),
    ...(reason === THREAD_UNSUPPORTED ? { details: { error_code: reason, unsupported: [param ?? ""] } } : {}),
  };
}

/** An error before the first byte. `requestId` is the answer's `request-id`; `model` the one that was asked for. */
export function renderError(error: DaemonError, requestId: string, model?: string): RenderedError {
  return {
    status: WIRE_ERRORS[error.code].status,
    body: { type: "error", error: toWireError(error, model), request_id: requestId },
  };
}

/** The same inside a stream. */
export function renderFailure(error: DaemonError): JsonObject {
  return { type: "error", error: toWireError(error, undefined) };
}
