/** Every failure in OpenAI's shape, for both of its formats. All four keys are required by its SDKs. */
import type { DaemonError, ErrorCode } from "../../errors.ts";
import type { JsonObject } from "../../turn/message.ts";
import type { RenderedError } from "./format.ts";

interface WireError {
  status: number;
  type: "invalid_request_error" | "requests" | "rate_limit_error" | "server_error";
  /** null: the sub-code of the error, if it has one. */
  code: string | null;
}

const client = (status: number, code: string | null): WireError => ({ status, type: "invalid_request_error", code });
const server = (status: number, code: string | null): WireError => ({ status, type: "server_error", code });

export const WIRE_ERRORS = {
  invalid_request: client(400, null),
  context_length_exceeded: client(400, "context_length_exceeded"),
  unauthenticated: client(401, "invalid_api_key"),
  claude_logged_out: client(401, "invalid_api_key"),
  forbidden: client(403, "forbidden"),
  not_found: client(404, "not_found"),
  model_not_found: client(404, "model_not_found"),
  method_not_allowed: client(405, "method_not_allowed"),
  request_timeout: client(408, "request_timeout"),
  session_busy: client(409, "session_busy"),
  payload_too_large: client(413, "request_too_large"),
  unsupported_media_type: client(415, "unsupported_media_type"),
  misdirected: client(421, "misdirected"),
  queue_full: { status: 429, type: "requests", code: "rate_limit_exceeded" },
  rate_limited: { status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" },
  usage_limit: { status: 429, type: "rate_limit_error", code: "insufficient_quota" },
  interrupted: client(499, "interrupted"),
  internal: server(500, null),
  unsupported: server(501, "unsupported"),
  claude_failed: server(502, "claude_failed"),
  claude_crashed: server(502, "claude_crashed"),
  claude_missing: server(503, "claude_missing"),
  overloaded: server(503, "overloaded"),
  timed_out: server(504, "timeout"),
} as const satisfies Record<ErrorCode, WireError>;

/** The API's own words for an overflow, with the two numbers clients want to read. */
const TOO_LONG = /(\d+) tokens > (\d+)/;

/** The catalog's own first sentence; what follows it lists the models there are. */
const SAYS_THE_SAME = /^The model ".*?" does not exist here\. /;

function toMessage(error: DaemonError, model: string | undefined): string {
  if (error.code === "model_not_found" && model !== undefined) {
    return `The model \`${model}\` does not exist or you do not have access to it. ${error.message.replace(SAYS_THE_SAME, "")}`;
  }
  if (error.code !== "context_length_exceeded") return error.message;
  const numbers = TOO_LONG.exec(error.message);
  if (numbers) {
    return `This model's maximum context length is ${numbers[2]} tokens. However, your messages resulted in ${numbers[1]} tokens.`;
  }
  // Clients recognise this wording and shorten their history.
  return `This model's maximum context length was exceeded. ${error.message}`;
}

/** An error before the first byte. `model` is the one that was asked for, where the request names one. */
export function renderError(error: DaemonError, model?: string): RenderedError {
  const { status, type, code } = WIRE_ERRORS[error.code];
  const { param, reason } = error.detail;
  return {
    status,
    body: {
      error: {
        message: toMessage(error, model),
        type,
        param: param ?? (error.code === "model_not_found" ? "model" : null),
        code: reason ?? code,
      },
    },
  };
}

/** The same inside a stream, where no status tells that it is the server's fault. */
export function renderFailure(error: DaemonError): JsonObject {
  const { type, code } = WIRE_ERRORS[error.code];
  const { param, reason } = error.detail;
  const inBand = reason ?? code ?? (type === "server_error" ? "internal_error" : null);
  return { error: { message: toMessage(error, undefined), type, param: param ?? null, code: inBand } };
}
