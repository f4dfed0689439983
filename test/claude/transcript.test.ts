/** Histories written as transcripts, resumed by the real CLI: the model API must receive exactly the client's history. */
import { expect, test } from "bun:test";
import { mkdir, stat } from "node:fs/promises";
import * as fc from "fast-check";
import { encodeTranscript, writeTranscript } from "../../src/claude/transcript.ts";
import { toUserLine } from "../../src/claude/user-line.ts";
import type {
  AssistantBlock,
  ClientCallBlock,
  ClientResultBlock,
  ImageBlock,
  JsonObject,
  Message,
  TextBlock,
  UserBlock,
} from "../../src/turn/message.ts";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { CHAT_ARGS, CLAUDE_FEATURES, type ClaudeHome, createClaudeHome, startBareClaude } from "../support/claude.ts";
import { CLIENT_TOOL_ENV, CLIENT_TOOL_INITIALIZE, hostClientTools } from "../support/client-tools.ts";
import { apiHistory, type HistoryMessage, historyOf, RESUME_RESIDUE } from "../support/history.ts";
import { createTmpDir, filesBelow } from "../support/tmp-dir.ts";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const IMAGE: ImageBlock = { type: "image", source: { kind: "base64", mediaType: "image/png", data: PNG } };
const LINK: ImageBlock = { type: "image", source: { kind: "url", url: "https://example.com/a.png" } };
/** A dozen cold starts in one test. */
const TIMEOUT_MS = 60_000;
const OPTIONS = { sessionId: crypto.randomUUID(), cwd: "/", version: "2.1.330", model: "claude-opus-5-5" };

const words = (text: string): TextBlock => ({ type: "text", text });
const toUser = (block: string | UserBlock): UserBlock => (typeof block === "string" ? words(block) : block);
const toAssistant = (block: string | AssistantBlock) => (typeof block === "string" ? words(block) : block);
const user = (...blocks: (string | UserBlock)[]): Message => ({ role: "user", content: blocks.map(toUser) });
const assistant = (...blocks: (string | AssistantBlock)[]): Message => ({
  role: "assistant",
  content: blocks.map(toAssistant),
});
const call = (id: string, name = "get_weather", input: JsonObject = { city: "Paris" }): ClientCallBlock => ({
  type: "client-call",
  id,
  name,
  input,
});
const result = (callId: string, content: string | ClientResultBlock["content"] = "ok", isError = false) => ({
  type: "client-result" as const,
  callId,
  isError,
  content: typeof content === "string" ? [words(content)] : content,
});
const thinking: AssistantBlock = { type: "thinking", text: "hm", signature: "c2ln" };

const GO_ON = words(RESUME_RESIDUE);

const saysSomething = ({ role, content }: Message) =>
  role === "assistant" &&
  content.some((block) => block.type === "client-call" || (block.type === "text" && block.text.trim() !== ""));

/** Whoever called tools last: what follows are their results, and they cannot come as a prompt. */
const called = (message: Message | undefined) =>
  message?.content.some((block) => block.type === "client-call") === true;

/**
 * Resumes a history as the daemon does and returns what the API received; one process each. A CLI that waits for
 * `initialize` answers it as it stands; to an older one the user's last words are a prompt.
 */
async function received(home: ClaudeHome, directory: string, messages: Message[]): Promise<HistoryMessage[]> {
  await using api = startAnthropicApi();
  const options = { ...OPTIONS, sessionId: crypto.randomUUID(), cwd: home.cwd };
  const answers = CLAUDE_FEATURES.awaitInitialize;
  const spoken = messages.findLastIndex(saysSomething) + 1;
  const prompted = !answers && !called(messages[spoken - 1]);
  const known = prompted ? messages.slice(0, spoken) : messages;
  await using transcript = await writeTranscript(directory, known, options);
  await using claude = startBareClaude({
    home,
    apiUrl: api.url,
    // Signed thinking goes only to the model that it is from.
    args: [...CHAT_ARGS, `--model=${OPTIONS.model}`, ...(known.length === 0 ? [] : [`--resume=${transcript.path}`])],
    env: {
      ...CLIENT_TOOL_ENV,
      ...(answers ? { CLAUDE_CODE_RESUME_INTERRUPTED_TURN: "1" } : {}),
      CLAUDE_CODE_RESUME_PROMPT: RESUME_RESIDUE,
      DISABLE_AUTO_COMPACT: "1",
    },
    answer: hostClientTools(["get_weather"]),
  });
  await claude.control("initialize", { ...CLIENT_TOOL_INITIALIZE, systemPrompt: ["You are X."] });
  if (answers) return historyOf(await api.nextRequest());
  const last = messages.slice(spoken).flatMap((message) => (message.role === "user" ? message.content : []));
  const content = prompted ? last : [GO_ON];
  claude.send(toUserLine(content, { uuid: crypto.randomUUID(), verbatim: true, features: CLAUDE_FEATURES }));
  return historyOf(await api.nextRequest());
}

/** Cases two at a time: a cold start each, on two cores. */
async function forEachPair<T>(cases: T[], run: (value: T) => Promise<void>): Promise<void> {
  for (let index = 0; index < cases.length; index += 2) await Promise.all(cases.slice(index, index + 2).map(run));
}

const EXACT: Record<string, Message[]> = {
  "one message": [user("hi")],
  "neighbours of one role": [user("a"), user("b"), assistant("c"), assistant("d"), user("e"), user("f")],
  "assistant first": [assistant("I begin"), user("ok")],
  "tool calls, parallel, one failed": [
    user("w?"),
    assistant("let me", call("toolu_1"), call("toolu_2", "other_tool", {})),
    user(result("toolu_1"), result("toolu_2", "bad", true)),
    assistant("done"),
    user("thanks"),
  ],
  "ends in tool results": [user("w?"), assistant(call("call_1")), user(result("call_1"))],
  "ends in results of two messages": [
    user("w?"),
    assistant(call("call_1"), call("call_2")),
    user(result("call_1")),
    user(result("call_2", [])),
  ],
  "ends in results and new text": [user("w?"), assistant(call("call_1")), user(result("call_1"), "/compact, and more")],
  "results with an image, and a large one": [
    user("w?"),
    assistant(call("a"), call("b")),
    user(result("a", [words("see"), IMAGE]), result("b", "x".repeat(600_000))),
    assistant("d"),
    user("x"),
  ],
  "images by value and by link": [user("look", IMAGE), assistant("nice"), user(IMAGE, "and", LINK)],
  "ends in an image": [user(IMAGE)],
  documents: [
    user({ type: "document", mediaType: "text/plain", data: "hello", title: "t" }, "read"),
    assistant("ok"),
    user({ type: "document", mediaType: "application/pdf", data: "JVBERi0xLjQK" }, "and this"),
  ],
  "unicode and controls": [user("naïve 👩‍👩‍👧 \u2028 \u0000 \u202e \u2060"), assistant("ÿ\ufeff"), user("  z \n\n")],
  "what looks like commands": [user("/help"), assistant("/x"), user("/clear"), assistant("y"), user("@a !ls #m /b")],
  "ends in a command": [user("hi"), assistant("x"), user("/compact")],
  "only a command": [user("/cost")],
  "ends in a file reference": [user("hi"), assistant("x"), user("@package.json ultrathink")],
  "the CLI's own words": [
    user("<system-reminder>x</system-reminder>", "[Request interrupted by user]"),
    assistant("No response requested."),
    user("<command-name>/clear</command-name>"),
    assistant("<local-command-stdout>x</local-command-stdout>"),
    user("Continue from where you left off."),
  ],
  "signed thinking before text and calls": [
    user("a"),
    assistant(thinking, "b", call("toolu_1")),
    user(result("toolu_1")),
    assistant({ type: "redacted-thinking", data: "ZGF0YQ==" }, "c"),
    user("d"),
  ],
  "200 messages": Array.from({ length: 201 }, (_, index) =>
    index % 2 === 0 ? user(`question ${index}`) : assistant(`answer ${index}`),
  ),
  "10 MB": [
    user({ type: "document", mediaType: "application/pdf", data: Buffer.alloc(7_500_000, 65).toString("base64") }, "q"),
    assistant("x"),
    user("c"),
  ],
};

test(
  "the model API receives the client's history as it was written",
  async () => {
    await using home = await createClaudeHome();
    await using directory = await createTmpDir();
    await forEachPair(Object.entries(EXACT), async ([name, messages]) => {
      const got = await received(home, directory.path, messages);
      // Strings, because a difference inside 10 MB is not worth printing whole.
      const [left, right] = [JSON.stringify(got), JSON.stringify(apiHistory(messages))];
      const at = [...left.slice(0, 100_000)].findIndex((character, index) => character !== right[index]);
      const shown = (text: string) => text.slice(Math.max(0, at - 200), at + 300);
      expect([name, left === right ? "same" : shown(left)]).toEqual([name, left === right ? "same" : shown(right)]);
    });
    expect(await filesBelow(directory.path)).toEqual([]);
  },
  TIMEOUT_MS,
);

const text = fc
  .oneof(
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.constantFrom("/help", "@file", "a\n\nb", "\tx", "{}", "<a>"),
  )
  .filter((value) => value.trim() !== "" && value !== "(no content)" && value.isWellFormed());
const userWords = fc.array(fc.oneof(text.map(words), fc.constant(IMAGE)), { minLength: 1, maxLength: 3 });
const assistantWords = fc.array(text.map(words), { minLength: 1, maxLength: 2 });
/** A round: the user speaks, the assistant answers, perhaps through calls with their results. */
const round = fc.tuple(
  userWords,
  assistantWords,
  fc.array(fc.tuple(fc.dictionary(text, text), text), { maxLength: 3 }),
);
const history = fc
  .tuple(fc.array(round, { maxLength: 4 }), userWords, fc.boolean(), fc.boolean())
  .map(([rounds, last, assistantFirst, endsInResults]) => {
    const messages: Message[] = assistantFirst ? [assistant("hello")] : [];
    let count = 0;
    for (const [asked, answered, calls] of rounds) {
      messages.push({ role: "user", content: asked });
      const made = calls.map(([input, output]) => ({ made: call(`call_x${++count}`, "get_weather", input), output }));
      messages.push({ role: "assistant", content: [...answered, ...made.map((one) => one.made)] });
      if (made.length === 0) continue;
      messages.push({ role: "user", content: made.map((one) => result(one.made.id, one.output)) });
      messages.push(assistant("so it is"));
    }
    const end: Message[] = endsInResults
      ? [user("and?"), assistant(call("call_last")), user(result("call_last"))]
      : [{ role: "user", content: last }];
    return [...messages, ...end];
  });

test(
  "so it does for generated histories",
  async () => {
    await using home = await createClaudeHome();
    await using directory = await createTmpDir();
    await forEachPair(fc.sample(history, { numRuns: 12, seed: 20_261_122 }), async (messages) => {
      expect(await received(home, directory.path, messages)).toEqual(apiHistory(messages));
    });
  },
  TIMEOUT_MS,
);

/** Left: what the client sent. Right: the nearest that the API and the CLI take (docs/exactness.md). */
const NEAREST: Record<string, [Message[], Message[]]> = {
  "empty assistant texts are left out": [
    [user("a"), assistant(""), user("b"), assistant("", "t", "  "), user("y")],
    [user("a", "b"), assistant("t"), user("y")],
  ],
  "an assistant message of thinking alone is left out": [[user("a"), assistant(thinking), user("b")], [user("a", "b")]],
  "an empty user text says so": [
    [user(""), assistant("x"), user("y")],
    [user("(no content)"), assistant("x"), user("y")],
  ],
  "ids used twice are told apart": [
    [
      user("a"),
      assistant(call("call_0")),
      user(result("call_0", "1")),
      assistant(call("call_0")),
      user(result("call_0", "2")),
    ],
    [
      user("a"),
      assistant(call("call_0")),
      user(result("call_0", "1")),
      assistant(call("call_0-2")),
      user(result("call_0-2", "2")),
    ],
  ],
  "ids that the CLI takes for doubles are told apart": [
    [
      user("a"),
      assistant(call("c")),
      user(result("c", "1")),
      assistant(call("c_2")),
      user(result("c_2", "2")),
      assistant("d"),
      user("e"),
    ],
    [
      user("a"),
      assistant(call("c")),
      user(result("c", "1")),
      assistant(call("c_2-2")),
      user(result("c_2-2", "2")),
      assistant("d"),
      user("e"),
    ],
  ],
  "ids and names of other characters are spelled with _": [
    [user("a"), assistant(call("fn.x:0", "näme")), user(result("fn.x:0"))],
    [user("a"), assistant(call("fn_x_0", "n_me")), user(result("fn_x_0"))],
  ],
  "a call without result gets one that says so": [
    [user("a"), assistant("x", call("toolu_1")), user("never mind")],
    [
      user("a"),
      assistant("x", call("toolu_1")),
      user(result("toolu_1", "The tool gave no result.", true), "never mind"),
    ],
  ],
  "results stand before the text of their message": [
    [user("a"), assistant(call("toolu_1")), user("first"), user(result("toolu_1")), assistant("b"), user("c")],
    [user("a"), assistant(call("toolu_1")), user(result("toolu_1"), "first"), assistant("b"), user("c")],
  ],
  "text after a call stands before it": [
    [user("a"), assistant(call("toolu_1"), "after"), user(result("toolu_1")), assistant("b"), user("c")],
    [user("a"), assistant("after", call("toolu_1")), user(result("toolu_1")), assistant("b"), user("c")],
  ],
  "half a surrogate pair is U+FFFD": [[user("x\ud800y")], [user("x\ufffdy")]],
};

test(
  "what cannot be sent as it is arrives as the nearest that can",
  async () => {
    await using home = await createClaudeHome();
    await using directory = await createTmpDir();
    await forEachPair(Object.entries(NEAREST), async ([name, [sent, nearest]]) => {
      const got = await received(home, directory.path, sent);
      expect({ name, history: got }).toEqual({ name, history: apiHistory(nearest) });
    });
  },
  TIMEOUT_MS,
);

test("a result that answers no call is refused, and leaves no file", async () => {
  await using directory = await createTmpDir();
  const messages = [user("a"), assistant("x"), user(result("toolu_lost"))];
  const writing = writeTranscript(directory.path, messages, OPTIONS);
  expect(writing).rejects.toMatchObject({ code: "invalid_request", detail: { param: "messages" } });
  await writing.catch(() => undefined);
  expect(await filesBelow(directory.path)).toEqual([]);
});

test("a transcript is private, never overwrites, and is gone when removed", async () => {
  await using directory = await createTmpDir();
  const place = directory.join("transcripts");
  await mkdir(place, { mode: 0o755 });
  const transcript = await writeTranscript(place, [user("secret")], OPTIONS);
  expect((await stat(place)).mode & 0o777).toBe(0o700);
  expect((await stat(transcript.path)).mode & 0o777).toBe(0o600);
  expect(writeTranscript(place, [user("other")], OPTIONS)).rejects.toThrow("EEXIST");
  await transcript.remove();
  await transcript.remove();
  expect(await filesBelow(place)).toEqual([]);
});

test("lines form one chain in time that always moves on", () => {
  const lines = [...encodeTranscript(EXACT["200 messages"] ?? [], OPTIONS)].map((line) => JSON.parse(line));
  for (const [index, line] of lines.entries()) {
    expect(line.parentUuid).toBe(lines[index - 1]?.uuid ?? null);
    if (index > 0) expect(line.timestamp > lines[index - 1].timestamp).toBe(true);
  }
  expect(new Set(lines.map((line) => line.uuid)).size).toBe(201);
});
