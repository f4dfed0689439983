/** Responses on the real engine and the real `claude`, with a scripted model API behind it and answers kept in SQLite. */
import { expect, test } from "bun:test";
import { createOpenAI } from "@ai-sdk/openai";
import { Agent, tool as agentTool, OpenAIResponsesModel, run, setTracingDisabled } from "@openai/agents";
import { generateText, isStepCount, streamText, tool } from "ai";
import OpenAI, { BadRequestError, NotFoundError, RateLimitError } from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import type { ResponseInput } from "openai/resources/responses/responses";
import { z } from "zod";
import { createResponsesRoutes } from "../../../src/api/responses/routes.ts";
import { createId } from "../../../src/api/shared/ids.ts";
import { openSqliteStore } from "../../../src/store/sqlite-store.ts";
import type { Message } from "../../../src/turn/message.ts";
import { quietLogger } from "../../claude/harness.ts";
import { said, startEngine, user } from "../../sessions/harness.ts";
import type { AnthropicApi } from "../../support/anthropic-api.ts";
import {
  createGate,
  message,
  promptTooLong,
  rateLimited,
  streamError,
  text,
  textBlock,
  thinkingBlock,
} from "../../support/api-reply.ts";
import { apiHistory, historyOf, systemOf } from "../../support/history.ts";
import { createTmpDir } from "../../support/tmp-dir.ts";
import { createDeps, createScriptedRunner, serve } from "../scripted-runner.ts";
import { scriptWeather } from "../weather.ts";

const place = z.object({ city: z.string() });

async function start(databaseFile = ":memory:") {
  const running = await startEngine();
  const store = openSqliteStore({ path: databaseFile, log: quietLogger });
  const { engine, api, launches } = running;
  const deps = { ...createDeps(createScriptedRunner()), newId: createId, archive: store.responses };
  const served = serve(createResponsesRoutes({ ...deps, runner: engine.run, models: engine.models }));
  const baseURL = `${served.url}/v1`;
  return {
    api,
    launches,
    baseURL,
    client: new OpenAI({ apiKey: "any", baseURL, maxRetries: 0 }),
    async [Symbol.asyncDispose]() {
      await served.stop();
      await store.close();
      await running[Symbol.asyncDispose]();
    },
  };
}

/** The history of the last request that the model API received. */
function received(api: AnthropicApi) {
  const request = api.requests.at(-1);
  if (!request) throw new Error("the model API was not asked");
  return { history: historyOf(request), system: systemOf(request), body: request.body };
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => new Error("it did not fail"),
    (thrown: unknown) => thrown,
  );

test("a conversation goes on by previous_response_id: streamed, in the same process, with exactly its history", async () => {
  await using running = await start();
  const { api, client, launches } = running;
  const gate = createGate();
  api.script(text(["Hello ", gate, "there"]), message([thinkingBlock(["hm"]), textBlock("again")]), text("bye"));
  const base = { model: "opus", instructions: "Be kind." };
  let seen = "";
  let first = "";
  for await (const event of await client.responses.create({ ...base, input: "hi", stream: true })) {
    if (event.type === "response.output_text.delta") seen += event.delta;
    if (event.type === "response.completed") first = event.response.id;
    // The rest comes only once this has been read here.
    if (seen === "Hello ") gate.open();
  }
  expect(seen).toBe("Hello there");
  const started = launches.length;
  const second = await client.responses.create({ ...base, input: "and?", previous_response_id: first });
  expect(second.output.map((item) => item.type)).toEqual(["reasoning", "message"]);
  expect(second.output_text).toBe("again");
  expect(second.usage?.total_tokens).toBeGreaterThan(0);
  await client.responses.create({ ...base, input: "so?", previous_response_id: second.id });
  expect(launches.length).toBe(started);
  const { history, system } = received(api);
  const before: Message[] = [user("hi"), said("Hello there"), user("and?")];
  const shown = history.map(({ role, content }) => ({
    role,
    content: content.filter((block) => block.type !== "thinking"),
  }));
  expect(shown).toEqual(apiHistory([...before, said("again"), user("so?")]));
  expect(system).toBe("Be kind.");
});

test("it goes on after a restart of the daemon, with exactly its history", async () => {
  await using directory = await createTmpDir();
  const file = `${directory.path}/state.db`;
  let previous: string;
  {
    await using running = await start(file);
    running.api.script(text("one"), text("two"));
    const first = await running.client.responses.create({ model: "opus", input: "a" });
    const body = { model: "opus", input: "b", previous_response_id: first.id };
    previous = (await running.client.responses.stream(body).finalResponse()).id;
  }
  await using running = await start(file);
  const { api, client } = running;
  api.script(text("three"));
  const third = await client.responses.create({ model: "opus", input: "c", previous_response_id: previous });
  expect(third.output_text).toBe("three");
  expect(received(api).history).toEqual(apiHistory([user("a"), said("one"), user("b"), said("two"), user("c")]));
  expect((await client.responses.retrieve(previous)).output_text).toBe("two");
});

for (const stateful of [true, false]) {
  test(`a tool loop pauses and goes on in one process, ${stateful ? "by id" : "with the whole history"}`, async () => {
    await using running = await start();
    const { api, client, launches } = running;
    scriptWeather(api);
    const base = { model: "opus", tools: [zodResponsesFunction({ name: "weather", parameters: place })] };
    const first = await client.responses.stream({ ...base, input: "weather?", store: stateful }).finalResponse();
    const started = launches.length;
    const results: ResponseInput = first.output
      .filter((item) => item.type === "function_call")
      .map((item) => {
        const { city } = place.parse(JSON.parse(item.arguments));
        return { type: "function_call_output", call_id: item.call_id, output: `${city}: sunny` };
      });
    const history = [{ role: "user" as const, content: "weather?" }, ...(first.output as ResponseInput), ...results];
    const second = await client.responses.create(
      stateful
        ? { ...base, previous_response_id: first.id, input: results }
        : { ...base, store: false, input: history },
    );
    expect(second.output_text).toBe("Paris: sunny, Rome: sunny");
    expect(launches.length).toBe(started);
    expect(received(api).history.map(({ role, content }) => [role, ...content.map((block) => block.type)])).toEqual([
      ["user", "text"],
      ["assistant", "text", "tool_use", "tool_use"],
      ["user", "tool_result", "tool_result"],
    ]);
  });
}

test("the AI SDK's default provider and OpenAI's agents complete their loops", async () => {
  setTracingDisabled(true);
  Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });
  await using running = await start();
  const { api, client, baseURL } = running;
  const execute = async ({ city }: z.infer<typeof place>) => `${city}: sunny`;
  const options = {
    model: createOpenAI({ apiKey: "any", baseURL })("opus"),
    tools: { weather: tool({ inputSchema: place, execute }) },
    stopWhen: isStepCount(3),
    maxRetries: 0,
  };
  scriptWeather(api);
  expect((await generateText({ ...options, prompt: "weather?" })).text).toBe("Paris: sunny, Rome: sunny");
  scriptWeather(api);
  expect(await streamText({ ...options, prompt: "the weather?" }).text).toBe("Paris: sunny, Rome: sunny");
  const agent = new Agent({
    name: "forecaster",
    model: new OpenAIResponsesModel(client, "opus"),
    tools: [agentTool({ name: "weather", description: "The weather", parameters: place, execute })],
  });
  scriptWeather(api);
  expect((await run(agent, "weather!")).finalOutput).toBe("Paris: sunny, Rome: sunny");
});

test("a schema reaches the model, its object comes back; an answer that was cut is incomplete", async () => {
  await using running = await start();
  const { api, client } = running;
  api.script(text(['{"city":', '"Rome"}']));
  const format = { format: zodTextFormat(place, "place") };
  const parsed = await client.responses.parse({ model: "opus", input: "where?", text: format });
  expect(parsed.output_parsed).toEqual({ city: "Rome" });
  expect(JSON.stringify(received(api).body.output_config)).toContain("city");
  // Not queued: the CLI may ask the API to go on before the daemon has cut it off.
  api.always(text("Hel", { stopReason: "max_tokens" }));
  const cut = await client.responses.create({ model: "opus", input: "hi", max_output_tokens: 16 });
  expect(cut).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
  expect(cut.output_text).toBe("Hel");
});

test("failures keep their meaning, early with a status, late as failed", async () => {
  await using running = await start();
  const { api, client } = running;
  const base = { model: "opus", input: "hi" };
  for (const stream of [false, true]) {
    api.always(promptTooLong(210_000, 200_000));
    expect(await failure(client.responses.create({ ...base, stream }))).toMatchObject({
      code: "context_length_exceeded",
    });
  }
  api.always(rateLimited(1));
  expect(await failure(client.responses.create({ ...base, stream: true }))).toBeInstanceOf(RateLimitError);
  api.always(text(["Hel", streamError("overloaded_error", "Overloaded")]));
  const late = await fetch(`${running.baseURL}/responses`, {
    method: "POST",
    body: JSON.stringify({ ...base, stream: true }),
  });
  expect(await late.text()).toMatch(/\nevent: response\.failed\ndata: \{[^\n]*"status":"failed"[^\n]*\}\n\n$/);
  const unknown = await failure(client.responses.create({ ...base, model: "gpt-5" }));
  expect(unknown).toBeInstanceOf(NotFoundError);
  expect(unknown).toMatchObject({ code: "model_not_found", param: "model" });
  const input: ResponseInput = [
    { role: "user", content: "hi" },
    { role: "assistant", content: "hm" },
  ];
  const unanswerable = await failure(client.responses.create({ model: "opus", input }));
  expect(unanswerable).toBeInstanceOf(BadRequestError);
  expect(unanswerable).toMatchObject({ param: "input", message: expect.stringContaining("input: ") });
});
