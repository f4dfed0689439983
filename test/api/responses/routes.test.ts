/** Paths and methods around Responses, through a whole daemon: its listener, its gate, its app. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startTestDaemon, type TestDaemon } from "../../daemon/harness.ts";

let daemon: TestDaemon;
let url: string;
beforeAll(async () => {
  daemon = await startTestDaemon();
  url = `http://127.0.0.1:${daemon.port}`;
});
afterAll(() => daemon[Symbol.asyncDispose]());

async function ask(method: string, path: string): Promise<[number, string | null, string | null]> {
  const response = await fetch(url + path, { method });
  expect(response.headers.get("content-type")).toContain("application/json");
  expect(response.headers.get("x-request-id")).toMatch(/^req_/);
  const { error } = (await response.json()) as { error: { code: string | null; message: string } };
  expect(error.message.length).toBeGreaterThan(10);
  return [response.status, error.code, response.headers.get("allow")];
}

test("a WebSocket upgrade is answered with 426, so that Codex goes on over POST at once", async () => {
  for (const path of ["/v1/responses", "/responses", "/v1/responses/"]) {
    const answer = await daemon.raw(
      [
        `GET ${path} HTTP/1.1`,
        `Host: 127.0.0.1:${daemon.port}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "",
        "",
      ].join("\r\n"),
    );
    expect(answer).toStartWith("HTTP/1.1 426");
    expect(answer).toContain('"error":{');
  }
});

test("a wrong method is a 405 with what is allowed; what is not served says so", async () => {
  expect(await ask("GET", "/v1/responses")).toEqual([405, "method_not_allowed", "POST"]);
  expect(await ask("PUT", "/v1/responses")).toEqual([405, "method_not_allowed", "POST"]);
  expect(await ask("POST", "/v1/responses/resp_1")).toEqual([405, "method_not_allowed", "GET, DELETE"]);
  expect(await ask("DELETE", "/v1/responses/resp_1/input_items")).toEqual([405, "method_not_allowed", "GET"]);
  expect(await ask("GET", "/v1/responses/resp_1/cancel")).toEqual([405, "method_not_allowed", "POST"]);
  expect(await ask("POST", "/v1/responses/compact")).toEqual([404, "unsupported_endpoint", null]);
  expect(await ask("POST", "/v1/responses/input_tokens")).toEqual([404, "unsupported_endpoint", null]);
  for (const [method, path] of [
    ["GET", "resp_1"],
    ["DELETE", "resp_1"],
    ["GET", "resp_1/input_items"],
    ["POST", "resp_1/cancel"],
  ] as const) {
    expect(await ask(method, `/v1/responses/${path}`)).toEqual([404, "not_found", null]);
  }
});

test("a stored answer is read whole only, its items in pages with bounds", async () => {
  const input = Array.from({ length: 30 }, (_, index) => ({ role: "user", content: `${index}` }));
  const created = await fetch(`${url}/v1/responses`, {
    method: "POST",
    body: JSON.stringify({ model: "sonnet", input }),
  });
  const { id } = (await created.json()) as { id: string };
  expect(id).toMatch(/^resp_\w{24}$/);
  expect(await ask("GET", `/v1/responses/${id}?stream=true`)).toEqual([400, "unsupported_parameter", null]);
  expect(await ask("GET", `/v1/responses/${id}/input_items?limit=101`)).toEqual([400, "invalid_value", null]);
  expect(await ask("GET", `/v1/responses/${id}/input_items?order=up`)).toEqual([400, "invalid_value", null]);
  expect(await ask("GET", `/v1/responses/${id}/input_items?after=x`)).toEqual([400, "invalid_value", null]);
  type Page = { data: { id: string; content: { text: string }[] }[]; has_more: boolean; last_id: string };
  const page = async (query: string) =>
    (await (await fetch(`${url}/v1/responses/${id}/input_items${query}`)).json()) as Page;
  const first = await page("");
  expect(first.data.map((item) => item.content[0]?.text)).toEqual(Array.from({ length: 20 }, (_, at) => `${29 - at}`));
  expect(first.has_more).toBe(true);
  const rest = await page(`?after=${first.last_id}`);
  expect(rest.data.map((item) => item.content[0]?.text)).toEqual(Array.from({ length: 10 }, (_, at) => `${9 - at}`));
  expect(rest.has_more).toBe(false);
});
