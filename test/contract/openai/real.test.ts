/** The same SDKs against the real engine and the real `claude`, with a scripted model API behind it. */
import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Agent, tool as agentTool, OpenAIChatCompletionsModel, run, setTracingDisabled } from "@openai/agents";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import OpenAI, { BadRequestError, NotFoundError, RateLimitError } from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { createOpenAiRoutes } from "../../../src/api/openai/routes.ts";
import { type Running, startEngine } from "../../sessions/harness.ts";
import {
  createGate,
  message,
  promptTooLong,
  rateLimited,
  streamError,
  text,
  textBlock,
  thinkingBlock,
  toolBlock,
  toolCall,
} from "../../support/api-reply.ts";
import { createDeps, createScriptedRunner, type Served, serve } from "../scripted-runner.ts";
import { scriptWeather } from "../weather.ts";

// Real processes on a machine that does other things too; nothing waits for it.
setDefaultTimeout(60_000);

let running: Running;
let served: Served;
let client: OpenAI;
let baseURL: string;

beforeAll(async () => {
  setTracingDisabled(true);
  running = await startEngine();
  const { engine } = running;
  const deps = createDeps(createScriptedRunner());
  served = serve(createOpenAiRoutes({ ...deps, runner: engine.run, models: engine.models }));
  baseURL = `${served.url}/v1`;
  client = new OpenAI({ apiKey: "any", baseURL, maxRetries: 0 });
});
afterAll(async () => {
  await served.stop();
  await running[Symbol.asyncDispose]();
});
beforeEach(() => {
  running.api.drain();
  running.api.always(text("unexpected"));
});

const base = { model: "opus", messages: [{ role: "user" as const, content: "hi" }] };
const place = z.object({ city: z.string() });

test("an answer, whole and streamed, with deltas as they come and usage", async () => {
  const { api } = running;
  const gate = createGate();
  api.script(message([thinkingBlock(["hm"]), textBlock(["Hello ", "there"])]), text(["Hello ", gate, "there"]));
  const whole = await client.chat.completions.create(base);
  expect(whole.choices[0]?.message.content).toBe("Hello there");
  expect(whole.choices[0]?.finish_reason).toBe("stop");
  expect(whole.model).toBe("opus");
  expect(whole.usage?.total_tokens).toBeGreaterThan(0);
  const body = { ...base, stream: true as const, stream_options: { include_usage: true } };
  let seen = "";
  let total: number | undefined;
  for await (const chunk of await client.chat.completions.create(body)) {
    seen += chunk.choices[0]?.delta.content ?? "";
    total = chunk.usage?.total_tokens ?? total;
    if (seen === "Hello ") gate.open();
  }
  expect(seen).toBe("Hello there");
  expect(total).toBe(whole.usage?.total_tokens ?? -1);
});

for (const stream of [false, true]) {
  test(`runTools completes with two parallel calls, ${stream ? "streamed" : "whole"}`, async () => {
    scriptWeather(running.api);
    const ran: string[] = [];
    const tools = [
      zodFunction({
        name: "weather",
        parameters: place,
        function: ({ city }) => {
          ran.push(city);
          return `${city}: sunny`;
        },
      }),
    ];
    const loop = stream
      ? client.chat.completions.runTools({ ...base, tools, stream: true })
      : client.chat.completions.runTools({ ...base, tools });
    expect(await loop.finalContent()).toBe("Paris: sunny, Rome: sunny");
    expect(ran.sort()).toEqual(["Paris", "Rome"]);
  });
}

for (const [name, model] of [
  [
    "@ai-sdk/openai-compatible",
    () => createOpenAICompatible({ name: "daemon", baseURL, supportsStructuredOutputs: true })("opus"),
  ],
  ["@ai-sdk/openai .chat", () => createOpenAI({ apiKey: "any", baseURL }).chat("opus")],
] as const) {
  test(`${name}: multi-step tools and objects`, async () => {
    const tools = {
      weather: tool({ inputSchema: place, execute: async ({ city }) => `${city}: sunny` }),
    };
    const options = { model: model(), tools, stopWhen: isStepCount(3), maxRetries: 0 };
    scriptWeather(running.api);
    expect((await generateText({ ...options, prompt: "weather?" })).text).toBe("Paris: sunny, Rome: sunny");
    scriptWeather(running.api);
    expect(await streamText({ ...options, prompt: "the weather?" }).text).toBe("Paris: sunny, Rome: sunny");
    running.api.script(text(['{"city":', '"Paris"}']));
    const output = Output.object({ schema: place });
    const made = await generateText({ model: model(), output, prompt: "where?", maxRetries: 0 });
    expect(made.output).toEqual({ city: "Paris" });
  });
}

test("@openai/agents runs its loop", async () => {
  scriptWeather(running.api);
  const agent = new Agent({
    name: "forecaster",
    model: new OpenAIChatCompletionsModel(client, "opus"),
    tools: [
      agentTool({
        name: "weather",
        description: "The weather",
        parameters: place,
        execute: async ({ city }) => `${city}: sunny`,
      }),
    ],
  });
  expect((await run(agent, "weather?")).finalOutput).toBe("Paris: sunny, Rome: sunny");
});

test("parse gives the object, and the schema reaches the model", async () => {
  const { api } = running;
  api.script(text(['{"city":', '"Rome"}']));
  const response_format = zodResponseFormat(place, "place");
  const parsed = await client.chat.completions.parse({ ...base, response_format });
  expect(parsed.choices[0]?.message.parsed).toEqual({ city: "Rome" });
  expect(JSON.stringify(api.requests.at(-1)?.body.output_config)).toContain("city");
});

test("json_object is the CLI's own structured output, and the content is the bare JSON, whole and streamed", async () => {
  const { api } = running;
  const response_format = { type: "json_object" as const };
  api.script(toolCall("StructuredOutput", { any: 1 }));
  const answer = await client.chat.completions.create({ ...base, response_format });
  expect(answer.choices[0]).toMatchObject({ message: { content: '{"any":1}' }, finish_reason: "stop" });
  api.script(toolCall("StructuredOutput", { any: [2] }));
  const stream = await client.chat.completions.create({ ...base, response_format, stream: true });
  let content = "";
  for await (const chunk of stream) content += chunk.choices[0]?.delta.content ?? "";
  expect(content).toBe('{"any":[2]}');
});

test("hundreds of tools of every kind reach the model, and the one that is called comes back by its own name", async () => {
  const { api } = running;
  const schemas: Record<string, unknown>[] = [
    { type: "object", $defs: { place: { type: "string" } }, properties: { at: { $ref: "#/$defs/place" } } },
    { type: "object", properties: { at: { anyOf: [{ type: "string" }, { type: "null" }] } } },
    { properties: { at: { type: "string" } } },
    {},
  ];
  const tools = Array.from({ length: 300 }, (_, index) => {
    const name = index === 7 ? "geo.find-place/v2" : `tool_${index}`;
    const parameters = schemas[index % schemas.length];
    return { type: "function" as const, function: index === 8 ? { name } : { name, parameters } };
  });
  api.script((request) => {
    const offered = request.body.tools as { name: string }[];
    expect(offered).toHaveLength(300);
    const odd = offered.find(({ name }) => name.startsWith("geo"));
    return message([toolBlock(odd?.name ?? "", { at: "x" })], { stopReason: "tool_use" });
  });
  const answer = await client.chat.completions.create({ ...base, tools: tools as never });
  const call = answer.choices[0]?.message.tool_calls?.[0];
  expect(call).toMatchObject({ function: { name: "geo.find-place/v2", arguments: '{"at":"x"}' } });
});

test("max_tokens ends with length, stop with stop", async () => {
  const { api } = running;
  // Not queued: the CLI may ask the API to go on before the daemon has cut it off.
  api.always(text("Hel", { stopReason: "max_tokens" }));
  const cut = await client.chat.completions.create({ ...base, max_completion_tokens: 5 });
  expect([cut.choices[0]?.message.content, cut.choices[0]?.finish_reason]).toEqual(["Hel", "length"]);
  api.always(text(["one END", " two"]));
  const stopped = await client.chat.completions.create({ ...base, stop: "END" });
  expect([stopped.choices[0]?.message.content, stopped.choices[0]?.finish_reason]).toEqual(["one ", "stop"]);
});

test("what is not honoured is named, or refused when strict", async () => {
  running.api.script(text("Hi"));
  const body = { ...base, seed: 7, temperature: 0.5 };
  const { response } = await client.chat.completions.create(body).withResponse();
  expect(response.headers.get("x-claude-code-ignored")?.split(", ").sort()).toEqual(["seed", "temperature"]);
  const strict = { ...body, claude_code: { strict: true } };
  const error: unknown = await client.chat.completions.create(strict).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(BadRequestError);
  expect(String(error)).toContain("seed");
});

test("upstream failures keep their meaning, early with a status, late in-band", async () => {
  const { api } = running;
  const fail = (stream: boolean) =>
    client.chat.completions.create({ ...base, stream }).catch((thrown: unknown) => thrown);
  for (const stream of [false, true]) {
    api.always(promptTooLong(210_000, 200_000));
    expect(await fail(stream)).toMatchObject({
      code: "context_length_exceeded",
      message: expect.stringContaining("maximum context length"),
    });
  }
  api.always(rateLimited(1));
  expect(await fail(true)).toBeInstanceOf(RateLimitError);
  api.always(text(["Hel", streamError("overloaded_error", "Overloaded")]));
  const stream = client.chat.completions.stream(base);
  const late: unknown = await stream.finalChatCompletion().catch((thrown) => thrown);
  expect(late).toMatchObject({ error: { message: expect.any(String) } });
});

test("models come from the CLI; an unknown one is not found", async () => {
  const ids: string[] = [];
  for await (const model of client.models.list()) ids.push(model.id);
  expect(ids).toContain("claude-code");
  expect(ids).toContain("opus");
  expect((await client.models.retrieve("opus")).id).toBe("opus");
  const error: unknown = await client.chat.completions.create({ ...base, model: "gpt-5" }).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(NotFoundError);
  expect(error).toMatchObject({ code: "model_not_found", param: "model", message: expect.stringContaining("opus") });
});

test("a client that leaves stops the model's work", async () => {
  const { api } = running;
  const gate = createGate();
  api.script(text(["begin", gate, "never"]));
  const before = api.requests.length;
  const stream = await client.chat.completions.create({ ...base, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
  expect(await api.requests[before]?.finished).toBe("closed-by-client");
  gate.open();
});
