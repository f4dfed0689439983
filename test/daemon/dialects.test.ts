/** Through the whole daemon: every address answers, and refuses, in the dialect of who asks. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startTestDaemon, type TestDaemon } from "./harness.ts";

let running: TestDaemon;
beforeAll(async () => {
  running = await startTestDaemon();
});
afterAll(() => running[Symbol.asyncDispose]());

const ANTHROPIC = { "anthropic-version": "2023-06-01" };
const messages = [{ role: "user", content: "hi" }];
const ask = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${running.port}${path}`, init);
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  ask(path, { method: "POST", body: JSON.stringify(body), headers });

test("Messages and Ollama answer, however their addresses are written", async () => {
  for (const path of ["/v1/messages", "/v1/messages?beta=true", "/messages", "//v1//messages/", "/v1/v1/messages"]) {
    const response = await post(path, { model: "m", max_tokens: 9, messages });
    expect(await response.json()).toMatchObject({ type: "message", content: [{ text: "hello" }] });
  }
  for (const path of ["/api/chat", "/v1/api/chat", "/api/chat/"]) {
    const response = await post(path, { model: "m", messages, stream: false });
    expect(await response.json()).toMatchObject({ message: { content: "hello" }, done: true });
  }
  expect(await (await ask("/")).text()).toBe("Ollama is running");
  expect((await ask("/", { method: "HEAD" })).status).toBe(200);
  expect(await (await ask("/v1/models")).json()).toMatchObject({ object: "list" });
  expect(await (await ask("/v1/models", { headers: ANTHROPIC })).json()).toMatchObject({ has_more: false });
});

test("what the gate refuses, and what nobody serves, is an error in the caller's dialect", async () => {
  const foreign = { origin: "https://elsewhere.example" };
  const [openai, anthropic, ollama] = [
    { error: { message: expect.any(String), type: "invalid_request_error" } },
    { type: "error", error: { type: expect.any(String) }, request_id: expect.stringMatching(/^req_/) },
    { error: expect.any(String) },
  ];
  const cases: [Promise<Response>, number, object][] = [
    [post("/v1/chat/completions", {}, foreign), 403, openai],
    [post("/v1/messages", {}, foreign), 403, anthropic],
    [post("/v1/models", {}, { ...foreign, ...ANTHROPIC }), 403, anthropic],
    [post("/api/chat", {}, foreign), 403, ollama],
    [ask("/v1/unheard"), 404, openai],
    [ask("/v1/unheard", { headers: ANTHROPIC }), 404, anthropic],
    [ask("/v1/files", { headers: ANTHROPIC }), 404, anthropic],
    [post("/v1/messages/batches", {}), 404, anthropic],
    [ask("/api/unheard"), 404, ollama],
  ];
  for (const [answer, status, shape] of cases) {
    const response = await answer;
    expect(response.status).toBe(status);
    const body = (await response.json()) as { request_id?: string };
    if (body.request_id) expect(response.headers.get("request-id")).toBe(body.request_id);
    expect(body).toMatchObject(shape);
  }
});
