/** One HTTP exchange of a turn: its id, its end, and the headers that every answer carries. */
import { type DaemonError, toDaemonError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { RenderedError } from "./format.ts";
import { createId } from "./ids.ts";

/** Longest value of `x-claude-code-ignored`; names beyond it are cut. */
const MAX_IGNORED_CHARS = 1000;

export interface Exchange {
  request: Request;
  /** `req_…`, in the headers of every answer and in the log. */
  requestId: string;
  /** Aborted when the client is gone, whichever way that shows; its signal is the turn's. */
  abort: AbortController;
  /** `performance.now()` at its begin. */
  startedAt: number;
}

/** Begins an exchange: the turn's signal fires with the request's. */
export function createExchange(request: Request): Exchange {
  const abort = new AbortController();
  if (request.signal.aborted) abort.abort();
  else request.signal.addEventListener("abort", () => abort.abort(), { once: true });
  return { request, requestId: createId("req_"), abort, startedAt: performance.now() };
}

/** Headers of every answer. Both names, because each dialect's SDK reads its own. */
export function baseHeaders(exchange: Exchange): Record<string, string> {
  return { "x-request-id": exchange.requestId, "request-id": exchange.requestId };
}

/** Names the parameters that a turn does not honour. Only ever plain field names: nothing else may reach a header. */
export function ignoredHeaders(ignored: readonly string[]): Record<string, string> {
  const names = ignored.map((name) => name.replace(/[^\w.[\]-]/g, "?"));
  if (names.length === 0) return {};
  return { "x-claude-code-ignored": names.join(", ").slice(0, MAX_IGNORED_CHARS) };
}

/** A whole JSON answer. */
export function jsonResponse(
  exchange: Exchange,
  body: unknown,
  init: { status?: number; headers?: Record<string, string> } = {},
): Response {
  return new Response(JSON.stringify(body), {
    status: init.status ?? 200,
    headers: { "content-type": "application/json; charset=utf-8", ...baseHeaders(exchange), ...init.headers },
  });
}

/** Headers that tell a client's SDK whether and when to try again. */
export function errorHeaders(error: DaemonError): Record<string, string> {
  const { allow } = error.detail;
  const retryAfter = toRetryAfter(error);
  return {
    "x-should-retry": error.shouldRetry ? "true" : "false",
    ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }),
    ...(allow ? { allow: allow.join(", ") } : {}),
    // The rest of its body is not waited for.
    ...(error.code === "request_timeout" ? { connection: "close" } : {}),
  };
}

/** Seconds, or the date at which a usage limit resets. */
function toRetryAfter(error: DaemonError): string | undefined {
  const { retryAfterSeconds, resetsAt } = error.detail;
  if (retryAfterSeconds !== undefined) return String(Math.max(0, Math.ceil(retryAfterSeconds)));
  return resetsAt === undefined ? undefined : new Date(resetsAt * 1000).toUTCString();
}

/** An error before the first byte, in the format's shape. */
export function errorResponse(exchange: Exchange, error: DaemonError, rendered: RenderedError): Response {
  return jsonResponse(exchange, rendered.body, { status: rendered.status, headers: errorHeaders(error) });
}

/** Logs why an exchange failed: loudly what is our fault, quietly what is the caller's. */
export function logFailure(log: Logger, exchange: Exchange, error: DaemonError): void {
  const fields = { request: exchange.requestId, code: error.code };
  if (error.code !== "internal") {
    log.debug(error.message, fields);
    return;
  }
  const { cause } = error;
  log.error("request failed", {
    ...fields,
    cause: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
  });
}

/**
 * Runs a route of a format: whatever `work` throws becomes an answer in the format's shape. Never rejects, so no error
 * reaches the framework.
 */
export async function answer(
  log: Logger,
  request: Request,
  renderError: (error: DaemonError, exchange: Exchange) => RenderedError,
  work: (exchange: Exchange) => Promise<Response>,
): Promise<Response> {
  const exchange = createExchange(request);
  try {
    return await work(exchange);
  } catch (thrown) {
    const error = toDaemonError(thrown);
    logFailure(log, exchange, error);
    return errorResponse(exchange, error, renderError(error, exchange));
  }
}
