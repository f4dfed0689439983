/** Paths and methods of OpenAI's API that are not a turn: each a clear answer in OpenAI's shape. */
import { afterAll, expect, test } from "bun:test";
import { createOpenAiRoutes, UNSUPPORTED_ROUTES } from "../../../src/api/openai/routes.ts";
import { createDeps, createScriptedRunner, serve } from "../../contract/scripted-runner.ts";

const served = serve(createOpenAiRoutes(createDeps(createScriptedRunner())));
afterAll(() => served.stop());

async function ask(
  method: string,
  path: string,
  init: RequestInit = {},
): Promise<[number, string | null, string | null]> {
  const response = await fetch(served.url + path, { method, ...init });
  expect(response.headers.get("content-type")).toContain("application/json");
  expect(response.headers.get("x-request-id")).toMatch(/^req_/);
  const { error } = (await response.json()) as { error: { code: string | null; message: string } };
  expect(error.message.length).toBeGreaterThan(10);
  return [response.status, error.code, response.headers.get("allow")];
}

test("what OpenAI has and the daemon has not is a 404 that says so, whatever the method", async () => {
  for (const route of UNSUPPORTED_ROUTES) {
    for (const method of ["GET", "POST", "DELETE"]) {
      expect(await ask(method, route.replace("*", "x"))).toEqual([404, "unsupported_endpoint", null]);
    }
  }
  const form = new FormData();
  form.set("file", new Blob(["x".repeat(100_000)]), "a.wav");
  expect(await ask("POST", "/v1/audio/transcriptions", { body: form })).toEqual([404, "unsupported_endpoint", null]);
});

test("an address that nobody serves is a 404, a wrong method a 405 with what is allowed", async () => {
  expect(await ask("GET", "/v1/nothing/here")).toEqual([404, "unknown_url", null]);
  expect(await ask("GET", "/v1/chat/completions")).toEqual([405, "method_not_allowed", "POST"]);
  expect(await ask("PUT", "/v1/completions")).toEqual([405, "method_not_allowed", "POST"]);
  expect(await ask("POST", "/v1/models", { body: "{bad" })).toEqual([405, "method_not_allowed", "GET, HEAD"]);
  expect(await ask("DELETE", "/v1/models/haiku")).toEqual([405, "method_not_allowed", "GET, HEAD"]);
});

test("models: an unknown or badly encoded id is model_not_found, HEAD has no body", async () => {
  expect(await ask("GET", "/v1/models/gpt-5")).toEqual([404, "model_not_found", null]);
  expect(await ask("GET", "/v1/models/%E0%A4%A")).toEqual([404, "model_not_found", null]);
  const head = await fetch(`${served.url}/v1/models`, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});

test("another dialect may answer for the paths it shares", async () => {
  const other = serve(
    createOpenAiRoutes(createDeps(createScriptedRunner()), {
      otherDialect: (request) => (request.headers.has("anthropic-version") ? new Response("theirs") : undefined),
    }),
  );
  const headers = { "anthropic-version": "2023-06-01" };
  for (const path of ["/v1/models", "/v1/models/haiku", "/v1/files", "/v1/messages/batches"]) {
    expect(await (await fetch(other.url + path, { headers })).text()).toBe("theirs");
    expect(await (await fetch(other.url + path)).text()).not.toBe("theirs");
  }
  await other.stop();
});
