/** The official `openai` SDK against the routes, unmodified: what its users call, with a scripted turn behind. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import OpenAI, {
  APIConnectionError,
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from "openai";
import { LengthFinishReasonError } from "openai/core/error";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { createOpenAiRoutes } from "../../../src/api/openai/routes.ts";
import { DaemonError, ERRORS, type ErrorCode } from "../../../src/errors.ts";
import type { TurnRequest } from "../../../src/turn/request.ts";
import {
  call,
  createDeps,
  createScriptedRunner,
  modelStart,
  type Served,
  type Step,
  serve,
  text,
  thinking,
  turn,
  turnStart,
} from "../scripted-runner.ts";
import { weatherScript } from "./weather.ts";

const runner = createScriptedRunner();
let served: Served;
let client: OpenAI;

beforeAll(() => {
  served = serve(createOpenAiRoutes(createDeps(runner)));
  client = new OpenAI({ apiKey: "any", baseURL: `${served.url}/v1`, maxRetries: 0 });
});
afterAll(() => served.stop());
beforeEach(() => {
  runner.requests.length = 0;
});

const messages = [{ role: "user" as const, content: "hi" }];
const base = { model: "haiku", messages };
const last = (): TurnRequest => {
  const request = runner.requests.at(-1);
  if (!request) throw new Error("no request arrived");
  return request;
};

describe("answers", () => {
  test("a whole answer has text, finish reason, usage and a request id", async () => {
    runner.play(() => turn(text("t", "Hel", "lo")));
    const answer = await client.chat.completions.create(base);
    expect(answer.choices[0]?.message.content).toBe("Hello");
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect(answer.usage).toMatchObject({ prompt_tokens: 19, completion_tokens: 7, total_tokens: 26 });
    expect(answer.usage?.prompt_tokens_details?.cached_tokens).toBe(5);
    expect(answer._request_id).toMatch(/^req_/);
  });

  test("deltas arrive as they are written, not at the end", async () => {
    const goOn = Promise.withResolvers<void>();
    const [start, one, ...rest] = text("t", "one", "two");
    if (!start || !one) throw new Error("no events");
    runner.play(() => turn([start, one, { until: goOn.promise }, ...rest]));
    const stream = await client.chat.completions.create({ ...base, stream: true });
    const seen: string[] = [];
    for await (const chunk of stream) {
      const content = chunk.choices[0]?.delta.content;
      if (content) seen.push(content);
      // The second delta comes only once the first one has been read here.
      if (content === "one") goOn.resolve();
    }
    expect(seen).toEqual(["one", "two"]);
  });

  test("usage comes only if asked for", async () => {
    runner.play(() => turn(text("t", "Hi")));
    const totals: (number | undefined)[] = [];
    for (const include_usage of [true, false]) {
      let total: number | undefined;
      const stream = await client.chat.completions.create({ ...base, stream: true, stream_options: { include_usage } });
      for await (const chunk of stream) total = chunk.usage?.total_tokens ?? total;
      totals.push(total);
    }
    expect(totals).toEqual([26, undefined]);
  });

  test("the stream helper gives the final completion", async () => {
    runner.play(() => turn([...thinking("k", "hm"), ...text("t", "Hel", "lo")]));
    const stream = client.chat.completions.stream({ ...base, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe("Hello");
    expect(final.choices[0]?.finish_reason).toBe("stop");
    expect(final.usage?.total_tokens).toBe(26);
  });

  test("a stream that the user leaves ends the turn", async () => {
    runner.play(() => turn([...text("t", "Hel").slice(0, 2), { until: new Promise(() => {}) }]));
    const ended = runner.nextEnd();
    const stream = await client.chat.completions.create({ ...base, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    expect((await ended).signal.aborted).toBe(true);
  });

  test("a late failure rejects the stream with its message", async () => {
    runner.play(() => [
      turnStart(),
      modelStart,
      ...text("t", "Hel"),
      new DaemonError("claude_crashed", "it crashed; send the request again"),
    ]);
    const stream = client.chat.completions.stream(base);
    expect(await stream.finalChatCompletion().catch((error: unknown) => error)).toMatchObject({
      message: expect.stringContaining("it crashed"),
    });
  });

  test("the legacy endpoint answers and streams", async () => {
    runner.play(() => turn(text("t", "Hel", "lo")));
    const whole = await client.completions.create({ model: "haiku", prompt: "hi" });
    expect(whole.choices[0]?.text).toBe("Hello");
    let streamed = "";
    const stream = await client.completions.create({ model: "haiku", prompt: ["hi"], stream: true });
    for await (const chunk of stream) streamed += chunk.choices[0]?.text ?? "";
    expect(streamed).toBe("Hello");
    expect(last().messages).toEqual([{ role: "user", content: [{ type: "text", text: "hi" }] }]);
  });
});

describe("tools and formats", () => {
  const place = z.object({ city: z.string() });
  const ran: string[] = [];
  const tools = [
    zodFunction({
      name: "weather",
      description: "The weather of a city",
      parameters: place,
      function: ({ city }) => {
        ran.push(city);
        return `${city}: sunny`;
      },
    }),
  ];

  for (const stream of [false, true]) {
    test(`runTools completes its loop with two parallel calls, ${stream ? "streamed" : "whole"}`, async () => {
      ran.length = 0;
      runner.play(weatherScript);
      const body = { ...base, tools };
      const loop = stream
        ? client.chat.completions.runTools({ ...body, stream: true })
        : client.chat.completions.runTools(body);
      expect(await loop.finalContent()).toBe("Paris: sunny, Rome: sunny");
      expect(ran.sort()).toEqual(["Paris", "Rome"]);
      expect(runner.requests).toHaveLength(2);
      expect(last().messages.map((message) => message.content.map((block) => block.type))).toEqual([
        ["text"],
        ["text", "client-call", "client-call"],
        ["client-result", "client-result"],
      ]);
      expect(last().tools[0]).toMatchObject({ name: "weather", description: "The weather of a city" });
    });
  }

  test("the stream helper collects parallel calls with their ids, names and arguments", async () => {
    runner.play(weatherScript);
    const final = await client.chat.completions
      .stream({ ...base, tools: [{ type: "function", function: { name: "weather" } }] })
      .finalChatCompletion();
    expect(final.choices[0]?.finish_reason).toBe("tool_calls");
    expect(
      final.choices[0]?.message.tool_calls?.map((entry) => entry.type === "function" && entry.function.arguments),
    ).toEqual(['{"city":"Paris"}', '{"city":"Rome"}']);
  });

  test("a legacy function call is answered in its own dialect", async () => {
    runner.play(() =>
      turn(call("toolu_1", "weather", '{"city":"Paris"}'), { reason: { unified: "tool-calls", raw: "" } }),
    );
    const functions = [{ name: "weather", parameters: { type: "object", properties: {} } }];
    const first = await client.chat.completions.create({ ...base, functions });
    const message = first.choices[0]?.message;
    expect(message?.function_call).toEqual({ name: "weather", arguments: '{"city":"Paris"}' });
    if (!message) throw new Error("no message");
    const result = { role: "function" as const, name: "weather", content: "sunny" };
    await client.chat.completions.create({ ...base, functions, messages: [...messages, message, result] });
    const [, called, answered] = last().messages;
    expect(answered?.content[0]).toMatchObject({
      type: "client-result",
      callId: called?.content[0]?.type === "client-call" ? called.content[0].id : "none",
    });
  });

  test("parse gives the validated object", async () => {
    const Event = z.object({ name: z.string(), people: z.array(z.string()) });
    runner.play(() => turn(text("t", '{"name":"fair",', '"people":["Ann"]}')));
    const parsed = await client.chat.completions.parse({ ...base, response_format: zodResponseFormat(Event, "event") });
    expect(parsed.choices[0]?.message.parsed).toEqual({ name: "fair", people: ["Ann"] });
    expect(last().output.format).toMatchObject({ type: "schema", schema: { type: "object" } });
    const streamed = client.chat.completions.stream({ ...base, response_format: zodResponseFormat(Event, "event") });
    expect((await streamed.finalChatCompletion()).choices[0]?.message.parsed).toEqual({
      name: "fair",
      people: ["Ann"],
    });
    runner.play(() => turn(text("t", '{"na'), { reason: { unified: "length", raw: "max_tokens" } }));
    const cut = client.chat.completions.parse({ ...base, response_format: zodResponseFormat(Event, "event") });
    expect(await cut.catch((error: unknown) => error)).toBeInstanceOf(LengthFinishReasonError);
  });
});

describe("errors are the SDK's own types", () => {
  const classOf = (status: number) => {
    if (status >= 500) return InternalServerError;
    const known = {
      400: BadRequestError,
      401: AuthenticationError,
      403: PermissionDeniedError,
      404: NotFoundError,
      409: ConflictError,
      429: RateLimitError,
    };
    return known[status as keyof typeof known] ?? APIError;
  };
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    test(code, async () => {
      runner.play((): Step[] => [new DaemonError(code, "what to do next")]);
      for (const stream of [false, true]) {
        const error: unknown = await client.chat.completions.create({ ...base, stream }).catch((thrown) => thrown);
        if (!(error instanceof APIError)) throw error;
        expect(error).toBeInstanceOf(classOf(error.status));
        expect(error).not.toBeInstanceOf(APIConnectionError);
        expect(error.message).toContain("what to do next");
        expect(error.requestID).toMatch(/^req_/);
      }
    });
  }

  test("a wrong field is named", async () => {
    const odd = { role: "user" as const, content: 5 as unknown as string };
    const error: unknown = await client.chat.completions
      .create({ ...base, messages: [...messages, odd] })
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ status: 400, param: "messages[1].content", type: "invalid_request_error" });
  });

  test("what is retryable is retried, and the retry says so; what an agent began is not", async () => {
    const retrying = new OpenAI({ apiKey: "any", baseURL: `${served.url}/v1`, maxRetries: 1 });
    const failure = (agentStarted: boolean) =>
      new DaemonError("overloaded", "busy", { detail: { agentStarted, retryAfterSeconds: 0 } });
    runner.play((request) => (request.retry.attempt === 0 ? [failure(false)] : turn(text("t", "Hi"))));
    expect((await retrying.chat.completions.create(base)).choices[0]?.message.content).toBe("Hi");
    expect(runner.requests.map((request) => request.retry.attempt)).toEqual([0, 1]);
    expect(runner.requests[0]?.retry.bodyDigest).toBe(runner.requests[1]?.retry.bodyDigest ?? "none");
    runner.requests.length = 0;
    runner.play(() => [failure(true)]);
    await retrying.chat.completions.create(base).catch(() => {});
    expect(runner.requests).toHaveLength(1);
  });
});

describe("models", () => {
  test("are listed and found by ids with slashes and colons", async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toEqual(["claude-code", "haiku", "claude-haiku-4-5/x:1"]);
    for (const id of ids) expect(await client.models.retrieve(id)).toMatchObject({ id, object: "model" });
    expect((await fetch(`${served.url}/v1/models/claude-haiku-4-5/x:1`)).status).toBe(200);
  });

  test("an unknown one is a 404 that lists what there is", async () => {
    const error: unknown = await client.models.retrieve("gpt-5").catch((thrown) => thrown);
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error).toMatchObject({ code: "model_not_found", param: "model", message: expect.stringContaining("haiku") });
  });
});
