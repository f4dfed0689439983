/** The same SDKs against the real engine and the real `claude`, with a scripted model API behind it. */
import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { generateText, isStepCount, streamText, tool } from "ai";
import { Elysia } from "elysia";
import { z } from "zod";
import { createAnthropicRoutes, createSharedPaths } from "../../../src/api/anthropic/routes.ts";
import { createOpenAiRoutes } from "../../../src/api/openai/routes.ts";
import { type Running, startEngine } from "../../sessions/harness.ts";
import { type ApiRequest, lastWords } from "../../support/anthropic-api.ts";
import {
  apiError,
  CUT,
  createGate,
  DROP,
  message,
  promptTooLong,
  type Reply,
  rateLimited,
  streamError,
  text,
  textBlock,
  thinkingBlock,
  toolBlock,
} from "../../support/api-reply.ts";
import { CLAUDE_PATH, createClaudeHome } from "../../support/claude.ts";
import { createDeps, createScriptedRunner, type Served, serve } from "../scripted-runner.ts";
import { scriptWeather } from "../weather.ts";

// Real processes on a machine that does other things too; nothing waits for it.
setDefaultTimeout(60_000);

let running: Running;
let served: Served;
let client: Anthropic;

beforeAll(async () => {
  Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });
  running = await startEngine();
  const { engine } = running;
  const deps = { ...createDeps(createScriptedRunner()), runner: engine.run, models: engine.models };
  const openai = createOpenAiRoutes(deps, { otherDialect: createSharedPaths(deps) });
  served = serve(new Elysia().use(createAnthropicRoutes(deps)).use(openai));
  client = new Anthropic({ apiKey: "any", baseURL: served.url, maxRetries: 0 });
});
afterAll(async () => {
  await served.stop();
  await running[Symbol.asyncDispose]();
});
beforeEach(() => {
  running.api.drain();
  running.api.always(text("unexpected"));
});

const base = { model: "opus", max_tokens: 1000, messages: [{ role: "user" as const, content: "hi" }] };
const place = z.object({ city: z.string() });
const lastSent = (): ApiRequest["body"] => {
  const body = running.api.requests.at(-1)?.body;
  if (!body) throw new Error("nothing reached the model API");
  return body;
};

test("an answer, whole and streamed, with deltas as they come and usage", async () => {
  const { api } = running;
  const gate = createGate();
  api.script(text("Hello there"), text(["Hello ", gate, "there"]));
  const whole = await client.messages.create(base);
  expect(whole.content).toMatchObject([{ type: "text", text: "Hello there" }]);
  expect(whole).toMatchObject({ model: "opus", stop_reason: "end_turn" });
  expect(lastSent()).toMatchObject({ max_tokens: 1000 });
  const stream = client.messages.stream(base);
  let seen = "";
  stream.on("text", (delta) => {
    seen += delta;
    if (seen === "Hello ") gate.open();
  });
  const final = await stream.finalMessage();
  expect(seen).toBe("Hello there");
  expect(final.usage).toMatchObject({
    input_tokens: whole.usage.input_tokens,
    output_tokens: whole.usage.output_tokens,
  });
});

test("thinking comes with its signature to who asked for it, and goes back", async () => {
  const { api } = running;
  api.always(message([thinkingBlock(["h", "m"], "c2lnbmVk"), textBlock("Hi")]));
  const thinking = { type: "enabled" as const, budget_tokens: 1024 };
  const asked = { ...base, max_tokens: 4000, thinking };
  for (const answer of [await client.messages.create(asked), await client.messages.stream(asked).finalMessage()]) {
    expect(answer.content).toMatchObject([
      { type: "thinking", thinking: "hm", signature: "c2lnbmVk" },
      { type: "text", text: "Hi" },
    ]);
    const next = [...base.messages, { role: "assistant" as const, content: answer.content }, ...base.messages];
    expect((await client.messages.create({ ...asked, messages: next })).stop_reason).toBe("end_turn");
  }
  const plain = await client.messages.create(base);
  expect(plain.content.map((block) => block.type)).toEqual(["text"]);
  // What the API takes as "off": the field is left out, or says so.
  expect((lastSent().thinking as { type?: string } | undefined)?.type ?? "disabled").toBe("disabled");
});

for (const stream of [false, true]) {
  test(`the tool runner completes with two parallel calls, ${stream ? "streamed" : "whole"}`, async () => {
    scriptWeather(running.api);
    const ran: string[] = [];
    const weather = betaZodTool({
      name: "weather",
      description: "The weather",
      inputSchema: place,
      run: ({ city }) => {
        ran.push(city);
        return `${city}: sunny`;
      },
    });
    const final = await client.beta.messages.toolRunner({ ...base, tools: [weather], stream }).runUntilDone();
    expect(final.content).toMatchObject([{ type: "text", text: "Paris: sunny, Rome: sunny" }]);
    expect(ran.sort()).toEqual(["Paris", "Rome"]);
  });
}

test("@ai-sdk/anthropic: multi-step tools", async () => {
  const model = createAnthropic({ apiKey: "any", baseURL: `${served.url}/v1` })("opus");
  const tools = { weather: tool({ inputSchema: place, execute: async ({ city }) => `${city}: sunny` }) };
  const options = { model, tools, stopWhen: isStepCount(3), maxRetries: 0 };
  scriptWeather(running.api);
  expect((await generateText({ ...options, prompt: "weather?" })).text).toBe("Paris: sunny, Rome: sunny");
  scriptWeather(running.api);
  expect(await streamText({ ...options, prompt: "the weather?" }).text).toBe("Paris: sunny, Rome: sunny");
});

test("system, images by address and data, and documents reach the model", async () => {
  running.api.script(text("seen"));
  const data = Buffer.from("%PDF-1.4 a page").toString("base64");
  const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  await client.messages.create({
    ...base,
    system: [{ type: "text", text: "You are a parrot.", cache_control: { type: "ephemeral" } }],
    messages: [
      {
        role: "user",
        content: [
          { type: "image", source: { type: "base64", media_type: "image/png", data: pixel } },
          { type: "image", source: { type: "url", url: "https://example.com/cat.png" } },
          { type: "document", source: { type: "base64", media_type: "application/pdf", data } },
          { type: "text", text: "look" },
        ],
      },
    ],
  });
  expect(JSON.stringify(lastSent().system)).toContain("You are a parrot.");
  const sent = JSON.stringify(lastSent().messages);
  for (const part of ["image/png", "https://example.com/cat.png", "application/pdf", "look"]) {
    expect(sent).toContain(part);
  }
});

test("a forced tool, a schema, max_tokens and stop_sequences are honoured", async () => {
  const { api } = running;
  api.script(message([toolBlock("extract", { city: "Rome" }, { id: "toolu_forced" })]), text(['{"city":', '"Rome"}']));
  const forced = await client.messages.create({
    ...base,
    tools: [{ name: "extract", input_schema: { type: "object" } }],
    tool_choice: { type: "tool", name: "extract" },
  });
  expect(forced.content).toMatchObject([{ type: "tool_use", name: "extract", input: { city: "Rome" } }]);
  expect(lastSent().tool_choice).toMatchObject({ type: "tool", name: expect.stringContaining("extract") });
  const parsed = await client.messages.parse({ ...base, output_config: { format: zodOutputFormat(place) } });
  expect(parsed.parsed_output).toEqual({ city: "Rome" });
  expect(JSON.stringify(lastSent().output_config)).toContain("city");
  // Not queued: the CLI may ask the API to go on before the daemon has cut it off.
  api.always(text("Hel", { stopReason: "max_tokens" }));
  expect(await client.messages.create({ ...base, max_tokens: 5 })).toMatchObject({
    stop_reason: "max_tokens",
    content: [{ text: "Hel" }],
  });
  api.always(text(["one END", " two"]));
  expect(await client.messages.create({ ...base, stop_sequences: ["END"] })).toMatchObject({
    stop_reason: "stop_sequence",
    stop_sequence: "END",
    content: [{ text: "one " }],
  });
});

test("upstream failures keep their meaning, early with a status, late in-band", async () => {
  const { api } = running;
  const fail = (stream: boolean) =>
    client.messages.create({ ...base, stream }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  for (const stream of [false, true]) {
    api.always(promptTooLong(210_000, 200_000));
    const failure = await fail(stream);
    expect(failure).toBeInstanceOf(BadRequestError);
    expect(String(failure)).toContain("prompt is too long");
  }
  api.always(rateLimited(1));
  expect(await fail(true)).toBeInstanceOf(RateLimitError);
  api.always(text(["Hel", streamError("overloaded_error", "Overloaded")]));
  const late: unknown = await client.messages
    .stream(base)
    .finalMessage()
    .catch((thrown: unknown) => thrown);
  expect(late).toMatchObject({ error: { type: "error", error: { message: expect.any(String) } } });
  expect(await client.messages.create({ ...base, model: "gpt-5" }).catch((thrown: unknown) => thrown)).toBeInstanceOf(
    NotFoundError,
  );
});

test("the claude CLI as a client runs its own tool and goes on", async () => {
  const { api } = running;
  const report = (request: ApiRequest) =>
    text(JSON.stringify(request.body.messages).includes("42\\n43") ? "seen" : "?");
  api.script(message([toolBlock("Bash", { command: "echo 42; echo 43", description: "count" })]), report);
  await using home = await createClaudeHome();
  const child = Bun.spawn(
    [CLAUDE_PATH, "-p", "count", "--output-format=json", "--strict-mcp-config", "--allowedTools=Bash", "--model=opus"],
    { cwd: home.cwd, env: home.environment(served.url), stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const result = (await new Response(child.stdout).json()) as Record<string, unknown>;
  expect(await child.exited).toBe(0);
  expect(result).toMatchObject({ is_error: false, result: "seen", num_turns: 2 });
});

test("every fault of the model API is the SDK's own typed error", async () => {
  const faults: [string, Reply, abstract new (...fields: never[]) => APIError][] = [
    ["400", apiError(400, "tools.0: wrong"), BadRequestError],
    ["401", apiError(401, "invalid x-api-key"), AuthenticationError],
    ["403", apiError(403, "not allowed"), PermissionDeniedError],
    ["404", apiError(404, "model: claude-x"), NotFoundError],
    ["413", apiError(413, "Request exceeds the maximum size"), APIError],
    ["500", apiError(500, "Internal server error"), InternalServerError],
    ["529", apiError(529, "Overloaded"), InternalServerError],
    ["refused", DROP, InternalServerError],
    ["cut", text(["Hel", CUT]), APIError],
  ];
  running.api.always((request) => faults.find(([name]) => name === lastWords(request))?.[1] ?? text("?"));
  const told = await Promise.all(
    faults.map(async ([name, , type]) => {
      const asked = { ...base, messages: [{ role: "user" as const, content: name }] };
      const failure: unknown = await client.messages
        .stream(asked)
        .finalMessage()
        .catch((thrown: unknown) => thrown);
      return [name, failure instanceof type];
    }),
  );
  expect(told).toEqual(faults.map(([name]) => [name, true]));
});

test("models come from the CLI; counting asks no model", async () => {
  const ids: string[] = [];
  for await (const model of client.models.list()) ids.push(model.id);
  expect(ids).toContain("claude-code");
  expect((await client.models.retrieve("opus")).id).toBe("opus");
  const before = running.api.requests.length;
  const launched = running.launches.length;
  expect((await client.messages.countTokens({ model: "opus", messages: base.messages })).input_tokens).toBeGreaterThan(
    0,
  );
  expect([running.api.requests.length, running.launches.length]).toEqual([before, launched]);
});
