import { expect } from "bun:test";
import { createAnthropicRoutes } from "../../../src/api/anthropic/routes.ts";
import { describeFormat, STATUSES } from "../describe-format.ts";
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
  statuses: { ...STATUSES, overloaded: 529 },
  keepsAlive: true,
});

describeGolden({
  name: "Anthropic Messages",
  folder: `${import.meta.dir}/cases`,
  path: "/v1/messages",
  mount: createAnthropicRoutes,
});
