/** The Vercel AI SDK's default OpenAI provider, and OpenAI's agents on their default model. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createOpenAI } from "@ai-sdk/openai";
import { Agent, tool as agentTool, OpenAIResponsesModel, run, setTracingDisabled } from "@openai/agents";
import {
  APICallError,
  generateObject,
  generateText,
  isStepCount,
  type ModelMessage,
  Output,
  streamText,
  tool,
} from "ai";
import OpenAI from "openai";
import { z } from "zod";
import { createResponsesRoutes } from "../../../src/api/responses/routes.ts";
import { createId } from "../../../src/api/shared/ids.ts";
import { DaemonError } from "../../../src/errors.ts";
import { weatherScript } from "../openai/weather.ts";
import {
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
import { createMemoryArchive } from "./memory-archive.ts";

const runner = createScriptedRunner();
const served: Served = serve(
  createResponsesRoutes({ ...createDeps(runner), newId: createId, archive: createMemoryArchive() }),
);
const baseURL = `${served.url}/v1`;
const model = createOpenAI({ apiKey: "any", baseURL })("haiku");
const bodies: string[] = [];
/** What the SDK really sends. */
const recording = createOpenAI({
  apiKey: "any",
  baseURL,
  fetch: Object.assign(
    (url: Parameters<typeof fetch>[0], init?: RequestInit) => {
      bodies.push(String(init?.body));
      return fetch(url, init);
    },
    { preconnect: fetch.preconnect },
  ),
})("haiku");

beforeAll(() => {
  setTracingDisabled(true);
  Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });
});
afterAll(() => served.stop());
beforeEach(() => {
  runner.requests.length = 0;
  bodies.length = 0;
});

describe("@ai-sdk/openai", () => {
  test("generateText and streamText give the same text, reason and usage", async () => {
    runner.play(() => turn([...thinking("k", "hm"), ...text("t", "Hel", "lo 🙂")]));
    const whole = await generateText({ model, prompt: "hi", maxRetries: 0 });
    expect(whole.text).toBe("Hello 🙂");
    const streamed = streamText({ model, prompt: "hi", maxRetries: 0 });
    const seen: string[] = [];
    for await (const delta of streamed.textStream) seen.push(delta);
    expect(seen.join("")).toBe("Hello 🙂");
    for (const result of [whole, { finishReason: await streamed.finishReason, usage: await streamed.usage }]) {
      expect(result.finishReason).toBe("stop");
      expect(result.usage).toMatchObject({ inputTokens: 19, outputTokens: 7, totalTokens: 26 });
    }
    expect(whole.reasoningText).toBe("hm");
    expect(await streamed.reasoningText).toBe("hm");
  });

  const tools = {
    weather: tool({
      description: "The weather of a city",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => `${city}: sunny`,
    }),
  };

  for (const stream of [false, true]) {
    test(`a multi-step tool loop, which refers to items by their ids, ${stream ? "streamed" : "whole"}`, async () => {
      runner.play(weatherScript);
      const options = { model: recording, prompt: "weather?", tools, stopWhen: isStepCount(3), maxRetries: 0 };
      const answer = stream ? await streamText(options).text : (await generateText(options)).text;
      expect(answer).toBe("Paris: sunny, Rome: sunny");
      expect(bodies[1]).toContain('"item_reference"');
      expect(bodies[1]).not.toContain("Let me see.");
      expect(runner.requests).toHaveLength(2);
      const [, said, results] = runner.requests[1]?.messages ?? [];
      expect(said?.content).toMatchObject([
        { type: "text", text: "Let me see." },
        { type: "client-call", id: "toolu_1", name: "weather", input: { city: "Paris" } },
        { type: "client-call", id: "toolu_2", name: "weather", input: { city: "Rome" } },
      ]);
      expect(results?.content).toMatchObject([
        { type: "client-result", callId: "toolu_1", content: [{ type: "text", text: "Paris: sunny" }] },
        { type: "client-result", callId: "toolu_2", content: [{ type: "text", text: "Rome: sunny" }] },
      ]);
    });
  }

  test("a conversation is sent as references to what was said, thinking included", async () => {
    runner.play(() => turn([...thinking("k", "hm"), ...text("t", "one")]));
    const messages: ModelMessage[] = [{ role: "user", content: "hi" }];
    const first = await generateText({ model: recording, messages, maxRetries: 0 });
    messages.push(...first.response.messages, { role: "user", content: "and?" });
    await generateText({ model: recording, messages, maxRetries: 0 });
    expect(bodies[1]).toContain('"item_reference"');
    expect(runner.requests[1]?.messages).toMatchObject([
      { role: "user" },
      {
        role: "assistant",
        content: [
          { type: "thinking", signature: "c2ln" },
          { type: "text", text: "one" },
        ],
      },
      { role: "user", content: [{ text: "and?" }] },
    ]);
  });

  test("images, files, system and parameters arrive", async () => {
    const png = Uint8Array.fromBase64(
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=",
    );
    const pdf = new TextEncoder().encode("%PDF-1.4 x");
    runner.play(() => turn(text("t", "Hi")));
    await generateText({
      model,
      system: "Be kind.",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "see" },
            { type: "file", data: png, mediaType: "image/png" },
            { type: "file", data: pdf, mediaType: "application/pdf", filename: "a.pdf" },
          ],
        },
      ],
      maxOutputTokens: 99,
      providerOptions: { openai: { reasoningEffort: "low" } },
      maxRetries: 0,
    });
    expect(runner.requests[0]).toMatchObject({
      system: "Be kind.",
      output: { maxTokens: 99 },
      messages: [
        {
          content: [
            { type: "text", text: "see" },
            { type: "image", source: { kind: "base64", mediaType: "image/png" } },
            { type: "document", mediaType: "application/pdf", title: "a.pdf" },
          ],
        },
      ],
    });
  });

  test("objects are generated", async () => {
    const schema = z.object({ name: z.string(), age: z.number() });
    runner.play(() => turn(text("t", '{"name":"Ann"', ',"age":7}')));
    expect((await generateObject({ model, schema, prompt: "who?", maxRetries: 0 })).object).toEqual({
      name: "Ann",
      age: 7,
    });
    expect(runner.requests.at(-1)?.output.format).toMatchObject({ type: "schema", schema: { type: "object" } });
    const output = Output.object({ schema });
    const streamed = streamText({ model, output, prompt: "who?", maxRetries: 0 });
    expect(await streamed.output).toEqual({ name: "Ann", age: 7 });
  });

  test("failures keep their status and message, early and late", async () => {
    runner.play(() => [new DaemonError("usage_limit", "used up until noon")]);
    const early: unknown = await generateText({ model, prompt: "hi", maxRetries: 0 }).catch((error) => error);
    expect(APICallError.isInstance(early) && early.statusCode).toBe(429);
    expect(early).toMatchObject({ message: "used up until noon" });
    runner.play(() => [turnStart(), modelStart, ...text("t", "Hel"), new DaemonError("claude_crashed", "it crashed")]);
    const errors: unknown[] = [];
    const late = streamText({ model, prompt: "hi", maxRetries: 0, onError: ({ error }) => void errors.push(error) });
    await late.consumeStream();
    expect(JSON.stringify(errors[0], Object.getOwnPropertyNames(errors[0] ?? {}))).toContain("it crashed");
  });
});

describe("@openai/agents", () => {
  const client = new OpenAI({ apiKey: "any", baseURL, maxRetries: 0 });
  const responses = new OpenAIResponsesModel(client, "haiku");
  const agent = new Agent({
    name: "forecaster",
    instructions: "Be exact.",
    model: responses,
    tools: [
      agentTool({
        name: "weather",
        description: "The weather of a city",
        parameters: z.object({ city: z.string() }),
        execute: async ({ city }) => `${city}: sunny`,
      }),
    ],
  });

  test("runs its loop with two parallel calls, streamed and whole", async () => {
    runner.play(weatherScript);
    expect((await run(agent, "weather?")).finalOutput).toBe("Paris: sunny, Rome: sunny");
    expect(runner.requests[1]?.system).toBe("Be exact.");
    const streamed = await run(agent, "weather?", { stream: true });
    await streamed.completed;
    expect(streamed.finalOutput).toBe("Paris: sunny, Rome: sunny");
  });

  test("goes on by the id of the last response", async () => {
    runner.play(() => turn(text("t", "one")));
    const first = await run(agent, "hi");
    await run(agent, "and?", { previousResponseId: first.lastResponseId ?? "none" });
    expect(runner.requests[1]?.messages.map((message) => message.role)).toEqual(["user", "assistant", "user"]);
  });

  test("gives structured output", async () => {
    const Person = z.object({ name: z.string(), age: z.number() });
    const structured = new Agent({ name: "clerk", model: responses, outputType: Person });
    runner.play(() => turn(text("t", '{"name":"Ann","age":7}')));
    expect((await run(structured, "who?")).finalOutput).toEqual({ name: "Ann", age: 7 });
    expect(runner.requests[0]?.output.format).toMatchObject({ type: "schema" });
  });

  test("a late failure rejects the run", async () => {
    runner.play(() => [turnStart(), modelStart, ...text("t", "Hel"), new DaemonError("claude_crashed", "it crashed")]);
    const streamed = await run(agent, "hi", { stream: true });
    const thrown: unknown = await streamed.completed.then(
      () => "it did not fail",
      (error: unknown) => error,
    );
    expect(String(thrown)).toContain("it crashed");
  });
});
