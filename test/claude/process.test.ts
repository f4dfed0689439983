/** The real claude, driven by process.ts: turns, interrupts, client tools, permissions, suspension. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { DEFAULT_SETTINGS } from "../../src/claude/settings.ts";
import { type ApiRequest, lastUserBlocks, lastUserMessage, startAnthropicApi } from "../support/anthropic-api.ts";
import { createGate, message, text, toolBlock, toolCall } from "../support/api-reply.ts";
import { createClaudeHome } from "../support/claude.ts";
import { systemOf } from "../support/history.ts";
import { isAlive, readProcess, waitUntil } from "../support/processes.ts";
import { drive } from "./harness.ts";

const say = (content: string) => [{ type: "text" as const, text: content }];
const result = (content: string) => ({ content: [{ type: "text" as const, text: content }], isError: false });
const tool = (name: string) => ({ name, inputSchema: { type: "object", properties: {} } });

function last(requests: ApiRequest[]): ApiRequest {
  const request = requests.at(-1);
  if (!request) throw new Error("no request reached the API");
  return request;
}

test("initialize lists models and the login, and a turn streams", async () => {
  await using api = startAnthropicApi();
  api.script(text(["Hello ", "there"]));
  await using driven = await drive({ apiUrl: api.url });
  const { claude, seen } = driven;
  const initialized = await claude.initialize({ systemPrompt: "You are X." });
  // Some versions list a model for some accounts in a variant alone: `sonnet[1m]`.
  expect(initialized.models.map((model) => model.value.replace(/\[.*/, ""))).toContain("sonnet");
  expect(initialized.login).toBe("ANTHROPIC_API_KEY");
  const uuid = await claude.prompt(say("hi"), { verbatim: true });
  const ended = await seen.result();
  expect(ended.is_error).toBe(false);
  expect(seen.text()).toBe("Hello there");
  // Older ones name no prompt in their results; nothing here depends on it.
  if ("user_message_uuid" in ended) expect(JSON.stringify(ended)).toContain(uuid);
  expect(systemOf(last(api.requests))).toContain("You are X.");
  expect(last(api.requests).body.tools ?? []).toEqual([]);
});

test("an interrupt ends a stream, closes the API's socket, and the process takes the next turn", async () => {
  await using api = startAnthropicApi();
  const gate = createGate();
  api.script(text(["Begin", gate, " never"]), text("second"));
  await using driven = await drive({ apiUrl: api.url });
  const { claude, seen } = driven;
  await claude.initialize({ systemPrompt: "" });
  await claude.prompt(say("go"), { verbatim: true });
  await seen.until("the first text", () => seen.text() === "Begin");
  await claude.interrupt();
  const ended = await seen.result();
  expect([ended.subtype, ended.terminal_reason]).toEqual(["error_during_execution", "aborted_streaming"]);
  expect(await last(api.requests).finished).toBe("closed-by-client");
  gate.open();
  await claude.prompt(say("again"), { verbatim: true });
  expect((await seen.result()).result).toBe("second");
});

test("two client calls come together and may be answered out of order", async () => {
  await using api = startAnthropicApi();
  api.script(
    message([
      toolBlock("get_weather", { city: "Paris" }, { id: "toolu_1" }),
      toolBlock("get_time", {}, { id: "toolu_2" }),
    ]),
    text("done"),
  );
  await using driven = await drive({ apiUrl: api.url, launch: { clientTools: true } });
  const { claude, seen } = driven;
  await claude.initialize({
    systemPrompt: "",
    clientTools: [{ name: "get weather", inputSchema: { properties: { city: { type: "string" } } } }, tool("get_time")],
  });
  await claude.prompt(say("weather?"), { verbatim: true });
  await seen.until("both calls", () => seen.calls.length === 2);
  expect(seen.calls).toEqual([
    { callId: "toolu_1", name: "get weather", arguments: { city: "Paris" } },
    { callId: "toolu_2", name: "get_time", arguments: {} },
  ]);
  expect(claude.answerClientCall("toolu_2", result("noon"))).toBe(true);
  expect(claude.answerClientCall("toolu_2", result("again"))).toBe(false);
  const long = "x".repeat(200_000);
  expect(claude.answerClientCall("toolu_1", result(long))).toBe(true);
  expect((await seen.result()).is_error).toBe(false);
  const offered = (api.requests[0]?.body.tools ?? []).map((entry) => String(entry.name));
  // The CLI sorts them.
  expect(offered).toEqual(["get_time", "get_weather"]);
  const results = lastUserBlocks(last(api.requests), "tool_result");
  expect(new Map(results.map((block) => [block.tool_use_id, JSON.stringify(block.content)]))).toEqual(
    new Map([
      ["toolu_1", JSON.stringify([{ type: "text", text: long }])],
      ["toolu_2", JSON.stringify([{ type: "text", text: "noon" }])],
    ]),
  );
});

test("an interrupt takes a waiting client call back, and the process takes the next turn", async () => {
  await using api = startAnthropicApi();
  api.script(toolCall("get_time", {}, { id: "toolu_9" }), text("later"));
  await using driven = await drive({ apiUrl: api.url, launch: { clientTools: true } });
  const { claude, seen } = driven;
  await claude.initialize({ systemPrompt: "", clientTools: [tool("get_time")] });
  await claude.prompt(say("time?"), { verbatim: true });
  await seen.until("the call", () => seen.calls.length === 1);
  await claude.interrupt();
  await seen.until("the cancellation", () => seen.cancellations.length === 1);
  expect(seen.cancellations).toEqual(["toolu_9"]);
  expect((await seen.result()).terminal_reason).toBe("aborted_tools");
  expect(claude.answerClientCall("toolu_9", result("too late"))).toBe(false);
  await claude.prompt(say("again"), { verbatim: true });
  expect((await seen.result()).result).toBe("later");
});

test("an edit asks for permission, tells of itself before it runs, and obeys the answer", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url, launch: { kind: "agent", permissionMode: "default" } });
  const { claude, seen, home } = driven;
  const path = (name: string) => `${home.cwd}/${name}`;
  api.script(
    toolCall("Write", { file_path: path("yes.txt"), content: "yes" }, { id: "toolu_1" }),
    text("written"),
    toolCall("Write", { file_path: path("no.txt"), content: "no" }, { id: "toolu_2" }),
    text("not written"),
  );
  await claude.initialize({ hookEdits: true, appendSystemPrompt: "Remember the milk." });
  await claude.prompt(say("write"), { verbatim: true });
  await seen.until("the prompt", () => seen.prompts.length === 1);
  expect(seen.prompts[0]).toMatchObject({ tool: "Write", toolUseId: "toolu_1", input: { file_path: path("yes.txt") } });
  expect(seen.edits).toEqual([{ tool: "Write", input: expect.objectContaining({ file_path: path("yes.txt") }) }]);
  expect(existsSync(path("yes.txt"))).toBe(false);
  const [first] = seen.prompts;
  expect(claude.answerPermission(first?.requestId ?? "", { behavior: "allow" })).toBe(true);
  expect(claude.answerPermission(first?.requestId ?? "", { behavior: "allow" })).toBe(false);
  await seen.result();
  expect(existsSync(path("yes.txt"))).toBe(true);
  await claude.prompt(say("write again"), { verbatim: true });
  await seen.until("the second prompt", () => seen.prompts.length === 2);
  claude.answerPermission(seen.prompts[1]?.requestId ?? "", { behavior: "deny", message: "Not today." });
  const ended = await seen.result();
  expect(existsSync(path("no.txt"))).toBe(false);
  expect(ended.permission_denials).toHaveLength(1);
  expect(JSON.stringify(lastUserMessage(last(api.requests)))).toContain("Not today.");
  expect(systemOf(last(api.requests))).toContain("Remember the milk.");
});

test("an interrupt takes a permission prompt back", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url, launch: { kind: "agent", permissionMode: "default" } });
  const { claude, seen, home } = driven;
  api.script(toolCall("Write", { file_path: `${home.cwd}/a.txt`, content: "a" }));
  await claude.initialize({});
  await claude.prompt(say("write"), { verbatim: true });
  await seen.until("the prompt", () => seen.prompts.length === 1);
  await claude.interrupt();
  await seen.until("the cancellation", () => seen.cancellations.length === 1);
  expect(seen.cancellations).toEqual([seen.prompts[0]?.requestId ?? ""]);
  expect(claude.answerPermission(seen.prompts[0]?.requestId ?? "", { behavior: "allow" })).toBe(false);
  await seen.result();
});

test("an interrupt stops a running shell command with its children", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url, launch: { kind: "agent", permissionMode: "bypassPermissions" } });
  const { claude, seen, home } = driven;
  api.script(toolCall("Bash", { command: "echo $$ > shell.pid; sleep 300; echo end" }), text("unused"));
  await claude.initialize({});
  await claude.prompt(say("sleep"), { verbatim: true });
  const pid = await shellPid(`${home.cwd}/shell.pid`);
  await claude.interrupt();
  expect((await seen.result()).terminal_reason).toBe("aborted_tools");
  await waitUntil("the shell is gone", () => !isAlive(pid));
});

test("a suspended process costs no CPU and wakes with the next prompt", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url });
  const { claude, seen } = driven;
  await claude.initialize({ systemPrompt: "" });
  claude.suspend();
  await waitUntil("stopped", () => readProcess(claude.pid)?.state === "T");
  expect(claude.suspended).toBe(true);
  await claude.prompt(say("wake"), { verbatim: true });
  expect(claude.suspended).toBe(false);
  expect((await seen.result()).result).toBe("echo: wake");
});

test("live settings reach the next request and go back to nothing", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url });
  const { claude, seen } = driven;
  await claude.initialize({ systemPrompt: "" });
  await claude.prompt(say("one"), { verbatim: true });
  await seen.result();
  const before = last(api.requests).body;
  await claude.applySettings({
    maxOutputTokens: 321,
    effort: "low",
    thinkingOff: true,
    extraBody: { stop_sequences: ["END"] },
  });
  await claude.prompt(say("two"), { verbatim: true });
  await seen.result();
  const during = last(api.requests).body;
  expect([during.max_tokens, during.stop_sequences]).toEqual([321, ["END"]]);
  expect(during.thinking?.type ?? "disabled").toBe("disabled");
  await claude.applySettings(DEFAULT_SETTINGS);
  await claude.prompt(say("three"), { verbatim: true });
  await seen.result();
  const after = last(api.requests).body;
  expect([after.max_tokens, after.stop_sequences, after.thinking, after.output_config]).toEqual([
    before.max_tokens,
    undefined,
    before.thinking,
    before.output_config,
  ]);
});

test("a session that does not exist is not found", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url, launch: { resume: { from: crypto.randomUUID() } } });
  await expect(driven.claude.initialize({})).rejects.toMatchObject({ code: "not_found" });
});

test("a stored session is resumed, cut and forked", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  const sessionId = crypto.randomUUID();
  const base = { apiUrl: api.url, home };
  let cutAt = "";
  {
    await using driven = await drive({ ...base, launch: { kind: "agent", persist: true, sessionId } });
    await driven.claude.initialize({});
    await driven.claude.prompt(say("one"), { verbatim: true });
    await driven.seen.result();
    cutAt = driven.seen.messages.flatMap((entry) => (entry.type === "assistant" ? [entry.uuid ?? ""] : []))[0] ?? "";
    await driven.claude.prompt(say("two"), { verbatim: true });
    await driven.seen.result();
    expect(await driven.claude.close()).toMatchObject({ endedBy: "eof", code: 0 });
  }
  await using driven = await drive({
    ...base,
    launch: { kind: "agent", persist: true, resume: { from: sessionId, at: cutAt, fork: true } },
  });
  await driven.claude.initialize({});
  await driven.claude.prompt(say("three"), { verbatim: true });
  const ended = await driven.seen.result();
  expect(ended.session_id).not.toBe(sessionId);
  const history = JSON.stringify(last(api.requests).body.messages);
  expect([history.includes("echo: one"), history.includes("echo: two")]).toEqual([true, false]);
});

async function shellPid(path: string): Promise<number> {
  await waitUntil("the shell's pid", () => existsSync(path) && readFileSync(path, "utf8").endsWith("\n"));
  return Number(readFileSync(path, "utf8"));
}
