/** What the real claude cannot be made to do: broken lines, deafness, forgery, floods. */
import { expect, test } from "bun:test";
import type { Grace } from "../../src/claude/ladder.ts";
import { answeringFake, createFakeClaude } from "../support/fake-claude.ts";
import { isAlive } from "../support/processes.ts";
import { endOf, readTurn, shownText } from "../support/turn-lines.ts";
import { drive, recordingLogger } from "./harness.ts";

const API = "http://127.0.0.1:9";
const GRACE: Grace = { eofMs: 150, termMs: 150, sweepMs: 100 };
const say = (content: string) => [{ type: "text" as const, text: content }];

test("half a line and an exit: what came before counts, who waits is told", async () => {
  await using fake = await createFakeClaude(
    answeringFake(`say({ type: "system", subtype: "whole" }); raw('{"type":"resu'); process.exit(3);`),
  );
  const { logger, lines } = recordingLogger();
  await using driven = await drive({ apiUrl: API, path: fake.path, deps: { logger } });
  const { claude, seen } = driven;
  await claude.initialize({});
  await claude.prompt(say("hi"), { verbatim: true });
  const report = await claude.exited;
  expect(seen.messages).toEqual([{ type: "system", subtype: "whole" }]);
  expect(report).toMatchObject({ code: 3, signal: null, endedBy: undefined });
  expect(lines.join("\n")).toContain("in the middle of a line");
});

test("a start that fails says so at once, and stderr is for the log only", async () => {
  await using fake = await createFakeClaude(`console.error("error: unknown option --secret"); process.exit(1);`);
  const { logger, lines } = recordingLogger();
  await using driven = await drive({ apiUrl: API, path: fake.path, deps: { logger } });
  const failure = await driven.claude.initialize({}).catch((error: Error) => error);
  expect(failure).toMatchObject({ code: "claude_failed" });
  expect(String(failure)).not.toContain("--secret");
  expect(lines.join("\n")).toContain("--secret");
});

test("a session that claude does not know is not found", async () => {
  await using fake = await createFakeClaude(
    `console.error("No conversation found with session ID: x"); process.exit(1);`,
  );
  await using driven = await drive({ apiUrl: API, path: fake.path });
  await expect(driven.claude.initialize({})).rejects.toMatchObject({ code: "not_found" });
  await driven.claude.exited;
});

test("a line without end ends the process as a failure, in bounded memory", async () => {
  await using fake = await createFakeClaude(answeringFake(`const piece = "x".repeat(1 << 20); for (;;) raw(piece);`));
  await using driven = await drive({ apiUrl: API, path: fake.path, deps: { maxLineBytes: 8 << 20, grace: GRACE } });
  const { claude } = driven;
  await claude.initialize({});
  await claude.prompt(say("hi"), { verbatim: true });
  const report = await claude.exited;
  expect(report.failure?.code).toBe("claude_failed");
  expect(isAlive(claude.pid)).toBe(false);
});

test("deaf to EOF and SIGTERM: SIGKILL ends it and its children", async () => {
  await using fake = await createFakeClaude(
    `process.on("SIGTERM", () => {}); process.stdin.on("end", () => {}); process.stdin.resume();
     const child = Bun.spawn(["sleep", "300"], { stdin: "ignore" });
     say({ type: "system", subtype: "child", pid: child.pid });
     await hang();`,
  );
  await using driven = await drive({ apiUrl: API, path: fake.path, deps: { grace: GRACE } });
  const { claude, seen } = driven;
  await seen.until("the child's pid", () => seen.messages.length === 1);
  claude.suspend();
  const report = await claude.close();
  expect(report).toMatchObject({ signal: "SIGKILL", endedBy: "SIGKILL" });
  const [started] = seen.messages;
  expect(isAlive(started?.type === "system" ? Number(started.pid) : -1)).toBe(false);
  expect(await claude.close()).toEqual(report);
});

test("an idle process ends with EOF", async () => {
  await using fake = await createFakeClaude(answeringFake(""));
  await using driven = await drive({ apiUrl: API, path: fake.path });
  await driven.claude.initialize({});
  expect(await driven.claude.close()).toMatchObject({ code: 0, signal: null, endedBy: "eof" });
});

test("forged and repeated control ids change nothing", async () => {
  await using fake = await createFakeClaude(`
    const ask = (id, tool) => say({ type: "control_request", request_id: id, request: { subtype: "can_use_tool", tool_name: tool, input: {} } });
    for await (const line of lines()) {
      if (line.type === "control_response") { say({ type: "system", subtype: "answered", line }); continue; }
      const id = line.request_id;
      say({ type: "control_response", response: { subtype: "success", request_id: "forged", response: { models: [] } } });
      say({ type: "control_response", response: { subtype: "success", request_id: id, response: { models: [{ value: "real" }] } } });
      say({ type: "control_response", response: { subtype: "success", request_id: id, response: { models: [{ value: "late" }] } } });
      ask("p1", "Bash"); ask("p1", "Write");
      say({ type: "control_cancel_request", request_id: "unknown" });
      say({ type: "control_request", request_id: "p2", request: { subtype: "mcp_message", server_name: "other", message: {} } });
      say({ type: "control_request", request_id: "p3", request: { subtype: "brand_new" } });
      raw("not json\\n[1]\\n\\n" + "[".repeat(100000) + "\\n");
      say({ type: "brand_new_line" });
      say({ type: "result" });
    }`);
  await using driven = await drive({ apiUrl: API, path: fake.path });
  const { claude, seen } = driven;
  const initialized = await claude.initialize({});
  expect(initialized.models.map((model) => model.value)).toEqual(["real"]);
  await seen.until("two refusals", () => seen.messages.length === 2);
  expect(seen.prompts.map((prompt) => prompt.tool)).toEqual(["Bash"]);
  expect(claude.answerPermission("forged", { behavior: "allow" })).toBe(false);
  expect(claude.answerPermission("p1", { behavior: "deny", message: "no" })).toBe(true);
  expect(claude.answerPermission("p1", { behavior: "allow" })).toBe(false);
  await seen.until("the answer", () => seen.messages.length === 3);
  const answers = seen.messages.map((message) => JSON.stringify(message));
  expect(answers[0]).toContain('"subtype":"error","request_id":"p2"');
  expect(answers[1]).toContain('"subtype":"error","request_id":"p3"');
  expect(answers[2]).toContain('"request_id":"p1","response":{"behavior":"deny","message":"no"}');
});

test("a flood on stderr stops nothing, and its end is kept", async () => {
  await using fake = await createFakeClaude(
    answeringFake(
      `const piece = "noise\\n".repeat(20000); for (let i = 0; i < 200; i++) require("node:fs").writeSync(2, piece);
       console.error("the last words"); say({ type: "system", subtype: "done" });`,
    ),
  );
  await using driven = await drive({ apiUrl: API, path: fake.path });
  const { claude, seen } = driven;
  await claude.initialize({});
  await claude.prompt(say("hi"), { verbatim: true });
  await seen.until("the end of the flood", () => seen.messages.length === 1);
  const report = await claude.close();
  expect(report.stderrTail.endsWith("the last words\n")).toBe(true);
  expect(report.stderrTail.length).toBeLessThanOrEqual(16 * 1024);
});

test("a request that the CLI never answers times out; one that it refuses is unsupported", async () => {
  await using fake = await createFakeClaude(`
    for await (const line of lines()) if (line.request?.subtype === "refused")
      say({ type: "control_response", response: { subtype: "error", request_id: line.request_id, error: "Unsupported" } });`);
  await using driven = await drive({ apiUrl: API, path: fake.path });
  expect(await driven.claude.control("silent", {}, 20).catch((error) => error.code)).toBe("timed_out");
  expect(await driven.claude.control("refused", {}).catch((error) => error.code)).toBe("unsupported");
});

test("a reader that pauses stops claude, and loses nothing", async () => {
  const total = 40_000;
  await using fake = await createFakeClaude(
    answeringFake(`for (let i = 0; i < ${total}; i++) say({ type: "system", subtype: "n", i, pad: "x".repeat(200) });`),
  );
  await using driven = await drive({ apiUrl: API, path: fake.path });
  const { claude, seen } = driven;
  await claude.initialize({});
  await claude.prompt(say("hi"), { verbatim: true });
  await seen.until("the first line", () => seen.messages.length > 0);
  claude.pauseReading();
  // The answer to a second prompt cannot come while the first one's lines are not taken.
  await claude.control("ping", {}, 50).catch(() => undefined);
  const held = seen.messages.length;
  await claude.control("ping", {}, 50).catch(() => undefined);
  expect(seen.messages.length).toBe(held);
  expect(held).toBeLessThan(total / 4);
  claude.resumeReading();
  await seen.until("all lines", () => seen.messages.length === total);
  expect(seen.messages.every((message, index) => message.type === "system" && message.i === index)).toBe(true);
});

test("a claude that cannot be started is missing; a directory that is gone is the request's fault", async () => {
  await using fake = await createFakeClaude("await hang();");
  await expect(drive({ apiUrl: API, path: "/nonexistent/claude" })).rejects.toMatchObject({ code: "claude_missing" });
  await expect(drive({ apiUrl: API, path: fake.path, launch: { cwd: "/nonexistent" } })).rejects.toMatchObject({
    code: "invalid_request",
  });
  await expect(
    drive({ apiUrl: "http://localhost:8080", path: fake.path, deps: { own: { ports: [8080], hosts: [] } } }),
  ).rejects.toMatchObject({ code: "unsupported" });
});

test("a version of tomorrow: unknown lines, fields, blocks and requests disturb no turn", async () => {
  const event = (body: string) => `say({ type: "stream_event", parent_tool_use_id: null, novel: 1, event: ${body} });`;
  const turn = `
      ${event('{ type: "message_start", message: { id: "m", model: "claude-x", usage: { novel_tokens: 1 } } }')}
      ${event('{ type: "novel_event", index: 9 }')}
      ${event('{ type: "content_block_start", index: 0, content_block: { type: "hologram", depth: 3 } }')}
      ${event('{ type: "content_block_delta", index: 0, delta: { type: "photon_delta", photons: "..." } }')}
      ${event('{ type: "content_block_stop", index: 0 }')}
      ${event('{ type: "content_block_start", index: 1, content_block: { type: "text", text: "" } }')}
      ${event('{ type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "hello", novel: 1 } }')}
      ${event('{ type: "content_block_delta", index: 1, delta: { type: "aroma_delta", aroma: "x" } }')}
      ${event('{ type: "content_block_stop", index: 1 }')}
      ${event('{ type: "message_delta", delta: { stop_reason: "end_turn", stop_novel: {} }, usage: { output_tokens: 2 } }')}
      ${event('{ type: "message_stop" }')}
      say({ type: "user", message: { role: "user", content: [{ type: "novel_result", of: "x" }] }, parent_tool_use_id: null });
      say({ type: "result", subtype: "success", is_error: false, result: JSON.stringify(line.response), stop_reason: "end_turn", novel: [] });
  `;
  await using fake = await createFakeClaude(`for await (const line of lines()) {
    if (line.type === "control_request") {
      const response = { subtype: "success", request_id: line.request_id, response: { novel: [], models: [{}] } };
      say({ type: "control_response", response, novel: true });
    } else if (line.type === "user") {
      say({ type: "constellation", stars: 3 });
      say({ type: "system", subtype: "weather", sky: "blue", novel: {} });
      say({ type: "control_request", request_id: "novel-1", request: { subtype: "sing", song: "x" } });
    } else if (line.type === "control_response") {
      ${turn}
    }
  }`);
  await using driven = await drive({ apiUrl: API, path: fake.path, version: "9.9.9" });
  const { claude, seen } = driven;
  await claude.initialize({});
  await claude.prompt(say("hi"), { verbatim: true });
  const ended = await seen.result();
  expect(JSON.parse(ended.result ?? "")).toMatchObject({ subtype: "error", request_id: "novel-1" });
  const { events, error, reader } = readTurn(seen.messages);
  expect(error).toBeUndefined();
  expect(shownText(events)).toBe("hello");
  expect(endOf(events)?.reason).toEqual({ unified: "end", raw: "end_turn" });
  expect(reader).toMatchObject({ ended: true, settled: true, unclean: false });
});
