import { expect } from "bun:test";
import { createResponsesRoutes } from "../../../src/api/responses/routes.ts";
import type { FormatDeps } from "../../../src/api/shared/format.ts";
import { describeFormat } from "../describe-format.ts";
import { describeGolden } from "../golden.ts";
import { createMemoryArchive } from "./memory-archive.ts";
import { eventsOf, outputText, type ResponseObject, TERMINAL, textOf } from "./read.ts";

const mount = (deps: FormatDeps) => createResponsesRoutes({ ...deps, archive: createMemoryArchive() });
const text = expect.any(String);

describeFormat({
  name: "OpenAI Responses",
  mount,
  path: "/v1/responses",
  body: (stream, extra) => ({ model: "haiku", input: "hi", stream, ...extra }),
  unsupported: { name: "seed", value: 7 },
  wholeText: (body) => outputText(body as ResponseObject),
  streamText: textOf,
  terminators: (raw) => {
    const events = eventsOf(raw);
    return {
      count: events.filter((event) => TERMINAL.includes(event.type)).length,
      last: TERMINAL.includes(events.at(-1)?.type ?? ""),
    };
  },
  inBandError: (raw) => {
    const [error, failed] = eventsOf(raw).slice(-2);
    expect(error).toMatchObject({ type: "error", message: text, error: { message: text, type: text } });
    expect(failed).toMatchObject({ type: "response.failed", response: { status: "failed", error: { code: text } } });
    return failed?.response?.error?.message;
  },
  errorMessage: (body) => {
    const { error } = body as { error: { message: string; param: unknown; code: unknown } };
    const [param, code] = [error.param === null ? null : text, error.code === null ? null : text];
    expect(body).toEqual({ error: { message: text, type: text, param, code } });
    return error.message;
  },
  statuses: {
    invalid_request: 400,
    context_length_exceeded: 400,
    unauthenticated: 401,
    claude_logged_out: 401,
    forbidden: 403,
    not_found: 404,
    model_not_found: 404,
    method_not_allowed: 405,
    request_timeout: 408,
    session_busy: 409,
    payload_too_large: 413,
    unsupported_media_type: 415,
    misdirected: 421,
    queue_full: 429,
    rate_limited: 429,
    usage_limit: 429,
    interrupted: 499,
    internal: 500,
    unsupported: 501,
    claude_failed: 502,
    claude_crashed: 502,
    claude_missing: 503,
    overloaded: 503,
    timed_out: 504,
  },
  keepsAlive: true,
});

describeGolden({ name: "OpenAI Responses", folder: `${import.meta.dir}/cases`, path: "/v1/responses", mount });
