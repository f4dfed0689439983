import { expect } from "bun:test";
import { createAnthropicRoutes } from "../../../src/api/anthropic/routes.ts";
import { describeFormat } from "../describe-format.ts";
import { describeGolden } from "../golden.ts";
import { framesOf, textOf } from "./read.ts";

const STOP = 'event: message_stop\ndata: {"type":"message_stop"';

describeFormat({
  name: "Anthropic Messages",
  mount: createAnthropicRoutes,
  path: "/v1/messages",
  headers: { "anthropic-version": "2023-06-01" },
  body: (stream, extra) => ({
    model: "haiku",
    max_tokens: 100,
    messages: [{ role: "user", content: "hi" }],
    stream,
    ...extra,
  }),
  unsupported: { name: "top_k", value: 7 },
  wholeText: (body) =>
    (body as { content: { type: string; text?: string }[] }).content.map((block) => block.text ?? "").join(""),
  streamText: textOf,
  terminators: (raw) => ({
    count: raw.split(STOP).length - 1,
    last: framesOf(raw).at(-1)?.type === "message_stop",
  }),
  inBandError: (raw) => {
    const last = framesOf(raw).at(-1) as { type: string; error?: { type: string; message: string } };
    if (last.type === "error") expect(last.error).toEqual({ type: "api_error", message: expect.any(String) });
    return last.type === "error" ? last.error?.message : undefined;
  },
  errorMessage: (body) => {
    const { error } = body as { error: { message: string } };
    expect(body).toEqual({
      type: "error",
      error: { type: expect.stringMatching(/_error$|^request_too_large$/), message: expect.any(String) },
      request_id: expect.stringMatching(/^req_\w{24}$/),
    });
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
    overloaded: 529,
    timed_out: 504,
  },
  keepsAlive: true,
});

describeGolden({
  name: "Anthropic Messages",
  folder: `${import.meta.dir}/cases`,
  path: "/v1/messages",
  mount: createAnthropicRoutes,
});
