/** Agent models for stateless clients, on the real claude: a conversation is a session, found again by its history. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { toDaemonError } from "../../src/errors.ts";
import type { Message } from "../../src/turn/message.ts";
import { lastUserMessage, textOf } from "../support/anthropic-api.ts";
import { createGate, message, text, toolBlock, toolCall } from "../support/api-reply.ts";
import { waitUntil } from "../support/processes.ts";
import { asHistory, said, startEngine, textOfResult, user } from "./harness.ts";

/** A cold start takes half a second, on a busy machine several. */
setDefaultTimeout(60_000);

test("the agent writes a file, and the conversation goes on in its session and process", async () => {
  await using running = await startEngine();
  const { api, answer, workspace, launches } = running;
  api.script(
    toolCall("Write", { file_path: join(workspace, "a.txt"), content: "made\n" }),
    text("Written."),
    text("You asked for a file."),
  );
  const first = await answer({ model: "claude-code", messages: [user("make a.txt")] });
  expect(readFileSync(join(workspace, "a.txt"), "utf8")).toBe("made\n");
  expect(textOfResult(first)).toBe("Written.");
  expect(first.activity.map((use) => use.name)).toEqual(["Write"]);
  expect(first.sessionId).toStartWith("ses_");
  const started = launches.length;
  const messages = [user("make a.txt"), asHistory(first), user("what did I ask?")];
  const second = await answer({ model: "claude-code", messages });
  expect(second.sessionId).toBe(first.sessionId);
  expect(launches.length).toBe(started);
  // The session knows more than the client resent: the tool call is still in its history.
  expect(JSON.stringify(api.requests.at(-1)?.body.messages)).toContain("a.txt");
  expect(textOf(lastUserMessage(api.requests.at(-1) ?? fail()))).toContain("what did I ask?");
});

test("an edited history branches off the session where it stood", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  api.script(text("one"), text("two"), text("other two"));
  const first = await answer({ model: "claude-code", messages: [user("a")] });
  const known = [user("a"), asHistory(first)];
  const second = await answer({ model: "claude-code", messages: [...known, user("b")] });
  const branch = await answer({ model: "claude-code", messages: [...known, user("c")] });
  expect(second.sessionId).toBe(first.sessionId);
  expect(branch.sessionId).not.toBe(first.sessionId);
  const sent = JSON.stringify(api.requests.at(-1)?.body.messages);
  expect(sent).toContain('"one"');
  expect(sent).not.toContain('"two"');
  // Both go on where they stand.
  api.script(text("three"), text("other three"));
  const more = await answer({ model: "claude-code", messages: [...known, user("b"), said("two"), user("d")] });
  expect(more.sessionId).toBe(first.sessionId);
  const other = await answer({ model: "claude-code", messages: [...known, user("c"), said("other two"), user("d")] });
  expect(other.sessionId).toBe(branch.sessionId);
});

test("a history nobody knows becomes a session's transcript", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  const messages = [user("one"), said("two"), user("three")];
  const result = await answer({ model: "claude-code", messages });
  const sent = JSON.stringify(api.requests.at(-1)?.body.messages);
  expect(sent).toContain("one");
  expect(sent).toContain("two");
  expect(textOf(lastUserMessage(api.requests.at(-1) ?? fail()))).toContain("three");
  const next = await answer({ model: "claude-code", messages: [...messages, asHistory(result), user("four")] });
  expect(next.sessionId).toBe(result.sessionId);
});

const LOOK = { name: "look", inputSchema: { type: "object", properties: { at: { type: "string" } } } };

function looked(callId: string, seen: string): Message {
  return {
    role: "user",
    content: [{ type: "client-result", callId, content: [{ type: "text", text: seen }], isError: false }],
  };
}

test("the client's tools work beside Claude's own, in one turn over two requests", async () => {
  await using running = await startEngine();
  const { api, answer, workspace, launches } = running;
  api.script(
    message([toolBlock("look", { at: "x" }, { id: "toolu_1" })]),
    toolCall("Write", { file_path: join(workspace, "seen.txt"), content: "seen\n" }),
    text("Noted."),
  );
  const request = { model: "claude-code", tools: [LOOK] };
  const first = await answer({ ...request, messages: [user("look, then note it")] });
  expect(first.end.reason.unified).toBe("tool-calls");
  const started = launches.length;
  const messages = [user("look, then note it"), asHistory(first), looked("toolu_1", "a cat")];
  const second = await answer({ ...request, messages });
  expect(textOfResult(second)).toBe("Noted.");
  expect([second.turnId, second.sessionId]).toEqual([first.turnId, first.sessionId]);
  expect(launches.length).toBe(started);
  expect(JSON.stringify(api.requests[1]?.body.messages)).toContain("a cat");
  expect(readFileSync(join(workspace, "seen.txt"), "utf8")).toBe("seen\n");
});

test("results that come after their process has gone still complete", async () => {
  for (const model of ["claude-code", "opus"]) {
    await using running = await startEngine({ pool: { waitingEvictionMs: 0, housekeepingMs: 50 } });
    const { api, answer, engine } = running;
    api.script(message([toolBlock("look", { at: "x" }, { id: `toolu_${model}` })]), text("Done."));
    const first = await answer({ model, tools: [LOOK], messages: [user("go")] });
    await waitUntil("the waiting process is gone", () => engine.status().live === engine.status().spare);
    const messages = [user("go"), asHistory(first), looked(`toolu_${model}`, "a cat")];
    const second = await answer({ model, tools: [LOOK], messages });
    expect(textOfResult(second)).toBe("Done.");
    const last = JSON.stringify(api.requests.at(-1)?.body.messages);
    expect(last).toContain("a cat");
    expect(JSON.stringify(api.requests.at(-1)?.body.tools)).toContain("look");
  }
});

const answered = (callId: string, ...words: string[]): Message => ({
  role: "user",
  content: [...looked(callId, "a cat").content, ...user(...words).content] as Message["content"] & [],
});

test("words beside the results reach the model after them, also when they were written before", async () => {
  for (const words of ["behind", "before"]) {
    await using running = await startEngine();
    const { api, answer } = running;
    api.script(message([toolBlock("look", { at: "x" }, { id: "toolu_1" })]), text("Done."));
    const request = { model: "claude-code", tools: [LOOK] };
    const first = await answer({ ...request, messages: [user("go")] });
    const news =
      words === "behind" ? [answered("toolu_1", "and hurry")] : [user("and hurry"), looked("toolu_1", "a cat")];
    const second = await answer({ ...request, messages: [user("go"), asHistory(first), ...news] });
    expect(textOfResult(second)).toBe("Done.");
    // One request for both: the words are no turn of their own.
    expect(api.requests).toHaveLength(2);
    const sent = JSON.stringify(api.requests[1]?.body.messages.slice(1));
    expect(sent.indexOf("a cat")).toBeGreaterThan(0);
    expect(sent.indexOf("and hurry")).toBeGreaterThan(sent.indexOf("a cat"));
  }
});

test("with session_id, results that the session waits for go on with its turn; others are refused, and nothing is sent", async () => {
  await using running = await startEngine({ pool: { waitingEvictionMs: 600_000 } });
  const { api, answer } = running;
  api.script(message([toolBlock("look", { at: "x" }, { id: "toolu_1" })]), text("Done."), text("never"));
  const request = { model: "claude-code", tools: [LOOK] };
  const first = await answer({ ...request, messages: [user("go")] });
  const claudeCode = { sessionId: first.sessionId ?? "" };
  const called = asHistory(first);
  const twice: Message = {
    role: "assistant",
    content: ["toolu_1", "toolu_2"].map((id) => ({ type: "client-call", id, name: "look", input: {} })),
  };
  const refused = async (messages: Message[]) => {
    const error = toDaemonError(await answer({ ...request, messages, claudeCode }).catch((thrown) => thrown));
    expect(error).toMatchObject({ code: "invalid_request", detail: { param: "messages" } });
    return error.message;
  };
  const both = [twice, looked("toolu_1", "a"), looked("toolu_2", "b")];
  expect(await refused(both)).toContain("waits for the results of 1 other calls");
  const second = await answer({ ...request, messages: [called, looked("toolu_1", "a cat")], claudeCode });
  expect([second.turnId, textOfResult(second)]).toEqual([first.turnId, "Done."]);
  // Nobody waits any more: as words of the user they would be a new turn about something else.
  const told = await refused([called, looked("toolu_1", "a cat")]);
  expect(told).toContain("no turn of this session waits for tool results");
  expect(told).toContain("without session_id");
  expect(api.requests).toHaveLength(2);
});

test("a schema makes the agent's answer the JSON; what an agent ignores is named, or refused when strict", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  api.script(message([toolBlock("StructuredOutput", { a: 1 })]));
  const schema = { type: "object", properties: { a: { type: "number" } }, required: ["a"] };
  const request = {
    model: "claude-code",
    messages: [user("go")],
    output: { format: { type: "schema" as const, schema }, maxTokens: 5, temperature: 0 },
    optionNames: { maxTokens: "max_tokens", temperature: "temperature" },
    unsupported: ["seed"],
  };
  const result = await answer(request);
  expect(JSON.parse(textOfResult(result))).toEqual({ a: 1 });
  expect(result.ignored).toEqual(["seed", "max_tokens", "temperature"]);
  const refused = await answer({ ...request, claudeCode: { strict: true } }).catch(toDaemonError);
  expect(refused).toMatchObject({ code: "invalid_request", detail: { param: "seed" } });
});

test("a client that goes away stops the agent's work within a second", async () => {
  await using running = await startEngine();
  const { api, ask } = running;
  const gate = createGate();
  api.script(text(["begin", gate, "never"]));
  const client = new AbortController();
  const leave = async () => {
    const retry = { attempt: 0, bodyDigest: "b" };
    for await (const event of ask({ model: "claude-code", messages: [user("go")], signal: client.signal, retry })) {
      if (event.type === "text-delta") client.abort();
    }
  };
  const start = performance.now();
  await leave().catch(toDaemonError);
  expect(await api.requests[0]?.finished).toBe("closed-by-client");
  expect(performance.now() - start).toBeLessThan(5_000);
  gate.open();
});

function fail(): never {
  throw new Error("no request reached the API");
}
