import { expect } from "bun:test";
import { createOpenAiRoutes } from "../../../src/api/openai/routes.ts";
import { describeFormat, STATUSES } from "../describe-format.ts";
import { describeGolden } from "../golden.ts";
import { framesOf, textOf } from "./read.ts";

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
  statuses: STATUSES,
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
