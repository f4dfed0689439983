/** The turn reader on lines of the real CLI; hand-written lines only for what a test cannot bring it to say. */
import { expect, test } from "bun:test";
import { createTurnReader } from "../../src/claude/events.ts";
import type { ClaudeMessage } from "../../src/claude/messages.ts";
import { DaemonError } from "../../src/errors.ts";
import { collect } from "../../src/turn/collect.ts";
import type { TurnEvent } from "../../src/turn/events.ts";
import type { JsonObject } from "../../src/turn/message.ts";
import { type AnthropicApi, startAnthropicApi } from "../support/anthropic-api.ts";
import {
  CUT,
  createGate,
  message,
  promptTooLong,
  type ReplyBlock,
  type Step,
  streamError,
  text,
  textBlock,
  thinkingBlock,
  toolBlock,
  toolCall,
} from "../support/api-reply.ts";
import {
  AGENT_ARGS,
  type BareOptions,
  CHAT_ARGS,
  CLAUDE_FEATURES,
  createClaudeHome,
  startBareClaude,
} from "../support/claude.ts";
import { CLIENT_TOOL_ENV, CLIENT_TOOL_INITIALIZE, hostClientTools } from "../support/client-tools.ts";
import { endOf, readTurn, runTurn, shownText, typesOf } from "../support/turn-lines.ts";

async function start(options: Partial<BareOptions> = {}) {
  const api = startAnthropicApi();
  const home = await createClaudeHome();
  const env = { CLAUDE_CODE_MAX_RETRIES: "1", ...options.env };
  const claude = startBareClaude({ home, apiUrl: api.url, ...options, env });
  return {
    api,
    home,
    claude,
    [Symbol.asyncDispose]: async () => {
      await claude[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

/** A reply that breaks only after the CLI has passed on the first word (both at once would be lost together). */
async function breakAfter(
  { api, claude }: { api: AnthropicApi; claude: ReturnType<typeof startBareClaude> },
  blocks: ReplyBlock[],
  breakage: Step,
  shown: string,
) {
  const gate = createGate();
  const last = blocks.pop();
  if (last?.kind !== "text") throw new Error("the last block must be text");
  api.script(message([...blocks, textBlock([...last.deltas, gate, breakage])]));
  const from = claude.lines.length;
  claude.prompt("go");
  await claude.waitForLine((line) => line.type === "stream_event" && JSON.stringify(line).includes(shown), from);
  gate.open();
  return claude.turn(from);
}

test("text and thinking stream once, in order, though assistant lines repeat them", async () => {
  await using run = await start();
  run.api.script(
    message([thinkingBlock(["h", "m"], "c2ln"), textBlock(["Hel", "lo"]), textBlock([" you"])], {
      usage: { input_tokens: 7, output_tokens: 9, cache_read_input_tokens: 3, cache_creation_input_tokens: 2 },
    }),
  );
  const { events, reader } = await runTurn(run.claude, "hi");
  expect(events.slice(0, -1)).toEqual([
    {
      type: "model-start",
      model: expect.stringMatching(/^claude-(opus|sonnet)-/),
      usage: { inputTokens: 7, outputTokens: 1, cacheReadTokens: 3, cacheWriteTokens: 2 },
    },
    { type: "thinking-start", id: "thinking-1" },
    { type: "thinking-delta", id: "thinking-1", text: "h" },
    { type: "thinking-delta", id: "thinking-1", text: "m" },
    { type: "thinking-end", id: "thinking-1", signature: "c2ln" },
    { type: "text-start", id: "text-2" },
    { type: "text-delta", id: "text-2", text: "Hel" },
    { type: "text-delta", id: "text-2", text: "lo" },
    { type: "text-end", id: "text-2" },
    { type: "text-start", id: "text-3" },
    { type: "text-delta", id: "text-3", text: " you" },
    { type: "text-end", id: "text-3" },
  ]);
  expect(endOf(events)).toMatchObject({
    reason: { unified: "end", raw: "end_turn" },
    usage: { inputTokens: 7, outputTokens: 9, cacheReadTokens: 3, cacheWriteTokens: 2 },
    numTurns: 1,
    permissionDenials: [],
  });
  expect(reader).toMatchObject({ ended: true, settled: true, unclean: false, agentStarted: false });
});

test("usage and cost are those of the turn, also where the CLI's cost is a running sum", async () => {
  await using run = await start();
  run.api.script(text("a", { usage: { input_tokens: 100, output_tokens: 10 } }));
  const first = await runTurn(run.claude, "one");
  run.api.script(text("b", { usage: { input_tokens: 100, output_tokens: 10 } }));
  const second = await runTurn(run.claude, "two", { previousCostUsd: first.reader.totalCostUsd });
  const cost = endOf(first.events)?.costUsd ?? 0;
  expect(cost).toBeGreaterThan(0);
  expect(endOf(second.events)?.costUsd).toBeCloseTo(cost, 10);
  expect(second.reader.totalCostUsd).toBeCloseTo(2 * cost, 10);
  expect(endOf(second.events)?.usage).toMatchObject({ inputTokens: 100, outputTokens: 10 });
});

test("Claude's own tools start, stream their arguments, run and end with their output", async () => {
  await using run = await start({ args: AGENT_ARGS });
  run.api.script(
    message([
      textBlock("let me look"),
      toolBlock("Bash", {}, { id: "toolu_a", deltas: ['{"command":', '"echo hi; exit 3"}'] }),
    ]),
    text("done"),
  );
  const { events, reader } = await runTurn(run.claude, "go");
  const own = events.filter((event) => event.type.startsWith("tool-"));
  expect(own.slice(0, -1)).toEqual([
    { type: "tool-start", id: "toolu_a", name: "Bash", parentId: undefined },
    { type: "tool-delta", id: "toolu_a", json: '{"command":' },
    { type: "tool-delta", id: "toolu_a", json: '"echo hi; exit 3"}' },
    { type: "tool-run", id: "toolu_a", name: "Bash", input: { command: "echo hi; exit 3" }, parentId: undefined },
  ]);
  expect(own.at(-1)).toMatchObject({ type: "tool-end", id: "toolu_a", isError: true });
  expect(JSON.stringify(own.at(-1))).toContain("hi");
  expect(shownText(events)).toBe("let me lookdone");
  expect(endOf(events)?.usage).toMatchObject({ inputTokens: 20, outputTokens: 10 });
  expect(reader.agentStarted).toBe(true);
});

test("client calls come as such under the client's own names, and pause the turn with that part's usage", async () => {
  const names = ["get_weather", "näme.x"];
  const answer = hostClientTools(names, (name) => `result of ${name}`);
  await using run = await start({ answer, env: CLIENT_TOOL_ENV });
  await run.claude.control("initialize", CLIENT_TOOL_INITIALIZE);
  run.api.script(
    message(
      [
        textBlock("calling"),
        toolBlock("get_weather", {}, { id: "toolu_1", deltas: ['{"city"', ':"Paris"}'] }),
        toolBlock("n_me_x", {}, { id: "toolu_2", deltas: [] }),
      ],
      { usage: { input_tokens: 50, output_tokens: 20 } },
    ),
    text("sunny", { usage: { input_tokens: 90, output_tokens: 4 } }),
  );
  const { events } = await runTurn(run.claude, "go", { clientTools: names });
  expect(events.filter((event) => event.type.startsWith("client-call"))).toEqual([
    { type: "client-call-start", id: "toolu_1", name: "get_weather" },
    { type: "client-call-delta", id: "toolu_1", json: '{"city"' },
    { type: "client-call-delta", id: "toolu_1", json: ':"Paris"}' },
    { type: "client-call-start", id: "toolu_2", name: "näme.x" },
    { type: "client-call-end", id: "toolu_1", name: "get_weather", arguments: '{"city":"Paris"}' },
    { type: "client-call-delta", id: "toolu_2", json: "{}" },
    { type: "client-call-end", id: "toolu_2", name: "näme.x", arguments: "{}" },
  ]);
  expect(events.some((event) => event.type === "tool-run" || event.type === "tool-end")).toBe(false);
  const ends = events.filter((event) => event.type === "turn-end");
  expect(ends.map((end) => [end.reason.unified, end.usage.inputTokens, end.usage.outputTokens])).toEqual([
    ["tool-calls", 50, 20],
    ["end", 90, 4],
  ]);
  expect(events.filter((event) => event.type === "model-start")).toHaveLength(2);
});

test("a subagent's tools carry the call they belong to, and its text is not the answer", async () => {
  await using run = await start({ args: AGENT_ARGS });
  run.api.script(
    toolCall("Agent", { description: "d", prompt: "do it", subagent_type: "general-purpose" }, { id: "toolu_main" }),
    message([textBlock("inner words"), toolBlock("Bash", { command: "echo sub" }, { id: "toolu_sub" })]),
    text("inner report"),
    text("outer words"),
  );
  const { events } = await runTurn(run.claude, "go");
  expect(events).toContainEqual({ type: "tool-start", id: "toolu_sub", name: "Bash", parentId: "toolu_main" });
  expect(events).toContainEqual({ type: "tool-end", id: "toolu_sub", output: "sub", isError: false });
  expect(events).toContainEqual(expect.objectContaining({ type: "tool-end", id: "toolu_main", isError: false }));
  expect(shownText(events)).toBe("outer words");
});

test("max_tokens ends the answer at once with length, and the CLI's own continuation is not shown", async () => {
  await using run = await start();
  run.api.script(text("part one", { stopReason: "max_tokens" }), text(" part two"));
  const { events, reader } = await runTurn(run.claude, "go");
  expect(shownText(events)).toBe("part one");
  expect(endOf(events)?.reason).toEqual({ unified: "length", raw: "max_tokens" });
  expect(events.at(-1)?.type).toBe("turn-end");
  expect(reader).toMatchObject({ ended: true, settled: true, unclean: true });
});

test("an agent follows continuations like the terminal, and says so by being unclean", async () => {
  await using run = await start();
  run.api.script(text("part one", { stopReason: "max_tokens" }), text(" part two"));
  const { events, reader } = await runTurn(run.claude, "go", { followContinuations: true });
  expect(shownText(events)).toBe("part one part two");
  expect(endOf(events)?.reason.unified).toBe("end");
  expect(reader.unclean).toBe(true);
});

test("a stop sequence and a refusal keep their meaning", async () => {
  await using run = await start();
  run.api.script(text("until", { stopReason: "stop_sequence", stopSequence: "END" }));
  const stopped = await runTurn(run.claude, "go");
  expect(endOf(stopped.events)).toMatchObject({ reason: { unified: "stop-sequence" }, stopSequence: "END" });
  run.api.script(text("no", { stopReason: "refusal" }), text("retried"));
  const refused = await runTurn(run.claude, "go");
  expect(shownText(refused.events)).toBe("no");
  expect(endOf(refused.events)?.reason.unified).toBe("refusal");
  expect(refused.reader.unclean).toBe(true);
});

test("an answer that breaks off after its first word is an error, never a splice", async () => {
  for (const breakage of [CUT, streamError("overloaded_error", "Overloaded")]) {
    await using run = await start();
    const lines = await breakAfter(run, [thinkingBlock("t"), textBlock("half")], breakage, "half");
    const { events, error, reader } = readTurn(lines);
    expect(shownText(events)).toBe("half");
    expect(endOf(events)).toBeUndefined();
    expect(error).toBeInstanceOf(DaemonError);
    expect(error).toMatchObject({ code: "claude_failed", detail: { reason: "connection" } });
    expect(reader).toMatchObject({ ended: true, settled: true, unclean: true });
  }
});

test("an answer that breaks off before its first word starts again unseen", async () => {
  await using run = await start();
  const gate = createGate();
  run.api.script(message([textBlock([gate, CUT])]), text("whole"));
  const from = run.claude.lines.length;
  run.claude.prompt("go");
  await run.claude.waitForLine((line) => line.type === "stream_event" && line.event.type === "content_block_start");
  gate.open();
  const { events, error } = readTurn(await run.claude.turn(from));
  expect(error).toBeUndefined();
  expect(shownText(events)).toBe("whole");
  expect(events.filter((event) => event.type === "text-start")).toHaveLength(1);
});

test("text that arrives only as an assistant line is shown: non-streaming fallback, local command", async () => {
  await using run = await start({ args: AGENT_ARGS });
  run.api.script(message([streamError("overloaded_error", "Overloaded")]), text("not streamed"));
  const fallback = await runTurn(run.claude, "go");
  expect(typesOf(fallback.events)).toEqual(["model-start", "text-start", "text-delta", "text-end", "turn-end"]);
  expect(shownText(fallback.events)).toBe("not streamed");

  const from = run.claude.lines.length;
  run.claude.send({
    type: "user",
    message: { role: "user", content: "/cost" },
    parent_tool_use_id: null,
    session_id: "",
  });
  const local = readTurn(await run.claude.turn(from));
  expect(shownText(local.events)).toContain("Total");
  expect(endOf(local.events)?.reason.unified).toBe("end");
});

test("an interrupt ends the turn as interrupted and keeps what was said", async () => {
  await using run = await start();
  const gate = createGate();
  run.api.script(text(["half", gate, "never"]));
  run.claude.prompt("go");
  await run.claude.waitForLine((line) => line.type === "stream_event" && JSON.stringify(line).includes("half"));
  await run.claude.control("interrupt");
  const { events, error, reader } = readTurn(await run.claude.turn());
  expect(error).toBeUndefined();
  expect(shownText(events)).toBe("half");
  expect(endOf(events)?.reason).toEqual({ unified: "interrupted", raw: "aborted_streaming" });
  expect(reader.unclean).toBe(true);
});

test("an empty answer is nudged by the CLI: its text is shown, the process is unclean; older ones let it stand", async () => {
  await using run = await start();
  run.api.script(message([]), text("here"));
  const { events, reader } = await runTurn(run.claude, "go");
  const nudged = CLAUDE_FEATURES.nudgesEmptyAnswers;
  expect(shownText(events)).toBe(nudged ? "here" : "");
  expect(endOf(events)?.reason.unified).toBe("end");
  expect(reader.unclean).toBe(nudged);
});

test("denied tools are listed, and a turn limit ends with max-turns", async () => {
  const args = AGENT_ARGS.map((flag) => (flag.startsWith("--permission-mode") ? "--permission-mode=default" : flag));
  await using run = await start({ args: [...args, "--max-turns=2"] });
  const input = { file_path: `${run.home.cwd}/a.txt`, content: "x" };
  run.api.script(toolCall("Write", input, { id: "toolu_w" }), toolCall("Write", input, { id: "toolu_x" }));
  const { events } = await runTurn(run.claude, "go");
  expect(endOf(events)).toMatchObject({
    reason: { unified: "max-turns" },
    permissionDenials: [
      { tool: "Write", toolUseId: "toolu_w", input },
      { tool: "Write", toolUseId: "toolu_x", input },
    ],
  });
});

test("structured output is the answer's only text, and its failure is an error", async () => {
  const schema = { type: "object", properties: { a: { type: "number" } }, required: ["a"] };
  await using run = await start({ args: AGENT_ARGS });
  await run.claude.control("initialize", { jsonSchema: schema });
  run.api.script(message([textBlock("I will now"), toolBlock("StructuredOutput", { a: 1 })]));
  const good = await runTurn(run.claude, "go", { structuredOutput: true });
  expect(shownText(good.events)).toBe('{"a":1}');
  expect(endOf(good.events)?.structuredOutput).toEqual({ a: 1 });
  expect(good.events.some((event) => event.type.startsWith("tool-"))).toBe(false);

  run.api.always(() => toolCall("StructuredOutput", { b: 1 }));
  const bad = await runTurn(run.claude, "go", { structuredOutput: true });
  expect(bad.error).toMatchObject({ code: "claude_failed", detail: { reason: "structured_output" } });
});

test("retries and compactions are notices, not text; a compaction never goes unsaid", async () => {
  await using run = await start();
  run.api.script(text("one"));
  await runTurn(run.claude, "hi");
  run.api.script(
    {
      kind: "error",
      status: 529,
      headers: {},
      body: { type: "error", error: { type: "overloaded_error", message: "x" } },
    },
    text("two"),
  );
  const retried = await runTurn(run.claude, "go");
  expect(retried.events[0]).toEqual({
    type: "notice",
    code: "api_retry",
    text: "The model API did not answer (529); claude tries again.",
  });
  expect(shownText(retried.events)).toBe("two");
  run.api.script(promptTooLong());
  const { events, error, reader } = await runTurn(run.claude, "more");
  if (!CLAUDE_FEATURES.compactsOnRefusal) {
    expect(error).toMatchObject({ code: "context_length_exceeded" });
    return;
  }
  // Some try once more with the history as it was.
  const compacted = !JSON.stringify(run.api.requests.at(-1)?.body.messages).includes('"hi"');
  expect(events.some((event) => event.type === "notice" && event.code === "compaction")).toBe(compacted);
  expect(shownText(events)).toBe("echo: more");
  expect(reader.unclean).toBe(compacted);
});

const stream = (event: JsonObject): ClaudeMessage => ({ type: "stream_event", event, parent_tool_use_id: null });

function wholeMessage(id: string, words: string): ClaudeMessage[] {
  return [
    stream({ type: "message_start", message: { id, model: "m", usage: { input_tokens: 1, output_tokens: 1 } } }),
    stream({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
    stream({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: words } }),
    stream({ type: "content_block_stop", index: 0 }),
    stream({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } }),
    stream({ type: "message_stop" }),
  ];
}

const result = (more: JsonObject = {}): ClaudeMessage => ({
  type: "result",
  subtype: "success",
  is_error: false,
  stop_reason: "end_turn",
  ...more,
});

test("a turn that claude started by itself is not this turn's", () => {
  const lines: ClaudeMessage[] = [
    ...wholeMessage("msg_a", "background task finished"),
    result({ origin: { kind: "task-notification" } }),
    { type: "command_lifecycle", command_uuid: "mine", state: "queued" },
    { type: "command_lifecycle", command_uuid: "mine", state: "started" },
    ...wholeMessage("msg_b", "the answer"),
    result(),
  ];
  const { events } = readTurn(lines, { promptUuid: "mine" });
  expect(shownText(events)).toBe("the answer");
  expect(events.filter((event) => event.type === "turn-end")).toHaveLength(1);
});

test("nothing is read after the end of the turn but the running cost", () => {
  const reader = createTurnReader();
  for (const line of [...wholeMessage("msg_a", "x"), result({ total_cost_usd: 1 })]) reader.read(line);
  expect(reader.ended).toBe(true);
  const after = wholeMessage("msg_b", "late").flatMap((line) => [...reader.read(line)]);
  expect(after).toEqual([]);
  expect([...reader.read(result({ total_cost_usd: 3 }))]).toEqual([]);
  expect(reader.totalCostUsd).toBe(3);
});

test("unknown lines, blocks and deltas of newer CLIs pass without effect", () => {
  const odd = [
    { type: "brand_new", value: 1 },
    stream({ type: "content_block_start", index: 7, content_block: { type: "server_thing" } }),
    stream({ type: "content_block_delta", index: 7, delta: { type: "server_delta", text: "no" } }),
    stream({ type: "content_block_stop", index: 7 }),
    { type: "system", subtype: "brand_new" },
  ] as unknown as ClaudeMessage[];
  const [first, ...rest] = wholeMessage("msg_a", "yes");
  if (!first) throw new Error("no lines");
  const { events, error } = readTurn([first, ...odd, ...rest, result()]);
  expect(error).toBeUndefined();
  expect(shownText(events)).toBe("yes");
});

test("what a collected turn shows is what was streamed", async () => {
  await using run = await start({ args: CHAT_ARGS });
  run.api.script(message([thinkingBlock("t", "c2ln"), textBlock(["a", "b"]), textBlock("c")]));
  const { events } = await runTurn(run.claude, "go");
  async function* all(): AsyncGenerator<TurnEvent> {
    yield { type: "turn-start", turnId: "trn_1", sessionId: undefined, model: "m", ignored: [] };
    yield* events;
  }
  expect((await collect(all())).blocks).toEqual([
    { type: "thinking", text: "t", signature: "c2ln", round: 0 },
    { type: "text", text: "ab", round: 0 },
    { type: "text", text: "c", round: 0 },
  ]);
});
