/**
 * The official `ollama` client and the AI SDK's provider against the routes, unmodified, with a scripted turn behind.
 * Over 300 lines: all that one client can call.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import { type Message, Ollama } from "ollama";
import { createOllama } from "ollama-ai-provider-v2";
import { z } from "zod";
import { createOllamaRoutes } from "../../../src/api/ollama/routes.ts";
import { DaemonError } from "../../../src/errors.ts";
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

const runner = createScriptedRunner();
const deps = createDeps(runner);
let clock = 1_700_000_000_000;
// As the daemon's own catalog does: `:latest` is the same model.
const models = { ...deps.models, get: (id: string) => deps.models.get(id.replace(/:latest$/, "")) };
const served: Served = serve(createOllamaRoutes({ ...deps, models, now: () => clock++ }));
const client = new Ollama({ host: served.url });

beforeAll(() => {
  Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });
});
afterAll(() => served.stop());
beforeEach(() => {
  runner.requests.length = 0;
});

const messages = [{ role: "user", content: "hi" }];
const base = { model: "haiku", messages };
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
const weather = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

describe("ollama: chat", () => {
  test("a whole answer has text, thinking, counts and durations", async () => {
    runner.play(() => turn([...thinking("k", "hm"), ...text("t", "Hel", "lo")]));
    const answer = await client.chat(base);
    expect(answer.message).toEqual({ role: "assistant", content: "Hello", thinking: "hm" });
    expect(answer).toMatchObject({ done: true, done_reason: "stop", prompt_eval_count: 19, eval_count: 7 });
    expect(answer.total_duration).toBeGreaterThanOrEqual(answer.load_duration + answer.eval_duration);
    expect(Number.isInteger(answer.eval_duration) && answer.eval_duration >= 1e6).toBe(true);
  });

  test("deltas arrive as they are written, not at the end", async () => {
    const goOn = Promise.withResolvers<void>();
    const [start, one, ...rest] = text("t", "one", "two");
    if (!start || !one) throw new Error("no events");
    runner.play(() => turn([start, one, { until: goOn.promise }, ...rest]));
    const seen: string[] = [];
    for await (const part of await client.chat({ ...base, stream: true })) {
      if (part.message.content !== "") seen.push(part.message.content);
      // The second delta comes only once the first one has been read here.
      if (part.message.content === "one") goOn.resolve();
    }
    expect(seen).toEqual(["one", "two"]);
  });

  test("think decides about thinking", async () => {
    runner.play(() => turn([...thinking("k", "hm"), ...text("t", "Hi")]));
    expect((await client.chat({ ...base, think: false })).message.thinking).toBeUndefined();
    expect(last().output.thinking).toBe("off");
    expect((await client.chat({ ...base, think: true })).message.thinking).toBe("hm");
    await client.chat({ ...base, think: "high" });
    expect(last().output.effort).toBe("high");
  });

  test("options, format and images reach the turn; what nothing honours is named", async () => {
    runner.play((request) => turn([turnStart({ ignored: request.unsupported }), ...text("t", '{"a":1}')].slice(1)));
    await client.chat({
      model: "haiku",
      keep_alive: "5m",
      format: { type: "object", properties: { a: { type: "number" } } },
      options: { temperature: 0.5, top_p: 0.9, num_predict: 64, stop: ["END"], num_ctx: 8192, seed: 7, top_k: 40 },
      messages: [
        { role: "SYSTEM", content: "Be kind." },
        { role: "user", content: "", images: [PIXEL] },
        { role: "user", content: "look", images: [`data:image/png;base64,${PIXEL}`] },
      ],
    });
    expect(last()).toMatchObject({
      system: "Be kind.",
      output: { temperature: 0.5, topP: 0.9, maxTokens: 64, stop: ["END"], format: { type: "schema" } },
      unsupported: ["options.seed", "options.top_k"],
      optionNames: { maxTokens: "options.num_predict", format: "format" },
    });
    const image = { type: "image", source: { kind: "base64", mediaType: "image/png", data: PIXEL } };
    expect(last().messages as unknown).toEqual([
      { role: "user", content: [image] },
      { role: "user", content: [image, { type: "text", text: "look" }] },
    ]);
    await client.chat({ ...base, format: "json", options: { num_predict: -1 } });
    expect(last().output).toEqual({ format: { type: "object" } });
  });

  test("a loop with two calls completes, streamed and whole", async () => {
    runner.play(weatherScript);
    for (const stream of [true, false]) {
      const history: Message[] = [{ role: "user", content: "weather?" }];
      const first: Message = { role: "assistant", content: "", tool_calls: [] };
      if (stream) {
        for await (const part of await client.chat({ model: "haiku", messages: history, tools: [weather], stream })) {
          first.content += part.message.content;
          first.tool_calls?.push(...(part.message.tool_calls ?? []));
        }
      } else {
        Object.assign(first, (await client.chat({ model: "haiku", messages: history, tools: [weather] })).message);
      }
      history.push(first);
      for (const made of first.tool_calls ?? []) {
        const content = `${made.function.arguments.city}: sunny`;
        history.push({ role: "tool", content, tool_name: made.function.name });
      }
      const answer = await client.chat({ model: "haiku", messages: history, tools: [weather] });
      expect(answer.message.content).toBe("Paris: sunny, Rome: sunny");
    }
  });

  test("results find their calls by id, by name, or by place", async () => {
    runner.play(() => turn(text("t", "Hi")));
    const calls = ["now", "weather", "now"].map((name, index) => ({
      id: `own-${index}`,
      function: { name, arguments: { index } },
    }));
    const idsOf = () =>
      last()
        .messages.at(-1)
        ?.content.map((block) => ("callId" in block ? block.callId : "?"));
    const ask = async (sent: object[], made: object[]) => {
      const history = [...messages, { role: "assistant", content: "", tool_calls: made }, ...sent];
      await client.chat({ model: "haiku", messages: history as Message[] });
      return idsOf();
    };
    const named = (content: string, tool_name: string) => ({ role: "tool", content, tool_name });
    expect(await ask([named("a", "weather"), named("b", "now"), named("c", "now")], calls)).toEqual([
      "own-1",
      "own-0",
      "own-2",
    ]);
    const bare = [0, 1, 2].map((index) => ({ role: "tool", content: String(index) }));
    expect(await ask(bare, calls)).toEqual(["own-0", "own-1", "own-2"]);
    const byId = { role: "tool", content: "x", tool_call_id: "own-2" };
    expect(await ask([byId, ...bare.slice(1)], calls)).toEqual(["own-2", "own-0", "own-1"]);
    // Ids that the server never gave, on either side.
    const foreign = { role: "tool", content: "x", tool_call_id: "7c1d", tool_name: "weather" };
    expect(await ask([foreign], calls.slice(0, 2))).toEqual(["own-1"]);
    const without = calls.map(({ function: made }) => ({ function: made }));
    expect(await ask(bare, without)).toEqual(["call_1_0", "call_1_1", "call_1_2"]);
    expect(String(await failureOf(ask([bare[0] ?? {}], [])))).toContain("messages[2]");
  });

  test("a late failure rejects the stream with its message", async () => {
    runner.play(() => [turnStart(), modelStart, ...text("t", "Hel"), new DaemonError("claude_crashed", "it crashed")]);
    const read = async () => {
      for await (const _ of await client.chat({ ...base, stream: true }));
    };
    expect(await failureOf(read())).toMatchObject({ message: "it crashed" });
  });

  test("a stream that the user aborts ends the turn", async () => {
    runner.play(() => turn([...text("t", "Hel").slice(0, 2), { until: new Promise(() => {}) }]));
    const ended = runner.nextEnd();
    const stream = await client.chat({ ...base, stream: true });
    const read = async () => {
      for await (const part of stream) if (part.message.content !== "") stream.abort();
    };
    await failureOf(read());
    expect((await ended).signal.aborted).toBe(true);
  });

  test("without messages a model is loaded, or let go", async () => {
    expect(await client.chat({ model: "haiku" })).toMatchObject({ done: true, done_reason: "load" });
    expect(await client.chat({ model: "haiku", keep_alive: 0 })).toMatchObject({ done_reason: "unload" });
    expect(String(await failureOf(client.chat({ model: "gpt-5" })))).toContain("model 'gpt-5' not found");
    expect(runner.requests).toHaveLength(0);
  });
});

describe("ollama: generate", () => {
  test("whole and streamed, with system and images", async () => {
    runner.play(() => turn([...thinking("k", "hm"), ...text("t", "Hel", "lo")]));
    const whole = await client.generate({ model: "haiku", prompt: "hi", system: "Be kind.", images: [PIXEL] });
    expect(whole).toMatchObject({ response: "Hello", thinking: "hm", done_reason: "stop", eval_count: 7 });
    expect(last()).toMatchObject({ system: "Be kind.", messages: [{ content: [{ type: "image" }, { text: "hi" }] }] });
    let streamed = "";
    for await (const part of await client.generate({ model: "haiku", prompt: "hi", stream: true })) {
      streamed += part.response;
    }
    expect(streamed).toBe("Hello");
  });

  test("context goes on from the conversation, whole or streamed, pictures included", async () => {
    runner.play(() => turn(text("t", "Hello 🙂")));
    const first = await client.generate({ model: "haiku", prompt: "hi", system: "Be kind.", images: [PIXEL] });
    expect(first.context.every(Number.isInteger)).toBe(true);
    let context: number[] = [];
    const second = await client.generate({ model: "haiku", prompt: "again", context: first.context, stream: true });
    for await (const part of second) context = part.context ?? context;
    await client.generate({ model: "haiku", prompt: "and again", context, system: "Be brief." });
    expect(last()).toMatchObject({
      system: "Be brief.",
      messages: [
        { role: "user", content: [{ type: "image" }, { type: "text", text: "hi" }] },
        { role: "assistant", content: [{ type: "text", text: "Hello 🙂" }] },
        { role: "user", content: [{ type: "text", text: "again" }] },
        { role: "assistant", content: [{ type: "text", text: "Hello 🙂" }] },
        { role: "user", content: [{ type: "text", text: "and again" }] },
      ],
    });
    expect(runner.requests[1]?.system).toBe("Be kind.");
  });

  test("numbers that are no context of ours are refused, whatever they are", async () => {
    runner.play(() => turn(text("t", "Hi")));
    const { context } = await client.generate({ model: "haiku", prompt: "hi" });
    const [magic = 0, length = 0, ...packed] = context;
    const bad = [
      [1, 2, 3],
      [magic],
      [magic, length],
      [magic, -1, ...packed],
      [magic, length, ...packed.slice(1)],
      [magic, length, ...packed.map((number) => number ^ 0x5555)],
      [magic, 1e15, ...packed],
    ];
    for (const numbers of bad) {
      const failure = await failureOf(client.generate({ model: "haiku", prompt: "hi", context: numbers }));
      expect(failure).toMatchObject({ status_code: 400, message: expect.stringContaining("context") });
    }
  });

  test("an empty prompt loads; raw and suffix are refused as Ollama does", async () => {
    expect(await client.generate({ model: "haiku", prompt: "" })).toMatchObject({ done_reason: "load", response: "" });
    const raw = await failureOf(client.generate({ model: "haiku", prompt: "x", raw: true, system: "s" }));
    expect(raw).toMatchObject({ message: "raw mode does not support template, system, or context" });
    const insert = await failureOf(client.generate({ model: "haiku", prompt: "x", suffix: "y" }));
    const image = await failureOf(client.generate({ model: "haiku", prompt: "x", images: ["????"] }));
    expect(image).toMatchObject({ status_code: 400, message: "images[0]: is not valid base64." });
    expect(insert).toMatchObject({ status_code: 400, message: '"haiku" does not support insert' });
  });
});

describe("ollama: models and the rest", () => {
  test("models are listed with a tag, shown by either name, and pulled at once", async () => {
    const { models: listed } = await client.list();
    expect(listed.map((model) => model.name)).toEqual(["claude-code:latest", "haiku:latest", "claude-haiku-4-5/x:1"]);
    expect(listed[0]?.digest).toMatch(/^[0-9a-f]{64}$/);
    for (const name of ["haiku", "haiku:latest"]) {
      const shown = await client.show({ model: name });
      expect(shown.capabilities).toContain("tools");
      expect(shown.model_info).toMatchObject({ "claude.context_length": 200_000 });
      expect(await client.pull({ model: name })).toMatchObject({ status: "success" });
    }
    const statuses: string[] = [];
    for await (const part of await client.pull({ model: "haiku", stream: true })) statuses.push(part.status);
    expect(statuses).toEqual(["pulling manifest", "success"]);
    expect((await client.ps()).models).toEqual([]);
    for (const path of ["/api/ps", "/api/tags", "/api/version"]) {
      expect((await fetch(served.url + path, { method: "HEAD" })).status).toBe(200);
    }
    expect((await client.version()).version).toMatch(/^0\.(1[4-9]|[2-9]\d)\.\d+$/);
  });

  test("what cannot be done is an error as the client expects it", async () => {
    const missing = "pull model manifest: file does not exist";
    expect(await failureOf(client.pull({ model: "gpt-5" }))).toMatchObject({ message: missing });
    const read = async () => {
      for await (const _ of await client.pull({ model: "gpt-5", stream: true }));
    };
    expect(await failureOf(read())).toMatchObject({ message: missing });
    expect(await failureOf(client.embed({ model: "haiku", input: "x" }))).toMatchObject({
      status_code: 501,
      message: '"haiku" does not support embeddings',
    });
    for (const work of [
      () => client.push({ model: "haiku" }),
      () => client.create({ model: "mine", from: "haiku" }),
      () => client.copy({ source: "haiku", destination: "mine" }),
      () => client.delete({ model: "haiku" }),
    ]) {
      expect(await failureOf(work())).toMatchObject({
        status_code: 501,
        message: expect.stringContaining("is not supported by claude-code-daemon"),
      });
    }
    expect(await failureOf(client.show({ model: "gpt-5" }))).toMatchObject({
      status_code: 404,
      message: expect.stringContaining("model 'gpt-5' not found"),
    });
  });

  test("heartbeats, methods and addresses that are not there", async () => {
    const ask = (path: string, method: string, body?: string) =>
      fetch(served.url + path, { method, ...(body === undefined ? {} : { body }) });
    expect(await (await ask("/", "GET")).text()).toBe("Ollama is running");
    for (const path of ["/", "/api/tags", "/api/version"]) expect((await ask(path, "HEAD")).status).toBe(200);
    const wrong = await ask("/api/chat", "GET");
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
    for (const path of ["/api/me", "/api/experimental/web_search"]) expect((await ask(path, "POST")).status).toBe(404);
    expect(await (await ask("/api/blobs/sha256:0", "POST")).json()).toEqual({
      error: "blobs is not supported by claude-code-daemon",
    });
    expect(await (await ask("/api/chat", "POST", "")).json()).toEqual({ error: "missing request body" });
    expect(await (await ask("/api/chat", "POST", "{}")).json()).toEqual({ error: "model is required" });
    expect(await (await ask("/api/status", "GET")).json()).toEqual({ cloud: { disabled: true, source: "config" } });
  });

  test("without `stream` an answer is streamed", async () => {
    runner.play(() => turn(call("toolu_1", "f")));
    const body = JSON.stringify({ model: "haiku", messages });
    const response = await fetch(`${served.url}/api/chat`, { method: "POST", body });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(await response.text()).toContain('"arguments":{}');
  });
});

describe("ollama-ai-provider-v2", () => {
  const model = createOllama({ baseURL: `${served.url}/api` })("haiku");

  test("generateText and streamText give the same text, reason and usage", async () => {
    runner.play(() => turn([{ type: "notice", code: "retry", text: "busy" }, ...text("t", "Hel", "lo 🙂")]));
    const whole = await generateText({ model, prompt: "hi", maxRetries: 0 });
    const streamed = streamText({ model, prompt: "hi", maxRetries: 0 });
    expect([whole.text, await streamed.text]).toEqual(["Hello 🙂", "Hello 🙂"]);
    expect([whole.finishReason, await streamed.finishReason]).toEqual(["stop", "stop"]);
    expect(whole.usage).toMatchObject({ inputTokens: 19, outputTokens: 7 });
  });

  test("a multi-step tool loop completes, and objects are generated", async () => {
    runner.play(weatherScript);
    const tools = {
      weather: tool({
        inputSchema: z.object({ city: z.string() }),
        execute: async ({ city }) => `${city}: sunny`,
      }),
    };
    const options = { model, prompt: "weather?", tools, stopWhen: isStepCount(3), maxRetries: 0 };
    expect((await generateText(options)).text).toBe("Paris: sunny, Rome: sunny");
    expect(await streamText(options).text).toBe("Paris: sunny, Rome: sunny");
    runner.play(() => turn(text("t", '{"city":', '"Rome"}')));
    const output = Output.object({ schema: z.object({ city: z.string() }) });
    expect((await generateText({ model, output, prompt: "where?", maxRetries: 0 })).output).toEqual({ city: "Rome" });
    expect(last().output.format).toMatchObject({ type: "schema" });
  });
});
