import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Connection } from "../../../src/api/ws/connection.ts";
import { quietLogger } from "../../claude/harness.ts";
import { createGate, message, text, textBlock, toolBlock, toolCall } from "../../support/api-reply.ts";
import { connectSocket, startCodeApi, workspaceOf } from "../code-harness.ts";

const isEnd = (frame: { type?: unknown }) => frame.type === "code_response" || frame.type === "error";
const bash = (command: string) => toolCall("Bash", { command, description: "x" });

test("the seed frame alone is answered with text and what really changed, Bash's doing included", async () => {
  await using api = await startCodeApi();
  writeFileSync(workspaceOf(api, "old.txt"), "one\n");
  api.sessions.api.script(
    message([textBlock("I write."), toolBlock("Write", { file_path: workspaceOf(api, "a.txt"), content: "alpha\n" })]),
    bash("touch made-by-bash.txt && rm old.txt"),
    text("Done."),
  );
  const client = await api.connect();
  client.send({ type: "code_request", code: "make files" });
  const response = await client.frame(isEnd);
  expect(response).toMatchObject({ type: "code_response", content: "I write.\n\nDone.", stop_reason: "end" });
  const changed = response.files_changed as { path: string; status: string }[];
  expect(changed.map(({ path, status }) => `${status} ${path}`).sort()).toEqual([
    "added a.txt",
    "added made-by-bash.txt",
    "deleted old.txt",
  ]);
  expect(readFileSync(workspaceOf(api, "a.txt"), "utf8")).toBe("alpha\n");
  // The deltas joined are the content, and the events are numbered one by one.
  const deltas = client.frames.filter((frame) => frame.type === "code_delta").map((frame) => frame.text);
  expect(deltas.join("")).toBe("I write.\n\nDone.");
  const seqs = client.frames.flatMap((frame) => (typeof frame.seq === "number" ? [frame.seq] : []));
  expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, index) => index + 1));
  expect(client.frames.map((frame) => frame.type)).toContain("tool_start");
  // Undo brings the tree back.
  const [session, turn] = [response.session_id, response.turn_id];
  const undone = await api.post(`/v1/code/session/${session}/turns/${turn}/undo`, {});
  expect(await undone.json()).toMatchObject({ object: "code.undo", applied: true, conflicts: [] });
  expect(existsSync(workspaceOf(api, "a.txt"))).toBe(false);
  expect(existsSync(workspaceOf(api, "made-by-bash.txt"))).toBe(false);
  expect(readFileSync(workspaceOf(api, "old.txt"), "utf8")).toBe("one\n");
});

test("requests of one connection share its session; files are put before the words", async () => {
  await using api = await startCodeApi();
  writeFileSync(workspaceOf(api, "b.ts"), "export const b = 2;\n");
  const client = await api.connect();
  client.send({
    type: "code_request",
    id: "r1",
    code: "first",
    context: { files: ["b.ts", { path: "c.ts", content: "@/etc/passwd" }] },
  });
  const first = await client.frame((frame) => isEnd(frame) && frame.request_id === "r1");
  client.send({ type: "code_request", id: "r2", code: "second" });
  const second = await client.frame((frame) => isEnd(frame) && frame.request_id === "r2");
  expect(second.session_id).toBe(first.session_id);
  const body = JSON.stringify(api.sessions.api.requests[0]?.body.messages);
  expect(body).toContain("export const b = 2;");
  expect(body).toContain("@/etc/passwd");
  expect(body).not.toContain("root:x:");
  expect(api.sessions.launches).toHaveLength(1);
});

test("a page that reloads in the middle of a turn goes on behind its last seq and sees every event once", async () => {
  await using api = await startCodeApi();
  const gate = createGate();
  api.sessions.api.script(text(["one ", "two ", gate, "three ", "four"]));
  const before = await api.connect();
  before.send({ type: "code_request", code: "count" });
  await before.frame((frame) => frame.type === "code_delta" && String(frame.text).includes("two"));
  const sessionId = before.frames.find((frame) => frame.type === "code_accepted")?.session_id;
  const seen = before.frames.filter((frame) => typeof frame.seq === "number");
  await before.close();
  gate.open();
  const after = await api.connect();
  after.send({ type: "subscribe", session_id: sessionId, after: seen.at(-1)?.seq });
  await after.frame(isEnd);
  const rest = after.frames.filter((frame) => typeof frame.seq === "number");
  const all = [...seen, ...rest];
  const words = all.filter((frame) => frame.type === "code_delta").map((frame) => frame.text);
  expect(words.join("")).toBe("one two three four");
  const seqs = all.map((frame) => Number(frame.seq));
  expect(seqs).toEqual([...new Set(seqs)].sort((one, other) => one - other));
  expect(all.filter((frame) => frame.type === "code_response")).toHaveLength(1);
});

test("a permission prompt is answered from a second connection and the turn goes on", async () => {
  await using api = await startCodeApi();
  api.sessions.api.script(bash('node -e \'require("fs").writeFileSync("ran.txt", "1")\''), text("It ran."));
  const worker = await api.connect();
  const person = await api.connect();
  worker.send({ type: "code_request", code: "run it", permissions: true });
  const { session_id: sessionId } = await worker.frame((frame) => frame.type === "code_accepted");
  const prompt = await worker.frame((frame) => frame.type === "permission_request");
  expect(prompt).toMatchObject({ tool: "Bash" });
  expect(await (await api.get(`/v1/code/session/${sessionId}`)).json()).toMatchObject({ status: "waiting_permission" });
  person.send({ type: "subscribe", session_id: sessionId, permissions: true });
  const subscribed = await person.frame((frame) => frame.type === "subscribed");
  expect(subscribed.pending_permissions).toMatchObject([{ permission_id: prompt.permission_id, tool: "Bash" }]);
  person.send({ type: "permission_response", permission_id: prompt.permission_id, behavior: "allow" });
  expect(await worker.frame(isEnd)).toMatchObject({
    type: "code_response",
    content: "It ran.",
    permission_denials: [],
  });
  expect(existsSync(workspaceOf(api, "ran.txt"))).toBe(true);
  person.send({ type: "permission_response", permission_id: prompt.permission_id, behavior: "allow" });
  expect(await person.frame((frame) => frame.type === "error")).toMatchObject({ code: "not_found" });
});

test("with nobody to answer, a prompt is denied at once, and the response says so", async () => {
  await using api = await startCodeApi();
  api.sessions.api.script(bash("node -e 1"), text("I may not."));
  const client = await api.connect();
  client.send({ type: "code_request", code: "run it" });
  const response = await client.frame(isEnd);
  expect(response.permission_denials).toMatchObject([{ tool: "Bash", input: { command: "node -e 1" } }]);
  expect(client.frames.some((frame) => frame.type === "permission_request")).toBe(false);
  expect(JSON.stringify(api.sessions.api.requests.at(-1)?.body.messages)).toContain("nobody is here to give it");
});

test("cancel ends the turn of that request with what it has", async () => {
  await using api = await startCodeApi();
  api.sessions.api.script(text(["begun ", createGate()]));
  const client = await api.connect();
  client.send({ type: "code_request", id: "long", code: "go" });
  await client.frame((frame) => frame.type === "code_delta");
  client.send({ type: "cancel", request_id: "long" });
  expect(await client.frame(isEnd)).toMatchObject({
    stop_reason: "interrupted",
    content: "begun ",
    request_id: "long",
  });
  client.send({ type: "cancel", request_id: "long" });
  expect(await client.frame((frame) => frame.type === "error")).toMatchObject({ code: "not_found" });
});

for (const [name, frame, expected] of [
  ["no JSON", "{nope", { code: "invalid_request" }],
  ["no object", "[1]", { code: "invalid_request" }],
  ["an unknown type", { type: "do_it" }, { code: "invalid_request", param: "type" }],
  [
    "a typo",
    { type: "code_request", id: "x", code: "a", permision_mode: "plan" },
    { param: "permision_mode", request_id: "x" },
  ],
  ["a missing field", { type: "code_request", id: "x" }, { code: "missing_required_parameter", param: "code" }],
  ["a polluting key", '{"type":"ping","__proto__":{"a":1}}', { code: "invalid_request" }],
  ["a foreign session", { type: "subscribe", session_id: "../../etc" }, { code: "not_found" }],
  [
    "a file outside",
    { type: "code_request", id: "x", code: "a", context: { files: ["/etc/passwd"] } },
    { code: "forbidden", request_id: "x" },
  ],
  [
    "a mode that is off",
    { type: "code_request", id: "x", code: "a", permission_mode: "bypassPermissions" },
    { code: "forbidden" },
  ],
  [
    "depth",
    `{"type":"permission_response","permission_id":"p","behavior":"allow","updated_input":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`,
    { code: "invalid_request" },
  ],
] as const) {
  test(`${name} is answered with an error frame, and the connection stays`, async () => {
    await using api = await startCodeApi();
    const client = await api.connect();
    client.send(frame);
    expect(await client.frame((one) => one.type === "error")).toMatchObject(expected);
    client.send({ type: "ping", id: "p" });
    expect(await client.frame((one) => one.type === "pong")).toEqual({ type: "pong", id: "p" });
    expect(api.sessions.launches).toHaveLength(0);
    expect(({} as { a?: number }).a).toBeUndefined();
  });
}

test("binary and oversized frames are answered with an error frame, floods are closed", async () => {
  await using api = await startCodeApi();
  const client = await api.connect();
  client.socket.send(new Uint8Array([1, 2, 3]));
  expect(await client.frame((frame) => frame.type === "error")).toMatchObject({ code: "invalid_request" });
  client.send(`"${"x".repeat(9 * 1024 * 1024)}"`);
  expect(await client.frame((frame) => frame.code === "payload_too_large")).toBeDefined();
  client.send({ type: "ping" });
  await client.frame((frame) => frame.type === "pong");
  for (let count = 0; count < 1000; count++) client.send({ type: "ping" });
  expect((await client.closed).code).toBe(1008);
});

test("one connection watches 32 sessions and no more, and one more once it has let go of another", async () => {
  await using api = await startCodeApi();
  const client = await api.connect();
  const ids: string[] = [];
  for (let count = 0; count < 33; count++) {
    ids.push(((await (await api.post("/v1/code/session", {})).json()) as { id: string }).id);
  }
  for (const id of ids) client.send({ type: "subscribe", session_id: id });
  expect(await client.frame((frame) => frame.type === "error")).toMatchObject({ code: "queue_full" });
  client.send({ type: "unsubscribe", session_id: ids[0] });
  await client.frame((frame) => frame.type === "unsubscribed");
  const from = client.frames.length;
  client.send({ type: "subscribe", session_id: ids[32] });
  client.send({ type: "ping" });
  await client.frame((frame) => frame.type === "subscribed", from);
  expect(client.frames.slice(from).some((frame) => frame.type === "error")).toBe(false);
});

test("a socket that does not read is cut at 4 MiB that wait for it, before Bun would drop frames in silence", () => {
  let buffered = 0;
  let sent = 0;
  let cut = 0;
  const connection = new Connection(
    { registry: () => Promise.reject(new Error("not asked")), deniedPaths: [], log: quietLogger },
    {
      send: (text) => {
        buffered += text.length;
        sent += 1;
        return -1;
      },
      bufferedBytes: () => buffered,
      close: () => undefined,
      terminate: () => {
        cut += 1;
      },
    },
    true,
  );
  const id = "x".repeat(199);
  buffered = 4 * 1024 * 1024 - 1000;
  for (let count = 0; count < 50; count++) connection.receive(JSON.stringify({ type: "ping", id }));
  expect([sent, cut]).toEqual([4, 1]);
});

test("a program inside a session may ask, but not answer or take more rights", async () => {
  await using api = await startCodeApi();
  api.mayAnswer = false;
  const client = await api.connect();
  client.send({ type: "code_request", id: "one", code: "x", permissions: true });
  expect(await client.frame((frame) => frame.request_id === "one")).toMatchObject({ type: "error", code: "forbidden" });
  client.send({ type: "permission_response", permission_id: "p", behavior: "allow" });
  expect(await client.frame((frame) => frame.type === "error" && frame.request_id === undefined)).toMatchObject({
    code: "forbidden",
  });
  client.send({ type: "code_request", id: "two", code: "hello" });
  expect(await client.frame((frame) => isEnd(frame) && frame.request_id === "two")).toMatchObject({
    content: "echo: hello",
  });
});

test("a handshake that is none is refused, and one connection too many", async () => {
  await using api = await startCodeApi();
  expect((await api.get("/v1/code/ws")).status).toBe(426);
  const wrong = await api.get("/v1/code/ws", {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-version": "8",
  });
  expect(wrong.status).toBe(426);
  const clients = await Promise.all(Array.from({ length: 200 }, () => api.connect()));
  expect(clients).toHaveLength(200);
  await expect(connectSocket(`${api.url.replace("http", "ws")}/v1/code/ws`)).rejects.toThrow();
});

test("a question of Claude's is shown with its choices, and the answer reaches the model", async () => {
  await using api = await startCodeApi();
  const question = {
    question: "Which database?",
    header: "Database",
    multiSelect: false,
    options: [
      { label: "SQLite", description: "one file" },
      { label: "PostgreSQL", description: "a server" },
    ],
  };
  api.sessions.api.script(toolCall("AskUserQuestion", { questions: [question] }), text("SQLite it is."));
  const client = await api.connect();
  client.send({ type: "code_request", code: "set it up", permissions: true });
  const prompt = await client.frame((frame) => frame.type === "permission_request");
  expect(prompt).toMatchObject({ tool: "AskUserQuestion", input: { questions: [question] } });
  client.send({
    type: "permission_response",
    permission_id: prompt.permission_id,
    behavior: "allow",
    answers: { "Which database?": "SQLite" },
  });
  expect(await client.frame(isEnd)).toMatchObject({ type: "code_response", content: "SQLite it is." });
  const told = JSON.stringify(api.sessions.api.requests.at(-1)?.body.messages);
  expect(told).toContain("SQLite");
  expect(told).toMatch(/tool_result.*Which database\?.*SQLite/);
});

test("a plan is approved, and the work goes on in the mode that was chosen", async () => {
  await using api = await startCodeApi();
  api.sessions.api.script(
    toolCall("ExitPlanMode", { plan: "1. Write a.txt" }),
    toolCall("Write", { file_path: workspaceOf(api, "a.txt"), content: "planned" }),
    text("Done as planned."),
  );
  const client = await api.connect();
  client.send({ type: "code_request", code: "plan it", permission_mode: "plan", permissions: true });
  const prompt = await client.frame((frame) => frame.type === "permission_request");
  expect(prompt).toMatchObject({ tool: "ExitPlanMode" });
  client.send({ type: "permission_response", permission_id: prompt.permission_id, behavior: "allow" });
  expect(await client.frame(isEnd)).toMatchObject({ type: "code_response", content: "Done as planned." });
  expect(readFileSync(workspaceOf(api, "a.txt"), "utf8")).toBe("planned");
});

test("a plan that is refused goes back to Claude with the reason", async () => {
  await using api = await startCodeApi();
  api.sessions.api.script(toolCall("ExitPlanMode", { plan: "1. Delete everything" }), text("Another plan then."));
  const client = await api.connect();
  client.send({ type: "code_request", code: "plan it", permission_mode: "plan", permissions: true });
  const prompt = await client.frame((frame) => frame.type === "permission_request");
  const message = "Keep the tests.";
  client.send({ type: "permission_response", permission_id: prompt.permission_id, behavior: "deny", message });
  expect(await client.frame(isEnd)).toMatchObject({ type: "code_response", content: "Another plan then." });
  expect(JSON.stringify(api.sessions.api.requests.at(-1)?.body.messages)).toContain(message);
});
