/** Ends of a turn, good and bad, on the real claude: what the client is told and what becomes of the process. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { type DaemonError, toDaemonError } from "../../src/errors.ts";
import { lastUserBlocks } from "../support/anthropic-api.ts";
import {
  apiError,
  CUT,
  createGate,
  message,
  rateLimited,
  text,
  textBlock,
  thinkingBlock,
  toolBlock,
} from "../support/api-reply.ts";
import { apiHistory, historyOf } from "../support/history.ts";
import { asHistory, startEngine, textOfResult, user } from "./harness.ts";

/** A cold start takes half a second, on a busy machine several. */
setDefaultTimeout(60_000);

const LOOK = { name: "look", inputSchema: { type: "object", properties: {} } };

test("max_tokens reaches the model and ends the answer with length; no continuation is shown", async () => {
  await using running = await startEngine();
  const { api, answer, engine } = running;
  api.script(message([textBlock("half a")], { stopReason: "max_tokens" }), text(" whole"));
  const result = await answer({ messages: [user("go")], output: { maxTokens: 77 } });
  expect(api.requests[0]?.body.max_tokens).toBe(77);
  expect(textOfResult(result)).toBe("half a");
  expect(result.end.reason.unified).toBe("length");
  expect(engine.status()).toMatchObject({ busy: 0, idle: 0 });
});

test("a stop sequence split over deltas cuts exactly", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  api.script(text(["one EN", "D two"]));
  const result = await answer({ messages: [user("go")], output: { stop: ["END"] } });
  expect(textOfResult(result)).toBe("one ");
  expect(result.end).toMatchObject({ reason: { unified: "stop-sequence" }, stopSequence: "END" });
});

test("a stop sequence that the API heeds leaves a process that goes on", async () => {
  await using running = await startEngine();
  const { api, answer, launches } = running;
  api.script(text("one ", { stopReason: "stop_sequence", stopSequence: "END" }));
  const first = await answer({ messages: [user("go")], output: { stop: ["END", "\n"] } });
  expect(api.requests[0]?.body.stop_sequences).toEqual(["END"]);
  expect(first.end).toMatchObject({ reason: { unified: "stop-sequence" }, stopSequence: "END" });
  const started = launches.length;
  const messages = [user("go"), asHistory(first), user("more")];
  await answer({ messages });
  expect(launches.length).toBe(started);
  expect(api.requests[1]?.body.stop_sequences).toBeUndefined();
  const last = api.requests[1];
  expect(last && historyOf(last)).toEqual(apiHistory(messages));
});

test("an error before the answer has its meaning; the next request carries the history as it was", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  const first = await answer({ messages: [user("go")] });
  const messages = [user("go"), asHistory(first), user("more")];
  api.always(apiError(400, "no such thing"));
  const failure = await answer({ messages }).catch(toDaemonError);
  expect(failure).toMatchObject({ code: "invalid_request" });
  expect((failure as DaemonError).message).toContain("no such thing");
  api.always(text("fine"));
  const again = [user("go"), asHistory(first), user("other")];
  await answer({ messages: again });
  const last = api.requests.at(-1);
  if (!last) throw new Error("no request");
  expect(historyOf(last)).toEqual(apiHistory(again));
});

test("a pause of a minute before the next try is told at once, not sat out", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  api.always(rateLimited(60));
  const failure = await answer({ messages: [user("go")] }).catch(toDaemonError);
  expect(failure).toMatchObject({ code: "rate_limited" });
  expect((failure as DaemonError).detail.retryAfterSeconds).toBeGreaterThanOrEqual(60);
  expect(api.requests.length).toBe(1);
  api.always(text("fine"));
  expect(textOfResult(await answer({ messages: [user("other")] }))).toBe("fine");
});

test("an answer that breaks off after its first words is an error, never a splice", async () => {
  await using running = await startEngine();
  const { api, ask } = running;
  const gate = createGate();
  api.script(text(["begin", gate, CUT]), text("begin again"));
  let shown = "";
  const read = async () => {
    for await (const event of ask({ messages: [user("go")] })) {
      if (event.type !== "text-delta") continue;
      shown += event.text;
      gate.open();
    }
  };
  const failure = await read().catch(toDaemonError);
  expect(shown).toBe("begin");
  expect(failure).toMatchObject({ code: "claude_failed" });
});

test("thinking, usage and the effort asked for", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  api.script(message([thinkingBlock("hm"), textBlock("so")], { usage: { input_tokens: 11, output_tokens: 3 } }));
  const result = await answer({ messages: [user("go")], output: { effort: "low" } });
  expect(result.blocks.map((block) => block.type)).toEqual(["thinking", "text"]);
  expect(result.end.usage).toMatchObject({ inputTokens: 11, outputTokens: 3 });
  expect(api.requests[0]?.body.output_config).toMatchObject({ effort: "low" });
  // Not beyond its turn.
  await answer({ messages: [user("go"), asHistory(result), user("more")] });
  expect(api.requests[1]?.body.output_config?.effort).not.toBe("low");
});

test("a turn that stalls is ended with what it has", async () => {
  await using running = await startEngine({ options: { stallTimeoutMs: 300 } });
  const { api, answer } = running;
  const gate = createGate();
  api.script(text(["half", gate, "never"]));
  const result = await answer({ messages: [user("go")] });
  expect(textOfResult(result)).toBe("half");
  expect(result.end.reason.unified).toBe("stalled");
  gate.open();
});

test("an answer far beyond what is held for a reader arrives whole", async () => {
  await using running = await startEngine();
  const { api, ask } = running;
  const line = "x".repeat(1000);
  api.script(text(Array.from({ length: 6000 }, () => line)));
  let length = 0;
  for await (const event of ask({ messages: [user("go")] }))
    if (event.type === "text-delta") length += event.text.length;
  expect(length).toBe(6_000_000);
});

test("one call at a time: a second one is neither shown nor kept", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  api.script(message([toolBlock("look", {}, { id: "toolu_1" }), toolBlock("look", {}, { id: "toolu_2" })]), text("ok"));
  const request = { tools: [LOOK], parallelToolCalls: false };
  const first = await answer({ ...request, messages: [user("go")] });
  expect(api.requests[0]?.body.tool_choice).toEqual({ type: "auto", disable_parallel_tool_use: true });
  expect(first.blocks.map((block) => block.type === "client-call" && block.id)).toEqual(["toolu_1"]);
  const messages = [
    user("go"),
    asHistory(first),
    {
      role: "user" as const,
      content: [
        {
          type: "client-result" as const,
          callId: "toolu_1",
          content: [{ type: "text" as const, text: "seen" }],
          isError: false,
        },
      ],
    },
  ];
  await answer({ ...request, messages });
  const last = api.requests.at(-1);
  if (!last) throw new Error("no request");
  expect(historyOf(last)).toEqual(apiHistory(messages));
});

test("a forced tool choice holds for its round and turns thinking off there", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  api.script(message([toolBlock("look", {}, { id: "toolu_1" })]), text("done"));
  const tools = [LOOK];
  const first = await answer({ messages: [user("go")], tools, toolChoice: { type: "tool", name: "look" } });
  expect(api.requests[0]?.body.tool_choice).toEqual({ type: "tool", name: "look" });
  expect(api.requests[0]?.body.thinking?.type).not.toBe("adaptive");
  const result = {
    type: "client-result" as const,
    callId: "toolu_1",
    content: [{ type: "text" as const, text: "r" }],
    isError: false,
  };
  await answer({ messages: [user("go"), asHistory(first), { role: "user", content: [result] }], tools });
  expect(api.requests[1]?.body.tool_choice).toBeUndefined();
});

test("a schema reaches the model natively; a model that refuses it gets the CLI's own way", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  const schema = {
    type: "object",
    properties: { a: { type: "number" } },
    required: ["a"],
    additionalProperties: false,
  };
  const output = { format: { type: "schema" as const, schema } };
  api.script(text('{"a":1}'));
  const native = await answer({ messages: [user("go")], output });
  expect(textOfResult(native)).toBe('{"a":1}');
  expect(api.requests[0]?.body.output_config).toMatchObject({ format: { type: "json_schema", schema } });
  api.always((request) =>
    request.body.output_config?.format
      ? apiError(400, "output_config.format: not supported by this model")
      : // Older CLIs ask once more after a valid call.
        lastUserBlocks(request, "tool_result").length > 0
        ? text("done")
        : message([toolBlock("StructuredOutput", { a: 2 })]),
  );
  const fallback = await answer({ messages: [user("go")], output });
  expect(JSON.parse(textOfResult(fallback))).toEqual({ a: 2 });
  expect(fallback.end.structuredOutput).toEqual({ a: 2 });
});
