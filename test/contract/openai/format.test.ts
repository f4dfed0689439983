import { expect } from "bun:test";
import { createOpenAiRoutes } from "../../../src/api/openai/routes.ts";
import { describeFormat, type FormatUnderTest } from "../describe-format.ts";
import { describeGolden } from "../golden.ts";
import { framesOf, textOf } from "./read.ts";

const statuses: FormatUnderTest["statuses"] = {
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
};

const text = expect.any(String);

function errorMessage(body: unknown): string {
  const { error } = body as { error: { message: string; param: unknown; code: unknown } };
  // All four keys, null where there is nothing to say.
  const [param, code] = [error.param === null ? null : text, error.code === null ? null : text];
  expect(body).toEqual({ error: { message: text, type: text, param, code } });
  return error.message;
}

const shared = {
  mount: createOpenAiRoutes,
  unsupported: { name: "seed", value: 7 },
  terminators: (raw: string) => ({
    count: raw.split("data: [DONE]\n\n").length - 1,
    last: raw.endsWith("data: [DONE]\n\n"),
  }),
  inBandError: (raw: string) => JSON.parse(framesOf(raw).at(-1) ?? "null")?.error?.message,
  errorMessage,
  statuses,
  keepsAlive: true,
};

describeFormat({
  ...shared,
  name: "OpenAI chat completions",
  path: "/v1/chat/completions",
  body: (stream, extra) => ({ model: "haiku", messages: [{ role: "user", content: "hi" }], stream, ...extra }),
  wholeText: (body) => (body as { choices: { message: { content: string } }[] }).choices[0]?.message.content ?? "",
  streamText: textOf,
});

describeFormat({
  ...shared,
  name: "OpenAI legacy completions",
  path: "/v1/completions",
  body: (stream, extra) => ({ model: "haiku", prompt: "hi", stream, ...extra }),
  wholeText: (body) => (body as { choices: { text: string }[] }).choices[0]?.text ?? "",
  streamText: (raw) =>
    framesOf(raw)
      .filter((data) => data !== "[DONE]")
      .map((data) => (JSON.parse(data) as { choices: { text: string }[] }).choices[0]?.text ?? "")
      .join(""),
});

describeGolden({
  name: "OpenAI chat completions",
  folder: `${import.meta.dir}/cases`,
  path: "/v1/chat/completions",
  mount: createOpenAiRoutes,
});
