import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import type { JsonObject } from "../../../src/turn/message.ts";
import { apiError, createGate, text, toolCall } from "../../support/api-reply.ts";
import { type CodeApi, startCodeApi, workspaceOf } from "../code-harness.ts";

const ROOT = "/v1/code/session";
/** Any JSON, read as a test reads it. */
type Any = JsonObject & { data: JsonObject[] };
const bash = (command: string) => toolCall("Bash", { command, description: "x" });

async function createSession(api: CodeApi, body: unknown = {}): Promise<JsonObject> {
  const response = await api.post(ROOT, body);
  expect(response.status).toBe(201);
  return read(response);
}

async function read(response: Response | Promise<Response>): Promise<Any> {
  return (await (await response).json()) as Any;
}

/** Reads server-sent events; `until` ends it, which closes the stream. */
async function readEvents(response: Response, until: (event: JsonObject) => boolean): Promise<JsonObject[]> {
  const events: JsonObject[] = [];
  let rest = "";
  for await (const chunk of response.body ?? []) {
    const parts = (rest + Buffer.from(chunk).toString()).split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const data = /^data: (.*)$/m.exec(part)?.[1];
      if (data === undefined) continue;
      const event = JSON.parse(data) as JsonObject;
      expect(part).toContain(`id: ${event.seq}\nevent: ${event.type}\n`);
      events.push(event);
      if (until(event)) return events;
    }
  }
  return events;
}

test("a session is created, listed, asked, read back and closed", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api, { model: "sonnet", permission_mode: "default", title: "Mine" });
  expect(session).toEqual({
    object: "code.session",
    id: expect.stringMatching(/^ses_/),
    status: "idle",
    workspace: api.sessions.home.cwd,
    model: "claude-code:sonnet",
    permission_mode: "default",
    origin: "code",
    claude_session_id: null,
    title: "Mine",
    created_at: expect.any(Number),
    last_active_at: expect.any(Number),
    turns: 0,
    usage: {},
    cost_usd: 0,
    process: "none",
  });
  const turn = await read(api.post(`${ROOT}/${session.id}/turns`, { prompt: "hello" }));
  expect(turn).toMatchObject({
    object: "code.turn",
    session_id: session.id,
    number: 1,
    status: "completed",
    prompt: "hello",
    content: "echo: hello",
    stop_reason: "end",
    files_changed: [],
    permission_denials: [],
    error: null,
  });
  expect(await read(api.get(`${ROOT}/${session.id}/turns/${turn.id}`))).toEqual(turn);
  const listed = await read(api.get(`${ROOT}?limit=5`));
  expect(listed).toMatchObject({
    object: "list",
    has_more: false,
    next: null,
    data: [{ id: session.id, turns: 1, process: "live" }],
  });
  const closed = await fetch(`${api.url}${ROOT}/${session.id}`, { method: "DELETE" });
  expect(await read(closed)).toMatchObject({ status: "closed", process: "none" });
  expect((await read(api.get(ROOT))).data).toEqual([]);
  expect((await read(api.get(`${ROOT}?closed=true`))).data).toHaveLength(1);
  expect((await api.post(`${ROOT}/${session.id}/turns`, { prompt: "more" })).status).toBe(400);
});

test("a turn streams its own events and nothing of others, to its end", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  await api.post(`${ROOT}/${session.id}/turns`, { prompt: "before" });
  const response = await api.post(`${ROOT}/${session.id}/turns`, { prompt: "streamed", stream: true });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const events = await readEvents(response, () => false);
  expect(events.map((event) => event.type)).toEqual(["turn_start", "code_delta", "code_response"]);
  expect(events.at(-1)).toMatchObject({ content: "echo: streamed", session_id: session.id });
});

test("events go on behind Last-Event-ID, also after a restart of the daemon", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  await api.post(`${ROOT}/${session.id}/turns`, { prompt: "one" });
  const all = await readEvents(
    await api.get(`${ROOT}/${session.id}/events?after=0`),
    (event) => event.type === "code_response",
  );
  expect(all.map((event) => event.seq)).toEqual([1, 2, 3]);
  await api.sessions.restart();
  await api.post(`${ROOT}/${session.id}/turns`, { prompt: "two" });
  const rest = await readEvents(
    await api.get(`${ROOT}/${session.id}/events`, { "last-event-id": "2" }),
    (event) => event.type === "code_response" && event.content === "echo: two",
  );
  expect(rest.map((event) => event.seq)).toEqual([3, 4, 5, 6]);
});

test("a turn ends with whoever asked, and lives on in the background", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  const gate = createGate();
  api.sessions.api.script(text(["begun", createGate()]), text(["going ", gate, "on"]));
  const leaving = new AbortController();
  const asked = fetch(`${api.url}${ROOT}/${session.id}/turns`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "first", stream: true }),
    signal: leaving.signal,
  });
  // Not `readEvents`: a body that is cancelled first leaves the connection open, and nothing to abort.
  const reader = (await asked).body?.getReader();
  let seen = "";
  while (reader && !seen.includes("code_delta")) seen += Buffer.from((await reader.read()).value ?? []).toString();
  leaving.abort();
  const background = await api.post(`${ROOT}/${session.id}/turns`, { prompt: "second", background: true });
  expect(background.status).toBe(202);
  const { id } = await read(background);
  gate.open();
  const events = await readEvents(
    await api.get(`${ROOT}/${session.id}/events?after=0`),
    (event) => event.type === "code_response" && event.turn_id === id,
  );
  expect(events.filter((event) => event.type === "code_response").map((event) => event.stop_reason)).toEqual([
    "interrupted",
    "end",
  ]);
});

test("a prompt is shown to whoever reads the events and answered over REST, remembered for the session", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  api.sessions.api.script(bash("node -e 1"), text("one"), bash("node -e 1"), text("two"));
  const watching = await api.get(`${ROOT}/${session.id}/events?permissions=1`);
  const first = api.post(`${ROOT}/${session.id}/turns`, { prompt: "run" });
  const events = await readEvents(watching, (event) => event.type === "permission_request");
  const prompt = events.at(-1);
  const pending = await read(api.get(`${ROOT}/${session.id}/permissions`));
  expect(pending.data).toMatchObject([{ permission_id: prompt?.permission_id, tool: "Bash" }]);
  const answer = `${ROOT}/${session.id}/permissions/${prompt?.permission_id}`;
  expect((await api.post(answer, { behavior: "maybe" })).status).toBe(400);
  expect((await api.post(answer, { behavior: "allow", remember: true })).status).toBe(200);
  expect((await read(first)).content).toBe("one");
  expect((await api.post(answer, { behavior: "allow" })).status).toBe(404);
  // Nothing was written: the permission lives with the session, and the same command runs unasked.
  expect(existsSync(workspaceOf(api, ".claude"))).toBe(false);
  const second = await read(api.post(`${ROOT}/${session.id}/turns`, { prompt: "again" }));
  expect(second).toMatchObject({ content: "two", permission_denials: [] });
});

test("interrupt ends the running turn and says whether anything ran", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  expect(await read(api.post(`${ROOT}/${session.id}/interrupt`))).toMatchObject({ interrupted: false });
  const gate = createGate();
  api.sessions.api.script(text(["begun", gate]));
  const turn = api.post(`${ROOT}/${session.id}/turns`, { prompt: "long" });
  await gate.reached;
  expect(await read(api.post(`${ROOT}/${session.id}/interrupt`, {}))).toMatchObject({ interrupted: true });
  expect(await read(turn)).toMatchObject({ status: "interrupted", stop_reason: "interrupted" });
});

test("changes are listed, an undo can be tried, refused, forced and undone", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  api.sessions.api.script(bash("touch made.txt"), text("done"));
  const turn = await read(api.post(`${ROOT}/${session.id}/turns`, { prompt: "make" }));
  const changes = await read(api.get(`${ROOT}/${session.id}/changes`));
  expect(changes.data).toMatchObject([{ turn_id: turn.id, files_changed: [{ path: "made.txt", status: "added" }] }]);
  const undo = `${ROOT}/${session.id}/turns/${turn.id}/undo`;
  expect(await read(api.post(undo, { dry_run: true }))).toMatchObject({ applied: false, undo_id: null });
  expect(existsSync(workspaceOf(api, "made.txt"))).toBe(true);
  writeFileSync(workspaceOf(api, "made.txt"), "mine now");
  expect(await read(api.post(undo))).toMatchObject({
    applied: false,
    conflicts: [{ path: "made.txt", reason: "changed" }],
  });
  const forced = await read(api.post(undo, { force: true }));
  expect(forced).toMatchObject({ applied: true });
  expect(existsSync(workspaceOf(api, "made.txt"))).toBe(false);
  const again = await read(api.post(`${ROOT}/${session.id}/turns/${forced.undo_id}/undo`));
  expect(again).toMatchObject({ applied: true });
  expect(existsSync(workspaceOf(api, "made.txt"))).toBe(true);
});

test("a turn that is undone twice says so the second time, and changes and records nothing", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  api.sessions.api.script(bash("touch made.txt"), text("done"));
  const turn = await read(api.post(`${ROOT}/${session.id}/turns`, { prompt: "make" }));
  const undo = `${ROOT}/${session.id}/turns/${turn.id}/undo`;
  expect(await read(api.post(undo))).toMatchObject({ applied: true, undo_id: expect.any(String) });
  const recorded = (await read(api.get(`${ROOT}/${session.id}/changes`))).data;
  for (const options of [undefined, { force: true }, { dry_run: true }, { paths: ["made.txt"] }]) {
    expect((await read(api.post(undo, options))) as unknown).toEqual({
      object: "code.undo",
      applied: false,
      undo_id: null,
      notice: expect.stringContaining("Nothing is left to undo"),
      files_changed: [],
      conflicts: [],
    });
  }
  expect((await read(api.get(`${ROOT}/${session.id}/changes`))).data).toEqual(recorded);
});

test("upstream's failure of a turn is the error of its request, and of its record", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  api.sessions.api.always(apiError(400, "no"));
  const response = await api.post(`${ROOT}/${session.id}/turns`, { prompt: "fail" });
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(await read(response)).toMatchObject({ error: { message: expect.any(String), code: expect.any(String) } });
  const { data } = await read(api.get(`${ROOT}/${session.id}/turns`));
  expect(data).toMatchObject([{ status: "failed", error: { code: expect.any(String) } }]);
});

for (const [name, path, body, expected] of [
  ["an unknown field", ROOT, { extraArgs: ["--x"] }, { param: "extraArgs" }],
  ["settings", ROOT, { settings: {} }, { param: "settings" }],
  ["a wrong mode", ROOT, { permission_mode: "yolo" }, { param: "permission_mode" }],
  ["a mode that is off", ROOT, { permission_mode: "bypassPermissions" }, { code: "forbidden" }],
  ["fork without resume", ROOT, { fork: true }, { param: "fork" }],
  ["an unknown claude session", ROOT, { resume: "../../etc/passwd" }, { code: "not_found", param: "resume" }],
  ["an unknown session", `${ROOT}/ses_nope/turns`, { prompt: "x" }, { code: "not_found" }],
  ["a session that is a path", `${ROOT}/..%2f..%2fetc/turns`, { prompt: "x" }, { code: "not_found" }],
] as const) {
  test(`${name} is refused in our error shape, and nothing is made`, async () => {
    await using api = await startCodeApi();
    const response = await api.post(path, body);
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.status).toBeLessThan(500);
    expect(await read(response)).toMatchObject({ error: { type: "invalid_request_error", ...expected } });
    expect((await read(api.get(`${ROOT}?closed=true`))).data).toEqual([]);
  });
}

test("queries out of bounds are refused", async () => {
  await using api = await startCodeApi();
  const session = await createSession(api);
  for (const path of [
    "?limit=0",
    "?limit=1000",
    "?limit=x",
    "?before=';--",
    `/${session.id}/events?after=-1`,
    `/${session.id}/events?permissions=x`,
  ]) {
    expect([path, (await api.get(ROOT + path)).status]).toEqual([path, 400]);
  }
});
