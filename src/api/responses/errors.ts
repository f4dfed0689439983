/** Failures in the Responses dialect: OpenAI's errors before the first byte, two events for late ones. */
import type { DaemonError, ErrorCode } from "../../errors.ts";
import type { JsonObject } from "../../turn/message.ts";
import type { RenderedError } from "../shared/format.ts";
import { renderFailure, renderError as renderOpenAiError } from "../shared/openai-errors.ts";

/** What `response.error.code` says; Codex waits, shortens its history or gives up by it. */
const FAILED_CODES = {
  invalid_request: "invalid_prompt",
  context_length_exceeded: "context_length_exceeded",
  unauthenticated: "server_error",
  claude_logged_out: "server_error",
  forbidden: "server_error",
  not_found: "server_error",
  model_not_found: "invalid_prompt",
  method_not_allowed: "server_error",
  request_timeout: "server_error",
  session_busy: "server_error",
  payload_too_large: "invalid_prompt",
  unsupported_media_type: "invalid_prompt",
  misdirected: "server_error",
  queue_full: "rate_limit_exceeded",
  rate_limited: "rate_limit_exceeded",
  usage_limit: "insufficient_quota",
  interrupted: "server_error",
  internal: "server_error",
  unsupported: "server_error",
  claude_failed: "server_error",
  claude_crashed: "server_error",
  claude_missing: "server_error",
  overloaded: "server_error",
  timed_out: "server_error",
} as const satisfies Record<ErrorCode, string>;

/** An error before the first byte. `model` is the one that was asked for, where the request names one. */
export function renderError(error: DaemonError, model?: string): RenderedError {
  const rendered = renderOpenAiError(error, model);
  // The engine speaks of messages; here they are called input.
  if (error.detail.param !== "messages") return rendered;
  const { error: body } = rendered.body as { error: JsonObject };
  const message = String(body.message).replace(/^messages: /, "input: ");
  return { status: rendered.status, body: { error: { ...body, param: "input", message } } };
}

/**
 * A late failure. SDKs throw at the `error` event and take a failed response alone for an answer; Codex reads
 * `response.failed` alone. The API sends both.
 */
export function toFailure(error: DaemonError): { event: JsonObject; response: JsonObject } {
  const body = renderFailure(error).error as JsonObject;
  const code = FAILED_CODES[error.code];
  const seconds = error.detail.retryAfterSeconds;
  // Codex reads the time to wait from these words.
  const wait =
    code === "rate_limit_exceeded" && seconds !== undefined ? ` Please try again in ${Math.ceil(seconds)}s.` : "";
  return {
    event: { code: body.code ?? null, message: body.message ?? "", param: body.param ?? null, error: body },
    response: { code, message: `${body.message}${wait}` },
  };
}
