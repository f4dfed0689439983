/**
 * The official `@anthropic-ai/sdk` against the routes, unmodified: what its users call, with a scripted turn behind.
 * Over 300 lines: all that one client can call.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import Anthropic, {
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { Elysia } from "elysia";
import { z } from "zod";
import { createAnthropicRoutes, createSharedPaths } from "../../../src/api/anthropic/routes.ts";
import { createOpenAiRoutes } from "../../../src/api/openai/routes.ts";
import { DaemonError, ERRORS, type ErrorCode } from "../../../src/errors.ts";
import type { TurnRequest } from "../../../src/turn/request.ts";
import { weatherScript } from "../openai/weather.ts";
import {
  call,
  createDeps,
  createScriptedRunner,
  modelStart,
  type Served,
  serve,
  text,
  thinking,
  turn,
  turnStart,
} from "../scripted-runner.ts";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PDF = Buffer.from("%PDF-1.4 a page").toString("base64");

const runner = createScriptedRunner();
let served: Served;
let client: Anthropic;

beforeAll(() => {
  const deps = createDeps(runner);
  const openai = createOpenAiRoutes(deps, { otherDialect: createSharedPaths(deps) });
  served = serve(new Elysia().use(createAnthropicRoutes(deps)).use(openai));
  client = new Anthropic({ apiKey: "any", baseURL: served.url, maxRetries: 0 });
});
afterAll(() => served.stop());
beforeEach(() => {
  runner.requests.length = 0;
});

const messages = [{ role: "user" as const, content: "hi" }];
const base = { model: "haiku", max_tokens: 100, messages };
const last = (): TurnRequest => {
  const request = runner.requests.at(-1);
  if (!request) throw new Error("no request arrived");
  return request;
};
const failureOf = (work: PromiseLike<unknown>) =>
  Promise.resolve(work).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

describe("answers", () => {
  test("a whole answer has text, stop reason, usage and a request id", async () => {
    runner.play(() => turn(text("t", "Hel", "lo")));
    const answer = await client.messages.create(base);
    expect(answer.content).toEqual([{ type: "text", text: "Hello" }] as never);
    expect(answer.stop_reason).toBe("end_turn");
    expect(answer.usage).toMatchObject({ input_tokens: 12, output_tokens: 7, cache_read_input_tokens: 5 });
    expect(answer._request_id).toMatch(/^req_/);
  });

  test("deltas arrive as they are written, not at the end", async () => {
    const goOn = Promise.withResolvers<void>();
    const [start, one, ...rest] = text("t", "one", "two");
    if (!start || !one) throw new Error("no events");
    runner.play(() => turn([start, one, { until: goOn.promise }, ...rest]));
    const seen: string[] = [];
    for await (const event of await client.messages.create({ ...base, stream: true })) {
      if (event.type !== "content_block_delta" || event.delta.type !== "text_delta") continue;
      seen.push(event.delta.text);
      // The second delta comes only once the first one has been read here.
      if (event.delta.text === "one") goOn.resolve();
    }
    expect(seen).toEqual(["one", "two"]);
  });

  test("the stream helper gives the final message, with thinking and its signature", async () => {
    runner.play(() =>
      turn([...thinking("k", "h", "m"), ...text("t", "Hel", "lo"), ...call("toolu_1", "f", '{"a":1}')]),
    );
    const stream = client.messages.stream({ ...base, thinking: { type: "enabled", budget_tokens: 1024 } });
    const final = await stream.finalMessage();
    expect(final.content).toEqual([
      { type: "thinking", thinking: "hm", signature: "c2ln" },
      { type: "text", text: "Hello" },
      { type: "tool_use", id: "toolu_1", name: "f", input: { a: 1 } },
    ] as never);
    expect(final.usage).toMatchObject({ input_tokens: 12, output_tokens: 7 });
    expect(last().output.thinking).toBe("on");
  });

  test("an agent's own work reaches the helper as nothing but its texts", async () => {
    runner.play(() =>
      turn([
        { type: "notice", code: "retry", text: "upstream is busy" },
        ...text("a", "I write it."),
        { type: "tool-start", id: "toolu_1", name: "Write", parentId: undefined },
        { type: "tool-run", id: "toolu_1", name: "Write", input: { file_path: "a" }, parentId: undefined },
        { type: "tool-end", id: "toolu_1", output: "ok", isError: false },
        ...text("b", "Done."),
      ]),
    );
    const whole = await client.messages.create(base);
    const final = await client.messages.stream(base).finalMessage();
    expect(final.content as unknown).toEqual(whole.content);
    expect(final.content.map((block) => block.type)).toEqual(["text", "text"]);
  });

  test("a stream that the user leaves ends the turn", async () => {
    runner.play(() => turn([...text("t", "Hel").slice(0, 2), { until: new Promise(() => {}) }]));
    const ended = runner.nextEnd();
    for await (const event of await client.messages.create({ ...base, stream: true })) {
      if (event.type === "content_block_delta") break;
    }
    expect((await ended).signal.aborted).toBe(true);
  });

  test("a late failure rejects the stream with its message", async () => {
    runner.play(() => [turnStart(), modelStart, ...text("t", "Hel"), new DaemonError("overloaded", "try later")]);
    const failure = await failureOf(client.messages.stream(base).finalMessage());
    expect(failure).toBeInstanceOf(APIError);
    expect(failure).toMatchObject({ error: { error: { type: "overloaded_error", message: "try later" } } });
  });

  test("a cut stream is no message", async () => {
    runner.play(() => [turnStart(), modelStart, ...text("t", "Hel")]);
    expect(await failureOf(client.messages.stream(base).finalMessage())).toBeInstanceOf(APIError);
  });
});

describe("requests", () => {
  test("everything a history can hold arrives one to one", async () => {
    runner.play(() => turn(text("t", "Hi")));
    await client.messages.create({
      ...base,
      system: [
        { type: "text", text: "Be kind.", cache_control: { type: "ephemeral" } },
        { type: "text", text: "Be brief." },
      ],
      stop_sequences: ["END", ""],
      output_config: { effort: "high" },
      metadata: { user_id: "u" },
      tools: [{ name: "f", description: "d", input_schema: { type: "object" }, cache_control: { type: "ephemeral" } }],
      tool_choice: { type: "any", disable_parallel_tool_use: true },
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "Look", cache_control: { type: "ephemeral" } },
            { type: "image", source: { type: "base64", media_type: "image/jpeg", data: PIXEL } },
            { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
            { type: "document", title: "p", source: { type: "base64", media_type: "application/pdf", data: PDF } },
            { type: "document", source: { type: "text", media_type: "text/plain", data: "plain" } },
          ],
        },
        { role: "user", content: "and more" },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "hm", signature: "c2ln" },
            { type: "redacted_thinking", data: "xx" },
            { type: "text", text: "I call." },
            { type: "tool_use", id: "toolu_1", name: "f", input: { a: 1 } },
          ],
        },
        {
          role: "user",
          content: [
            {
              type: "tool_result",
              tool_use_id: "toolu_1",
              content: [
                { type: "text", text: "" },
                { type: "text", text: "no" },
              ],
              is_error: true,
            },
            { type: "text", text: "go on" },
          ],
        },
      ],
    });
    expect(last()).toMatchObject({
      system: "Be kind.\nBe brief.",
      toolChoice: { type: "required" },
      parallelToolCalls: false,
      output: { maxTokens: 100, stop: ["END"], effort: "high", thinking: "off" },
      unsupported: [],
      tools: [{ name: "f", description: "d", inputSchema: { type: "object" } }],
    });
    expect(last().messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "Look" },
          { type: "image", source: { kind: "base64", mediaType: "image/png", data: PIXEL } },
          { type: "image", source: { kind: "url", url: "https://example.com/a.png" } },
          { type: "document", mediaType: "application/pdf", data: PDF, title: "p" },
          { type: "document", mediaType: "text/plain", data: "plain" },
          { type: "text", text: "and more" },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "thinking", text: "hm", signature: "c2ln" },
          { type: "redacted-thinking", data: "xx" },
          { type: "text", text: "I call." },
          { type: "client-call", id: "toolu_1", name: "f", input: { a: 1 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "client-result", callId: "toolu_1", content: [{ type: "text", text: "no" }], isError: true },
          { type: "text", text: "go on" },
        ],
      },
    ]);
  });

  test("what cannot be meant is refused with its place", async () => {
    const image = (source: unknown) => [{ role: "user", content: [{ type: "image", source }] }];
    const bad: [Record<string, unknown>, string][] = [
      [{ max_tokens: undefined }, "max_tokens: Field required"],
      [{ max_tokens: 0 }, "max_tokens: "],
      [{ messages: [] }, "messages: at least one message is required"],
      [{ messages: [{ role: "robot", content: "x" }] }, "messages.0.role: "],
      [{ messages: [{ role: "user", content: [{ type: "video" }] }] }, "messages.0.content.0.type: "],
      [{ messages: image({ type: "file", file_id: "f" }) }, "messages.0.content.0.source: "],
      [{ messages: image({ type: "base64", data: "????" }) }, "messages.0.content.0.source.data: "],
      [{ messages: [{ role: "assistant", content: [{ type: "document" }] }] }, "messages.0.content.0.type: "],
      [
        { messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_9" }] }] },
        "messages.0.content.0.tool_use_id: ",
      ],
      [{ tools: [{ input_schema: {} }] }, "tools.0.name: "],
      [{ tools: [{ name: "f" }], tool_choice: { type: "tool", name: "g" } }, "tool_choice.name: "],
      [{ output_config: { format: { type: "xml" } } }, "output_config.format.type: "],
    ];
    for (const [fields, message] of bad) {
      const failure = await failureOf(client.messages.create({ ...base, ...fields } as never));
      expect(failure).toBeInstanceOf(BadRequestError);
      expect((failure as BadRequestError).error).toMatchObject({
        error: { message: expect.stringContaining(message) },
      });
    }
    expect(runner.requests).toHaveLength(0);
  });

  test("tools that Anthropic's servers would run are named as ignored", async () => {
    runner.play((request) => [
      turnStart({ ignored: request.unsupported }),
      modelStart,
      ...turn(text("t", "Hi")).slice(2),
    ]);
    const { response } = await client.messages
      .create({ ...base, tools: [{ type: "web_search_20250305", name: "web_search" }], tool_choice: { type: "any" } })
      .withResponse();
    expect(response.headers.get("x-claude-code-ignored")).toBe("tools[0]");
    expect(last()).toMatchObject({ tools: [], toolChoice: { type: "auto" } });
  });

  test("max_tokens, which cannot be left out, is no reason for a strict refusal", async () => {
    runner.play(() => turn(text("t", "Hi")));
    await client.messages.create(base);
    expect(last().optionNames.maxTokens).toBe("max_tokens");
    await client.messages.create({ ...base, claude_code: { strict: true } } as never);
    expect(last()).toMatchObject({ output: { maxTokens: 100 }, claudeCode: { strict: true }, optionNames: {} });
    expect(last().optionNames.maxTokens).toBeUndefined();
  });

  test("any version and any key is accepted, and none", async () => {
    runner.play(() => turn(text("t", "Hi")));
    const sent: Record<string, string>[] = [
      {},
      { "x-api-key": "k" },
      { authorization: "Bearer k", "anthropic-version": "2026-10-21", "anthropic-beta": "never-heard-of-2030" },
      { "anthropic-version": "2023-06-01" },
    ];
    for (const headers of sent) {
      const init = { method: "POST", headers, body: JSON.stringify(base) };
      expect((await fetch(`${served.url}/v1/messages?beta=true`, init)).status).toBe(200);
    }
  });
});

describe("tools and formats", () => {
  for (const stream of [false, true]) {
    test(`the tool runner falls back from threads and completes, ${stream ? "streamed" : "whole"}`, async () => {
      runner.play(weatherScript);
      const ran: string[] = [];
      const weather = betaZodTool({
        name: "weather",
        description: "The weather of a city",
        inputSchema: z.object({ city: z.string() }),
        run: ({ city }) => {
          ran.push(city);
          return `${city}: sunny`;
        },
      });
      const loop = client.beta.messages.toolRunner({ ...base, tools: [weather], stream });
      const final = await loop.runUntilDone();
      expect(final.content).toMatchObject([{ type: "text", text: "Paris: sunny, Rome: sunny" }]);
      expect(ran.sort()).toEqual(["Paris", "Rome"]);
      // The second request has the whole history and the tools.
      expect(last().messages).toHaveLength(3);
      expect(last().tools).toHaveLength(1);
    });
  }

  test("a thread is refused in the words that the SDK looks for", async () => {
    const failure = await failureOf(client.messages.create({ ...base, thread: { type: "new" } } as never));
    expect((failure as BadRequestError).error).toMatchObject({
      type: "error",
      error: {
        type: "invalid_request_error",
        message: "thread: message threads are not supported",
        details: { error_code: "thread_unsupported_request", unsupported: ["thread"] },
      },
      request_id: expect.stringMatching(/^req_/),
    });
  });

  test("parse gives the object of the schema", async () => {
    runner.play(() => turn(text("t", '{"city":', '"Rome"}')));
    const format = zodOutputFormat(z.object({ city: z.string() }));
    const answer = await client.messages.parse({ ...base, output_config: { format } });
    expect(answer.parsed_output).toEqual({ city: "Rome" });
    expect(last().output.format).toMatchObject({
      type: "schema",
      schema: { properties: { city: { type: "string" } } },
    });
  });
});

describe("models and counts", () => {
  test("models are listed page by page, and found by any id", async () => {
    const ids: string[] = [];
    for await (const model of client.models.list({ limit: 1 })) ids.push(model.id);
    expect(ids).toEqual(["claude-code", "haiku", "claude-haiku-4-5/x:1"]);
    const found = await client.models.retrieve("claude-haiku-4-5/x:1");
    expect(found).toMatchObject({ type: "model", id: "claude-haiku-4-5/x:1", max_input_tokens: 200_000 });
    expect(Number.isNaN(Date.parse(found.created_at))).toBe(false);
    const missing = await failureOf(client.models.retrieve("gpt-5"));
    expect(missing).toBeInstanceOf(NotFoundError);
    expect(String(missing)).toContain("model: gpt-5");
  });

  test("without anthropic-version the same paths speak OpenAI's shape", async () => {
    const list = (await (await fetch(`${served.url}/v1/models`)).json()) as { object: string };
    expect(list.object).toBe("list");
  });

  test("counting needs no max_tokens, asks no model, and grows with what is sent", async () => {
    const counts: number[] = [];
    const sent = [
      { model: "haiku", messages },
      { model: "haiku", messages, system: "Be kind. ".repeat(100) },
      { model: "haiku", messages, tools: [{ name: "f", input_schema: { type: "object" as const } }] },
    ];
    for (const body of sent) counts.push((await client.messages.countTokens(body)).input_tokens);
    // The number is nobody's tokenizer's, and says so.
    expect(await client.messages.countTokens({ model: "haiku", messages })).toMatchObject({
      claude_code: { estimated: true },
    });
    const [plain = 0, system = 0, tools = 0] = counts;
    expect(plain).toBeGreaterThan(0);
    expect(plain).toBeLessThan(40);
    expect(system).toBeGreaterThanOrEqual(plain + 300);
    expect(tools).toBeGreaterThan(plain);
    expect(runner.requests).toHaveLength(0);
    const wrong = await failureOf(client.messages.countTokens({ model: "haiku" } as never));
    expect(String(wrong)).toContain("messages: Field required");
  });
});

describe("errors", () => {
  const classes: Partial<Record<ErrorCode, unknown>> = {
    invalid_request: BadRequestError,
    context_length_exceeded: BadRequestError,
    unauthenticated: AuthenticationError,
    claude_logged_out: AuthenticationError,
    forbidden: PermissionDeniedError,
    not_found: NotFoundError,
    model_not_found: NotFoundError,
    session_busy: ConflictError,
    queue_full: RateLimitError,
    rate_limited: RateLimitError,
    usage_limit: RateLimitError,
    internal: InternalServerError,
    claude_crashed: InternalServerError,
    overloaded: InternalServerError,
    timed_out: InternalServerError,
  };
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    test(`${code} is the SDK's own typed error`, async () => {
      runner.play(() => [new DaemonError(code, "what to do next", { detail: { retryAfterSeconds: 7 } })]);
      const failure = await failureOf(client.messages.create(base));
      expect(failure).toBeInstanceOf((classes[code] ?? APIError) as typeof APIError);
      const { error, requestID, headers } = failure as APIError;
      expect(error).toMatchObject({ request_id: requestID as string });
      expect(headers?.get("retry-after")).toBe("7");
    });
  }

  test("a history that is too long is said in the words that clients know", async () => {
    runner.play(() => [new DaemonError("context_length_exceeded", "210000 tokens > 200000 maximum")]);
    expect(String(await failureOf(client.messages.create(base)))).toContain(
      "prompt is too long: 210000 tokens > 200000",
    );
  });

  test("what is not served is an error in this shape", async () => {
    const headers = { "anthropic-version": "2023-06-01" };
    for (const [path, method, status] of [
      ["/v1/messages/batches", "POST", 404],
      ["/v1/files", "GET", 404],
      ["/v1/unheard", "GET", 404],
      ["/v1/messages", "GET", 405],
      ["/v1/models", "POST", 405],
    ] as const) {
      const response = await fetch(served.url + path, { method, headers });
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ type: "error", error: { message: expect.any(String) } });
      if (status === 405) expect(response.headers.get("allow")).not.toBeNull();
    }
  });
});
