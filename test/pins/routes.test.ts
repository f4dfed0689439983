/** The routes as clients know them, written out: a change here is a decision about the API, not a refactoring. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startTestDaemon, type TestDaemon } from "../daemon/harness.ts";

const DOCUMENTED = [
  "DELETE /v1/code/session/{id}",
  "DELETE /v1/responses/{id}",
  "GET /",
  "GET /api/ps",
  "GET /api/status",
  "GET /api/tags",
  "GET /api/version",
  "GET /docs",
  "GET /docs/json",
  "GET /health",
  "GET /metrics",
  "GET /v1/code/execute",
  "GET /v1/code/session",
  "GET /v1/code/session/{id}",
  "GET /v1/code/session/{id}/changes",
  "GET /v1/code/session/{id}/events",
  "GET /v1/code/session/{id}/permissions",
  "GET /v1/code/session/{id}/turns",
  "GET /v1/code/session/{id}/turns/{turn}",
  "GET /v1/code/ws",
  "GET /v1/health",
  "GET /v1/models",
  "GET /v1/models/{id}",
  "GET /v1/responses",
  "GET /v1/responses/{id}",
  "GET /v1/responses/{id}/input_items",
  "POST /api/chat",
  "POST /api/generate",
  "POST /api/pull",
  "POST /api/show",
  "POST /v1/chat/completions",
  "POST /v1/code/execute",
  "POST /v1/code/session",
  "POST /v1/code/session/{id}/interrupt",
  "POST /v1/code/session/{id}/permissions/{request}",
  "POST /v1/code/session/{id}/turns",
  "POST /v1/code/session/{id}/turns/{turn}/undo",
  "POST /v1/completions",
  "POST /v1/messages",
  "POST /v1/messages/count_tokens",
  "POST /v1/responses",
  "POST /v1/responses/{id}/cancel",
];

type Json = Record<string, unknown>;

let server: TestDaemon;
let document: { openapi: string; info: Json; paths: Record<string, Record<string, Json>>; components: Json };
beforeAll(async () => {
  server = await startTestDaemon();
  document = (await (await fetch(`${server.daemon.url}/docs/json`)).json()) as typeof document;
});
afterAll(() => server[Symbol.asyncDispose]());

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
const at = (holder: unknown, key: string): unknown => (holder as Json | undefined)?.[key];

test("every route that serves something is documented, and nothing else is", () => {
  const found = operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`);
  expect(found.sort()).toEqual(DOCUMENTED);
});

test("a route without documentation only refuses, or is the HEAD of a documented one", async () => {
  const plain = server.daemon
    .routes()
    .filter((route) => route.detail === undefined && !["ALL", "HEAD"].includes(route.method));
  expect(plain).toEqual([]);
});

test("the document is valid OpenAPI 3.1", () => {
  expect(document.openapi).toBe("3.1.0");
  expect(typeof document.info.title).toBe("string");
  expect(typeof document.info.version).toBe("string");
  const ids = operations().map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, method, operation } of operations()) {
    const where = `${method} ${path}`;
    expect([where, typeof operation.summary]).toEqual([where, "string"]);
    expect([where, Array.isArray(operation.tags) && operation.tags.length === 1]).toEqual([where, true]);
    // Each parameter in the path is declared, and each declared one is complete.
    const parameters = (operation.parameters ?? []) as Json[];
    const inPath = parameters.filter((parameter) => parameter.in === "path").map((parameter) => parameter.name);
    expect([where, inPath]).toEqual([where, [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])]);
    for (const parameter of parameters) {
      expect(["path", "query", "header"]).toContain(String(parameter.in));
      expect(typeof parameter.schema).toBe("object");
    }
    // Every response has a description; bodies are media types with schemas; only bodies of methods that have one.
    const responses = Object.entries(operation.responses as Record<string, Json>);
    expect(responses.length).toBeGreaterThan(1);
    for (const [status, response] of responses) {
      expect(status).toMatch(/^([1-5]\d\d|default)$/);
      expect([where, status, typeof response.description]).toEqual([where, status, "string"]);
    }
    for (const holder of [operation.requestBody, ...responses.map(([, response]) => response)]) {
      for (const [type, media] of Object.entries((at(holder, "content") ?? {}) as Json)) {
        expect(type).toMatch(/^[a-z]+\/[a-z.+-]+$/);
        expect([where, typeof at(media, "schema")]).toEqual([where, "object"]);
      }
    }
    if (method === "post" && !/\/(interrupt|cancel)$/.test(path)) {
      expect([where, typeof at(operation.requestBody, "content")]).toEqual([where, "object"]);
    }
  }
});

test("every reference leads somewhere", () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? "");
  expect(references.length).toBeGreaterThan(0);
  for (const reference of references) {
    const target = reference
      .replace(/^#\//, "")
      .split("/")
      .reduce<unknown>((holder, key) => at(holder, key), document);
    expect([reference, typeof target]).toEqual([reference, "object"]);
  }
});

test("the page needs nothing from elsewhere and no script, under a policy that would block both", async () => {
  const response = await fetch(`${server.daemon.url}/docs`);
  const html = await response.text();
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(html).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|javascript:|\son\w+=/i);
  expect([...html.matchAll(/\b(?:src|href)="([^"]*)"/g)].map((match) => match[1])).toEqual(["/docs/json"]);
  const policy = response.headers.get("content-security-policy") ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe");
  const style = /<style>([\s\S]*?)<\/style>/.exec(html)?.[1] ?? "";
  const digest = new Bun.CryptoHasher("sha256").update(style).digest("base64");
  expect(policy).toContain(`style-src 'sha256-${digest}'`);
  for (const route of DOCUMENTED) expect(html).toContain(route.split(" ")[1] ?? "");
});
