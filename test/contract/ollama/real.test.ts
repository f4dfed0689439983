/** The same clients against the real engine and the real `claude`, with a scripted model API behind it. */
import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { generateText, isStepCount, streamText, tool } from "ai";
import { type Message, Ollama } from "ollama";
import { createOllama } from "ollama-ai-provider-v2";
import { z } from "zod";
import { createOllamaRoutes } from "../../../src/api/ollama/routes.ts";
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
} from "../../support/api-reply.ts";
import { createDeps, createScriptedRunner, type Served, serve } from "../scripted-runner.ts";
import { scriptWeather } from "../weather.ts";

// Real processes on a machine that does other things too; nothing waits for it.
setDefaultTimeout(60_000);

let running: Running;
let served: Served;
let client: Ollama;

beforeAll(async () => {
  Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });
  running = await startEngine();
  const { engine } = running;
  const deps = { ...createDeps(createScriptedRunner()), runner: engine.run, models: engine.models, now: Date.now };
  served = serve(createOllamaRoutes(deps));
  client = new Ollama({ host: served.url });
});
afterAll(async () => {
  await served.stop();
  await running[Symbol.asyncDispose]();
});
beforeEach(() => {
  running.api.drain();
  running.api.always(text("unexpected"));
});

const messages = [{ role: "user", content: "hi" }];
const lastSent = (): ApiRequest["body"] => {
  const body = running.api.requests.at(-1)?.body;
  if (!body) throw new Error("nothing reached the model API");
  return body;
};
const failureOf = (work: PromiseLike<unknown>) =>
  Promise.resolve(work).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

test("an answer, whole and streamed, with thinking, deltas as they come, counts and durations", async () => {
  const { api } = running;
  const gate = createGate();
  api.script(message([thinkingBlock(["hm"]), textBlock("Hello there")]), text(["Hello ", gate, "there"]));
  const whole = await client.chat({ model: "opus:latest", messages });
  expect(whole.message).toEqual({ role: "assistant", content: "Hello there", thinking: "hm" });
  expect(whole).toMatchObject({ model: "opus:latest", done: true, done_reason: "stop" });
  expect(whole.prompt_eval_count).toBeGreaterThan(0);
  expect(whole.total_duration).toBeGreaterThan(1e6);
  let seen = "";
  for await (const part of await client.chat({ model: "opus", messages, stream: true })) {
    seen += part.message.content;
    if (seen === "Hello ") gate.open();
  }
  expect(seen).toBe("Hello there");
});

test("a loop with two calls goes on in the same process", async () => {
  scriptWeather(running.api);
  const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
  const history: Message[] = [{ role: "user", content: "weather?" }];
  const { message: first } = await client.chat({ model: "opus", messages: history, tools: tools as never });
  expect(first.tool_calls?.map((call) => call.function.arguments)).toEqual([{ city: "Paris" }, { city: "Rome" }]);
  history.push(first);
  const launched = running.launches.length;
  for (const call of first.tool_calls ?? []) {
    history.push({ role: "tool", tool_name: "weather", content: `${call.function.arguments.city}: sunny` });
  }
  const answer = await client.chat({ model: "opus", messages: history, tools: tools as never });
  expect(answer.message.content).toBe("Paris: sunny, Rome: sunny");
  expect(running.launches.length).toBe(launched);
});

test("generate goes on from its context in the same process", async () => {
  running.api.script(text("Hello"), text("Again"));
  const first = await client.generate({ model: "opus", prompt: "hi", system: "Be kind." });
  const launched = running.launches.length;
  const second = await client.generate({ model: "opus", prompt: "more", context: first.context });
  expect(second.response).toBe("Again");
  expect(running.launches.length).toBe(launched);
  const sent = JSON.stringify(lastSent().messages);
  for (const part of ["hi", "Hello", "more"]) expect(sent).toContain(part);
  expect(JSON.stringify(lastSent().system)).toContain("Be kind.");
});

test("format, num_predict, stop and images are honoured", async () => {
  const { api } = running;
  api.script(text(['{"city":', '"Rome"}']));
  const format = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const made = await client.chat({ model: "opus", messages, format });
  expect(JSON.parse(made.message.content)).toEqual({ city: "Rome" });
  expect(JSON.stringify(lastSent().output_config)).toContain("city");
  // Not queued: the CLI may ask the API to go on before the daemon has cut it off.
  api.always(text("Hel", { stopReason: "max_tokens" }));
  const cut = await client.chat({ model: "opus", messages, options: { num_predict: 5 } });
  expect([cut.message.content, cut.done_reason]).toEqual(["Hel", "length"]);
  api.always(text(["one END", " two"]));
  const stopped = await client.chat({ model: "opus", messages, options: { stop: ["END"] } });
  expect([stopped.message.content, stopped.done_reason]).toEqual(["one ", "stop"]);
  api.always(text("seen"));
  const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  await client.chat({ model: "opus", messages: [{ role: "user", content: "look", images: [pixel] }] });
  expect(JSON.stringify(lastSent().messages)).toContain("image/png");
});

test("ollama-ai-provider-v2: multi-step tools", async () => {
  const model = createOllama({ baseURL: `${served.url}/api` })("opus");
  const tools = {
    weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `${city}: sunny` }),
  };
  const options = { model, tools, stopWhen: isStepCount(3), maxRetries: 0 };
  scriptWeather(running.api);
  expect((await generateText({ ...options, prompt: "weather?" })).text).toBe("Paris: sunny, Rome: sunny");
  scriptWeather(running.api);
  expect(await streamText({ ...options, prompt: "the weather?" }).text).toBe("Paris: sunny, Rome: sunny");
});

test("upstream failures keep their meaning, early with a status, late in the stream", async () => {
  const { api } = running;
  const read = async () => {
    for await (const _ of await client.chat({ model: "opus", messages, stream: true }));
  };
  api.always(promptTooLong(210_000, 200_000));
  expect(await failureOf(client.chat({ model: "opus", messages }))).toMatchObject({
    status_code: 400,
    message: expect.stringContaining("exceeds the context length"),
  });
  api.always(rateLimited(1));
  expect(await failureOf(read())).toMatchObject({ status_code: 429 });
  api.always(text(["Hel", streamError("overloaded_error", "Overloaded")]));
  expect(await failureOf(read())).toBeInstanceOf(Error);
  expect(await failureOf(client.chat({ model: "gpt-5", messages }))).toMatchObject({
    status_code: 404,
    message: expect.stringContaining("model 'gpt-5' not found"),
  });
});

test("every fault of the model API is the client's own error, with its status", async () => {
  const faults: [string, Reply, number][] = [
    ["400", apiError(400, "tools.0: wrong"), 400],
    ["401", apiError(401, "invalid x-api-key"), 401],
    ["403", apiError(403, "not allowed"), 403],
    ["413", apiError(413, "Request exceeds the maximum size"), 413],
    ["500", apiError(500, "Internal server error"), 502],
    ["529", apiError(529, "Overloaded"), 503],
    ["refused", DROP, 502],
  ];
  const cut = text(["Hel", CUT]);
  running.api.always((request) => {
    const asked = lastWords(request);
    return asked === "cut" ? cut : (faults.find(([name]) => name === asked)?.[1] ?? text("?"));
  });
  const ask = async (content: string) => {
    const parts = await client.chat({ model: "opus", messages: [{ role: "user", content }], stream: true });
    for await (const _ of parts);
  };
  const told = await Promise.all(
    faults.map(async ([name]) => {
      const failure = await failureOf(ask(name));
      return [name, failure instanceof Error && "status_code" in failure && failure.status_code];
    }),
  );
  expect(told).toEqual(faults.map(([name, , status]) => [name, status]));
  expect(await failureOf(ask("cut"))).toBeInstanceOf(Error);
});

test("models come from the CLI, with and without their tag", async () => {
  const names = (await client.list()).models.map((model) => model.name);
  expect(names).toContain("claude-code:latest");
  expect(names).toContain("opus:latest");
  for (const model of ["opus", "opus:latest"]) expect((await client.show({ model })).capabilities).toContain("tools");
  expect(await client.pull({ model: "opus:latest" })).toMatchObject({ status: "success" });
});
