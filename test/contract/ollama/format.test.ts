import { expect } from "bun:test";
import { createOllamaRoutes } from "../../../src/api/ollama/routes.ts";
import { describeFormat, STATUSES } from "../describe-format.ts";
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
  statuses: STATUSES,
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
