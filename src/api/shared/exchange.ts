/** One HTTP exchange of a turn: its id, its end, and the headers that every answer carries. */
import type { DaemonError } from "../../errors.ts";
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
}

/** Begins an exchange: the turn's signal fires with the request's. */
export function createExchange(request: Request): Exchange {
  const abort = new AbortController();
  if (request.signal.aborted) abort.abort();
  else request.signal.addEventListener("abort", () => abort.abort(), { once: true });
  return { request, requestId: createId("req_"), abort };
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
  const { retryAfterSeconds, allow } = error.detail;
  return {
    "x-should-retry": error.shouldRetry ? "true" : "false",
    ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(Math.max(0, Math.ceil(retryAfterSeconds))) }),
    ...(allow ? { allow: allow.join(", ") } : {}),
  };
}

/** An error before the first byte, in the format's shape. */
export function errorResponse(exchange: Exchange, error: DaemonError, rendered: RenderedError): Response {
  return jsonResponse(exchange, rendered.body, { status: rendered.status, headers: errorHeaders(error) });
}
