/** The official `openai` SDK against the Responses routes, unmodified, with a scripted turn behind. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import OpenAI, { APIError, BadRequestError, NotFoundError } from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import type { Response, ResponseCreateParamsNonStreaming, ResponseInput } from "openai/resources/responses/responses";
import { z } from "zod";
import { createResponsesRoutes } from "../../../src/api/responses/routes.ts";
import { createId } from "../../../src/api/shared/ids.ts";
import { DaemonError, ERRORS, type ErrorCode } from "../../../src/errors.ts";
import type { TurnRequest } from "../../../src/turn/request.ts";
import { weatherScript } from "../openai/weather.ts";
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
import { createMemoryArchive } from "./memory-archive.ts";

const runner = createScriptedRunner();
let served: Served;
let client: OpenAI;

beforeAll(() => {
  const deps = { ...createDeps(runner), newId: createId, archive: createMemoryArchive() };
  served = serve(createResponsesRoutes(deps));
  client = new OpenAI({ apiKey: "any", baseURL: `${served.url}/v1`, maxRetries: 0 });
});
afterAll(() => served.stop());
beforeEach(() => {
  runner.requests.length = 0;
  runner.play(() => turn(text("t", "Hel", "lo")));
});

const base = { model: "haiku", input: "hi" };
const last = (): TurnRequest => {
  const request = runner.requests.at(-1);
  if (!request) throw new Error("no request arrived");
  return request;
};
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => new Error("it did not fail"),
    (thrown: unknown) => thrown,
  );

describe("answers", () => {
  test("a whole answer has text, status, usage and a request id", async () => {
    const answer = await client.responses.create({ ...base, instructions: "Be kind." });
    expect(answer.output_text).toBe("Hello");
    expect(answer.status).toBe("completed");
    expect(answer.usage).toMatchObject({ input_tokens: 19, output_tokens: 7, total_tokens: 26 });
    expect(answer.usage?.input_tokens_details.cached_tokens).toBe(5);
    expect(answer._request_id).toMatch(/^req_/);
    expect(answer).toMatchObject({ instructions: "Be kind.", store: true, claude_code: { turn_id: "trn_1" } });
    expect(last()).toMatchObject({ system: "Be kind.", messages: [{ role: "user", content: [{ text: "hi" }] }] });
  });

  test("deltas arrive as they are written, not at the end", async () => {
    const goOn = Promise.withResolvers<void>();
    const [start, one, ...rest] = text("t", "one", "two");
    if (!start || !one) throw new Error("no events");
    runner.play(() => turn([start, one, { until: goOn.promise }, ...rest]));
    const seen: string[] = [];
    for await (const event of await client.responses.create({ ...base, stream: true })) {
      if (event.type !== "response.output_text.delta") continue;
      seen.push(event.delta);
      if (event.delta === "one") goOn.resolve();
    }
    expect(seen).toEqual(["one", "two"]);
  });

  test("the stream helper gives the final response, thinking and calls included", async () => {
    runner.play(() =>
      turn([...thinking("k", "h", "m"), ...text("t", "Hel", "lo"), ...call("call_1", "f", '{"a"', ":1}")], {
        reason: { unified: "tool-calls", raw: "tool_use" },
      }),
    );
    const stream = client.responses.stream(base);
    const partial: string[] = [];
    stream.on("response.output_text.delta", (event) => void partial.push(event.snapshot));
    const final = await stream.finalResponse();
    expect(partial).toEqual(["Hel", "Hello"]);
    expect(final.output_text).toBe("Hello");
    expect(final.output).toMatchObject([
      { type: "reasoning", summary: [{ text: "hm" }] },
      { type: "message", status: "completed" },
      { type: "function_call", call_id: "call_1", name: "f", arguments: '{"a":1}', status: "completed" },
    ]);
    expect(final.usage?.total_tokens).toBe(26);
  });

  test("Claude's own work, silence and permission prompts do not disturb the stream helper", async () => {
    runner.play(() =>
      turn([
        ...text("a", "I look."),
        { type: "tool-start", id: "toolu_1", name: "Bash", parentId: undefined },
        { type: "tool-run", id: "toolu_1", name: "Bash", input: { command: "ls" }, parentId: undefined },
        { type: "permission-resolved", requestId: "r", behavior: "deny", message: undefined },
        { type: "tool-end", id: "toolu_1", output: "a.txt", isError: false },
        ...text("b", "Done."),
      ]),
    );
    const stream = client.responses.stream(base);
    const activity: unknown[] = [];
    for await (const event of stream) {
      const { claude_code: extension } = event as unknown as { claude_code?: { activity: { type: string } } };
      if (extension) activity.push(extension.activity.type);
    }
    expect(activity).toEqual(["tool_start", "tool_run", "permission_resolved", "tool_end"]);
    expect((await stream.finalResponse()).output_text).toBe("I look.\n\nDone.");
  });

  test("an answer that was cut is incomplete", async () => {
    runner.play(() => turn(text("t", "Hel"), { reason: { unified: "length", raw: "max_tokens" } }));
    for (const answer of [await client.responses.create(base), await client.responses.stream(base).finalResponse()]) {
      expect(answer).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
      expect(answer.output_text).toBe("Hel");
    }
  });

  test("what was open when a turn was cut is closed; a call without its arguments is none", async () => {
    runner.play(() =>
      turn([...thinking("k", "hm").slice(0, 2), ...text("t", "Hel").slice(0, 2), ...call("c", "f", "{").slice(0, 2)], {
        reason: { unified: "interrupted", raw: undefined },
      }),
    );
    const streamed = await client.responses.stream(base).finalResponse();
    expect(streamed.output.map((item) => item.type)).toEqual(["reasoning", "message"]);
    expect(streamed.output_text).toBe("Hel");
    const whole = await client.responses.create(base);
    expect(whole.output.map((item) => item.type)).toEqual(["reasoning", "message"]);
  });

  test("an answer without words still has a message", async () => {
    runner.play(() => turn(thinking("k", "hm")));
    for (const answer of [await client.responses.create(base), await client.responses.stream(base).finalResponse()]) {
      expect(answer.output.map((item) => item.type)).toEqual(["reasoning", "message"]);
      expect(answer.output_text).toBe("");
    }
  });

  test("a stream that the user leaves ends the turn, and nothing of it is kept", async () => {
    runner.play(() => turn([...text("t", "Hel").slice(0, 2), { until: new Promise(() => {}) }]));
    const ended = runner.nextEnd();
    let id = "";
    for await (const event of await client.responses.create({ ...base, stream: true })) {
      if (event.type === "response.created") id = event.response.id;
      if (event.type === "response.output_text.delta") break;
    }
    expect((await ended).signal.aborted).toBe(true);
    expect(await failure(client.responses.retrieve(id))).toBeInstanceOf(NotFoundError);
  });

  test("a late failure throws the SDK's error, raw and in the helper", async () => {
    runner.play(() => [turnStart(), modelStart, ...text("t", "Hel"), new DaemonError("claude_crashed", "it crashed")]);
    const raw = async () => {
      for await (const _ of await client.responses.create({ ...base, stream: true }));
    };
    const thrown = await failure(raw());
    expect(thrown).toBeInstanceOf(APIError);
    expect(thrown).toMatchObject({ message: expect.stringContaining("it crashed") });
    const helped = await failure(client.responses.stream(base).finalResponse());
    expect(helped).toMatchObject({ message: expect.stringContaining("it crashed") });
  });
});

describe("tools and formats", () => {
  const place = z.object({ city: z.string() });

  for (const stateful of [true, false]) {
    test(`a loop of calls completes ${stateful ? "by previous_response_id" : "with the whole history"}`, async () => {
      runner.play(weatherScript);
      const tools = [zodResponsesFunction({ name: "weather", description: "The weather", parameters: place })];
      const first = await client.responses.parse({ ...base, tools });
      const results: ResponseInput = [];
      for (const item of first.output) {
        if (item.type !== "function_call") continue;
        const { city } = item.parsed_arguments as z.infer<typeof place>;
        results.push({ type: "function_call_output", call_id: item.call_id, output: `${city}: sunny` });
      }
      const history = [{ role: "user" as const, content: "hi" }, ...(first.output as ResponseInput), ...results];
      const second = await client.responses.create(
        stateful
          ? { model: "haiku", tools, previous_response_id: first.id, input: results }
          : { model: "haiku", tools, store: false, input: history },
      );
      expect(second.output_text).toBe("Paris: sunny, Rome: sunny");
      expect(last().messages).toEqual([
        { role: "user", content: [{ type: "text", text: "hi" }] },
        {
          role: "assistant",
          content: [
            { type: "text", text: "Let me see." },
            { type: "client-call", id: "toolu_1", name: "weather", input: { city: "Paris" } },
            { type: "client-call", id: "toolu_2", name: "weather", input: { city: "Rome" } },
          ],
        },
        {
          role: "user",
          content: ["Paris", "Rome"].map((city, index) => ({
            type: "client-result",
            callId: `toolu_${index + 1}`,
            content: [{ type: "text", text: `${city}: sunny` }],
            isError: false,
          })),
        },
      ]);
      expect(last().tools[0]).toMatchObject({ name: "weather", inputSchema: { properties: { city: {} } } });
    });
  }

  test("parse gives the validated object, whole and streamed", async () => {
    const Event = z.object({ name: z.string(), people: z.array(z.string()) });
    runner.play(() => turn(text("t", '{"name":"fair",', '"people":["Ann"]}')));
    const body = { ...base, text: { format: zodTextFormat(Event, "event") } };
    expect((await client.responses.parse(body)).output_parsed).toEqual({ name: "fair", people: ["Ann"] });
    expect(last().output.format).toMatchObject({ type: "schema", schema: { type: "object" } });
    expect((await client.responses.stream(body).finalResponse()).output_parsed).toEqual({
      name: "fair",
      people: ["Ann"],
    });
  });
});

describe("what is kept", () => {
  const say = (words: string) => runner.play(() => turn([...thinking("k", "hm"), ...text("t", words)]));
  const texts = (request: TurnRequest) =>
    request.messages.map(({ role, content }) => [
      role,
      ...content.map((block) => (block.type === "text" ? block.text : block.type)),
    ]);

  test("a conversation goes on by previous_response_id, streamed or not, and branches", async () => {
    say("one");
    const first = await client.responses.create({ ...base, instructions: "Only now." });
    say("two");
    const second = await client.responses
      .stream({ model: "haiku", input: "and?", previous_response_id: first.id })
      .finalResponse();
    expect(second.previous_response_id).toBe(first.id);
    await client.responses.create({
      model: "haiku",
      input: [
        { role: "developer", content: "Short." },
        { role: "user", content: "more" },
      ],
      previous_response_id: second.id,
    });
    expect(texts(last())).toEqual([
      ["user", "hi"],
      ["assistant", "thinking", "one"],
      ["user", "and?"],
      ["assistant", "thinking", "two"],
      ["user", "more"],
    ]);
    // Instructions are those of one request; the thinking goes back with its signature.
    expect(last().system).toBe("Short.");
    expect(last().messages[1]?.content[0]).toEqual({ type: "thinking", text: "hm", signature: "c2ln" });
    await client.responses.create({ model: "haiku", input: "else?", previous_response_id: first.id });
    expect(texts(last())).toEqual([
      ["user", "hi"],
      ["assistant", "thinking", "one"],
      ["user", "else?"],
    ]);
  });

  test("an answer is read again, its input listed in pages, and both are gone once deleted", async () => {
    const created = await client.responses.create({
      model: "haiku",
      input: [
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
        { type: "message", role: "user", content: [{ type: "input_text", text: "c" }] },
      ],
    });
    const read = await client.responses.retrieve(created.id);
    expect<unknown>({ ...read, _request_id: null }).toEqual({ ...created, _request_id: null });
    const seen: unknown[] = [];
    for await (const item of client.responses.inputItems.list(created.id, { limit: 2, order: "asc" })) seen.push(item);
    expect(seen).toMatchObject([
      { type: "message", role: "user", content: [{ type: "input_text", text: "a" }] },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "b" }] },
      { type: "message", role: "user", content: [{ type: "input_text", text: "c" }] },
    ]);
    expect(new Set(seen.map((item) => (item as { id: string }).id)).size).toBe(3);
    expect((await client.responses.inputItems.list(created.id)).data[0]).toMatchObject({ content: [{ text: "c" }] });
    expect(await failure(client.responses.cancel(created.id))).toBeInstanceOf(BadRequestError);
    await client.responses.delete(created.id);
    for (const gone of [client.responses.retrieve(created.id), client.responses.inputItems.list(created.id)]) {
      expect(await failure(Promise.resolve(gone))).toBeInstanceOf(NotFoundError);
    }
  });

  test("what an earlier request sent in vain is not named again", async () => {
    const search = { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "x" } };
    const ignored: unknown[] = [];
    let previous: string | null = null;
    runner.play((request) => [
      turnStart({ ignored: request.unsupported }),
      ...turn(text("t", "one")).filter((step) => !("type" in step) || step.type !== "turn-start"),
    ]);
    for (const input of [[search as never, { role: "user" as const, content: "hi" }], "and?"]) {
      const body: ResponseCreateParamsNonStreaming = { model: "haiku", input, previous_response_id: previous };
      const { data, response } = await client.responses.create(body).withResponse();
      previous = data.id;
      ignored.push(response.headers.get("x-claude-code-ignored"));
    }
    expect(ignored).toEqual(["input[0]", null]);
  });

  test("items are found by their ids; an unknown one is named", async () => {
    say("one");
    const first = await client.responses.create(base);
    const item = first.output.find((output) => output.type === "message");
    if (!item?.id) throw new Error("no message");
    const history = (id: string): ResponseInput => [
      { role: "user", content: "hi" },
      { type: "item_reference", id },
      { role: "user", content: "and?" },
    ];
    const second = await client.responses.create({ model: "haiku", input: history(item.id) });
    expect(texts(last())).toEqual([
      ["user", "hi"],
      ["assistant", "one"],
      ["user", "and?"],
    ]);
    // The reference was kept as what it meant.
    await client.responses.delete(first.id);
    await client.responses.create({ model: "haiku", input: "more", previous_response_id: second.id });
    expect(texts(last())[1]).toEqual(["assistant", "one"]);
    for (const id of [item.id, "msg_123", "anything"]) {
      const missing = await failure(client.responses.create({ model: "haiku", input: history(id) }));
      expect(missing).toBeInstanceOf(NotFoundError);
      expect(missing).toMatchObject({ param: "input[1]", message: expect.stringContaining(`'${id}'`) });
    }
  });

  test("nothing is kept with store: false, and what is missing is said", async () => {
    const unstored = await client.responses.create({ ...base, store: false });
    expect(unstored).toMatchObject({ store: false });
    for (const id of [unstored.id, "resp_123"]) {
      expect(await failure(client.responses.retrieve(id))).toBeInstanceOf(NotFoundError);
      const next = await failure(client.responses.create({ ...base, previous_response_id: id }));
      expect(next).toBeInstanceOf(BadRequestError);
      expect(next).toMatchObject({ code: "previous_response_not_found", param: "previous_response_id" });
      expect(next).toMatchObject({ message: expect.stringContaining(id) });
    }
  });

  test("encrypted content is shown to those who ask for it, and is taken back", async () => {
    say("one");
    const include = ["reasoning.encrypted_content" as const];
    const answers: Response[] = [
      await client.responses.create({ ...base, store: false, include }),
      await client.responses.stream({ ...base, store: false, include }).finalResponse(),
    ];
    for (const answer of answers) {
      const [reasoning] = answer.output;
      expect(reasoning?.type === "reasoning" && reasoning.encrypted_content).toBeString();
      const input = [...(answer.output as ResponseInput), { role: "user" as const, content: "and?" }];
      await client.responses.create({ model: "haiku", store: false, input });
      expect(last().messages[0]?.content[0]).toEqual({ type: "thinking", text: "hm", signature: "c2ln" });
    }
    const plain = await client.responses.create(base);
    expect(plain.output[0]).not.toHaveProperty("encrypted_content");
    expect((await client.responses.retrieve(plain.id)).output[0]).not.toHaveProperty("encrypted_content");
  });
});

describe("errors are the SDK's own types", () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    test(code, async () => {
      runner.play((): Step[] => [new DaemonError(code, "what to do next")]);
      for (const stream of [false, true]) {
        const error = await failure(client.responses.create({ ...base, stream }));
        if (!(error instanceof APIError)) throw error;
        expect(error.status).toBe(ERRORS[code].http);
        expect(error.message).toContain("what to do next");
        expect(error.requestID).toMatch(/^req_/);
      }
    });
  }
});
