import { expect } from "bun:test";
import { createOllamaRoutes } from "../../../src/api/ollama/routes.ts";
import { describeFormat, type FormatUnderTest } from "../describe-format.ts";
import { describeGolden } from "../golden.ts";
import { linesOf, textOf } from "./read.ts";

const shared = {
  mount: createOllamaRoutes,
  unsupported: { name: "logprobs", value: true },
  streamText: textOf,
  terminators: (raw: string) => {
    const lines = linesOf(raw);
    return { count: lines.filter((line) => line.done).length, last: lines.at(-1)?.done === true };
  },
  inBandError: (raw: string) => linesOf(raw).at(-1)?.error,
  errorMessage: (body: unknown) => {
    expect(body).toEqual({ error: expect.any(String) });
    return (body as { error: string }).error;
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
  } satisfies FormatUnderTest["statuses"],
  keepsAlive: true,
};

describeFormat({
  ...shared,
  name: "Ollama chat",
  path: "/api/chat",
  body: (stream, extra) => ({ model: "haiku", messages: [{ role: "user", content: "hi" }], stream, ...extra }),
  wholeText: (body) => (body as { message: { content: string } }).message.content,
});

describeFormat({
  ...shared,
  name: "Ollama generate",
  path: "/api/generate",
  body: (stream, extra) => ({ model: "haiku", prompt: "hi", stream, ...extra }),
  wholeText: (body) => (body as { response: string }).response,
});

describeGolden({
  name: "Ollama chat",
  folder: `${import.meta.dir}/cases`,
  path: "/api/chat",
  mount: createOllamaRoutes,
});
