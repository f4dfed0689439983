/** The Vercel AI SDK, through both of its providers that speak chat completions, and OpenAI's agents. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Agent, tool as agentTool, OpenAIChatCompletionsModel, run, setTracingDisabled } from "@openai/agents";
import { APICallError, generateObject, generateText, isStepCount, Output, streamObject, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";
import { createOpenAiRoutes } from "../../../src/api/openai/routes.ts";
import { DaemonError } from "../../../src/errors.ts";
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
import { weatherScript } from "./weather.ts";

const runner = createScriptedRunner();
const served: Served = serve(createOpenAiRoutes(createDeps(runner)));
const baseURL = `${served.url}/v1`;
const PROVIDERS = {
  "@ai-sdk/openai-compatible": createOpenAICompatible({
    name: "daemon",
    baseURL,
    includeUsage: true,
    supportsStructuredOutputs: true,
  })("haiku"),
  "@ai-sdk/openai .chat": createOpenAI({ apiKey: "any", baseURL }).chat("haiku"),
};

beforeAll(() => {
  setTracingDisabled(true);
  Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });
});
afterAll(() => served.stop());
beforeEach(() => {
  runner.requests.length = 0;
});

for (const [name, model] of Object.entries(PROVIDERS)) {
  describe(name, () => {
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
    });

    const tools = {
      weather: tool({
        description: "The weather of a city",
        inputSchema: z.object({ city: z.string() }),
        execute: async ({ city }) => `${city}: sunny`,
      }),
    };

    test("a multi-step tool loop completes with two parallel calls", async () => {
      runner.play(weatherScript);
      const whole = await generateText({ model, prompt: "weather?", tools, stopWhen: isStepCount(3), maxRetries: 0 });
      expect(whole.text).toBe("Paris: sunny, Rome: sunny");
      expect(whole.steps[0]?.finishReason).toBe("tool-calls");
      expect(runner.requests).toHaveLength(2);
      const streamed = streamText({ model, prompt: "weather?", tools, stopWhen: isStepCount(3), maxRetries: 0 });
      expect(await streamed.text).toBe("Paris: sunny, Rome: sunny");
      expect(runner.requests).toHaveLength(4);
      expect(runner.requests[3]?.messages.at(-1)?.content).toMatchObject([
        { type: "client-result", callId: "toolu_1", content: [{ type: "text", text: "Paris: sunny" }] },
        { type: "client-result", callId: "toolu_2", content: [{ type: "text", text: "Rome: sunny" }] },
      ]);
    });

    test("objects are generated and streamed", async () => {
      const schema = z.object({ name: z.string(), age: z.number() });
      runner.play(() => turn(text("t", '{"name":"Ann"', ',"age":7}')));
      expect((await generateObject({ model, schema, prompt: "who?", maxRetries: 0 })).object).toEqual({
        name: "Ann",
        age: 7,
      });
      expect(runner.requests.at(-1)?.output.format).not.toBeUndefined();
      const streamed = streamObject({ model, schema, prompt: "who?", maxRetries: 0 });
      // The SDK pulls the stream only for a reader of the parts.
      const parts: unknown[] = [];
      for await (const part of streamed.partialObjectStream) parts.push(part);
      expect(parts.length).toBeGreaterThan(1);
      expect(await streamed.object).toEqual({ name: "Ann", age: 7 });
      const output = Output.object({ schema });
      expect((await generateText({ model, output, prompt: "who?", maxRetries: 0 })).output).toEqual({
        name: "Ann",
        age: 7,
      });
    });

    test("failures keep their status and message, early and late", async () => {
      runner.play(() => [new DaemonError("usage_limit", "used up until noon")]);
      const early: unknown = await generateText({ model, prompt: "hi", maxRetries: 0 }).catch((error) => error);
      expect(APICallError.isInstance(early) && early.statusCode).toBe(429);
      expect(early).toMatchObject({ message: "used up until noon" });
      runner.play(() => [
        turnStart(),
        modelStart,
        ...text("t", "Hel"),
        new DaemonError("claude_crashed", "it crashed"),
      ]);
      const errors: unknown[] = [];
      const late = streamText({ model, prompt: "hi", maxRetries: 0, onError: ({ error }) => void errors.push(error) });
      await late.consumeStream();
      expect(errors[0]).toMatchObject({ message: "it crashed" });
    });
  });
}

test("@ai-sdk/openai-compatible shows the thinking", async () => {
  runner.play(() => turn([...thinking("k", "Let me ", "see."), ...text("t", "Hi")]));
  const model = PROVIDERS["@ai-sdk/openai-compatible"];
  expect((await generateText({ model, prompt: "hi" })).reasoningText).toBe("Let me see.");
  expect(await streamText({ model, prompt: "hi" }).reasoningText).toBe("Let me see.");
});

describe("@openai/agents", () => {
  const client = new OpenAI({ apiKey: "any", baseURL, maxRetries: 0 });
  const agent = new Agent({
    name: "forecaster",
    model: new OpenAIChatCompletionsModel(client, "haiku"),
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
    const streamed = await run(agent, "weather?", { stream: true });
    await streamed.completed;
    expect(streamed.finalOutput).toBe("Paris: sunny, Rome: sunny");
  });
});
