/** What arrives malformed or from elsewhere, over raw sockets: refused, nothing started, the daemon lives. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestDaemon, type TestDaemon } from "./harness.ts";

let server: TestDaemon;
beforeAll(async () => {
  server = await startTestDaemon();
});
afterAll(() => server[Symbol.asyncDispose]());

const BODY = '{"model":"sonnet","messages":[{"role":"user","content":"hi"}]}';
const fill = (text: string) => text.replaceAll("{port}", String(server.port)).replaceAll("{body}", BODY);
const post = (extra: string, body = BODY, target = "/v1/chat/completions") =>
  `POST ${target} HTTP/1.1\r\nHost: localhost:{port}\r\n${extra}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
const get = (target: string, extra = "", host = "Host: localhost:{port}\r\n") =>
  `GET ${target} HTTP/1.1\r\n${host}${extra}Connection: close\r\n\r\n`;

function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);
}

async function refused(bytes: string, expected: number | readonly number[]): Promise<string> {
  const before = server.turns();
  const answer = await server.raw(fill(bytes));
  expect([expected].flat()).toContain(statusOf(answer));
  expect(server.turns()).toBe(before);
  expect(answer).not.toMatch(/access-control-allow-origin: \*/i);
  expect(answer).not.toMatch(/at \S+ \(|node_modules|\/src\//);
  return answer;
}

test("the same request without malice is answered", async () => {
  const before = server.turns();
  const answer = await server.raw(fill(post("Content-Type: application/json\r\n")));
  expect(statusOf(answer)).toBe(200);
  expect(answer).toContain("hello");
  expect(server.turns()).toBe(before + 1);
  expect(statusOf(await server.raw(fill(post(""))))).toBe(200);
  expect(statusOf(await server.raw(fill(post("Content-Type: application/x-www-form-urlencoded\r\n"))))).toBe(200);
});

describe("Host and request line", () => {
  const plain = "X: y\r\n";
  test.each([
    ["a foreign Host", get("/v1/models", "", "Host: evil.com\r\n"), 421],
    ["two Hosts, ours first", get("/v1/models", "", "Host: localhost:{port}\r\nHost: evil.com\r\n"), [400, 421]],
    ["two Hosts, ours last", get("/v1/models", "", "Host: evil.com\r\nHost: localhost:{port}\r\n"), [400, 421]],
    ["no Host", get("/v1/models", plain, ""), 400],
    ["HTTP/1.0 without Host", "GET /aaaaaaaaaaaaaa/v1/models HTTP/1.0\r\n\r\n", 421],
    ["absolute form with a foreign Host", get("http://localhost:{port}/v1/models", "", "Host: evil.com\r\n"), 421],
    ["a path that shifts the router", get("/x/y/v1/models", "", "Host: a\r\n"), 421],
    ["a Host with a path", get("/v1/models", "", "Host: localhost:{port}/x\r\n"), 421],
    ["a Host with a user", get("/v1/models", "", "Host: u@localhost:{port}\r\n"), 421],
    ["a Host with a query", get("/v1/models", "", "Host: localhost:{port}?x\r\n"), 421],
    ["the wrong port", get("/v1/models", "", "Host: localhost:1\r\n"), 421],
    ["0.0.0.0", get("/v1/models", "", "Host: 0.0.0.0:{port}\r\n"), 421],
  ])("%s", async (_, bytes, status) => {
    await refused(bytes, status);
  });

  test("in absolute form only the Host counts", async () => {
    const answer = await server.raw(fill(get("http://evil.com/v1/health")));
    expect(statusOf(answer)).toBe(200);
    expect(answer).toContain("uptime_s");
  });

  test("a rebound name is refused, although it leads here", async () => {
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/health`, {
      headers: { host: `rebound.example:${server.port}` },
    });
    expect(response.status).toBe(421);
  });

  test.each(["/v1/../v1/chat/completions", "//v1//chat/completions/", "/v1/v1/chat/completions", "/chat/completions"])(
    "the gate holds on %s",
    async (target) => {
      await refused(post("Origin: http://evil.com\r\nContent-Type: application/json\r\n", BODY, target), 403);
      const before = server.turns();
      expect(statusOf(await server.raw(fill(post("", BODY, target))))).toBe(200);
      expect(server.turns()).toBe(before + 1);
    },
  );

  test.each(["/v1%2fchat/completions", "/v1/chat/completions%00", "/V1/chat/completions", "/api%2f..%2fv1"])(
    "%s is no other way in",
    async (target) => {
      await refused(post("", BODY, target), 404);
    },
  );
});

describe("pages of other origins", () => {
  test.each([
    ["evil", post("Origin: http://evil.com\r\nContent-Type: application/json\r\n"), 403],
    ["null", post("Origin: null\r\nContent-Type: application/json\r\n"), 403],
    [
      "two Origins",
      post("Origin: http://localhost:3000\r\nOrigin: http://evil.com\r\nContent-Type: application/json\r\n"),
      403,
    ],
    ["an extension", post("Origin: chrome-extension://abc\r\nContent-Type: application/json\r\n"), 403],
    ["a form of an allowed origin", post("Origin: http://localhost:3000\r\nContent-Type: text/plain\r\n"), 415],
    ["no content type", post("Origin: http://localhost:3000\r\n"), 415],
    ["an image tag", get("/v1/models", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"), 403],
    [
      "a WebSocket of a foreign page",
      get(
        "/",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://evil.com\r\n",
      ),
      403,
    ],
  ])("%s", async (_, bytes, status) => {
    const answer = await refused(bytes, status);
    if (status === 403) expect(answer).not.toMatch(/access-control-allow-origin/i);
  });

  test("a foreign preflight gets no permission", async () => {
    const answer = await refused(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://evil.com\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n",
      403,
    );
    expect(answer).not.toMatch(/access-control-allow/i);
  });

  test("an allowed page may: preflight, then the request, with CORS headers on both", async () => {
    const preflight = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: {
        origin: "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("http://localhost:3000");
    expect(preflight.headers.get("access-control-allow-headers")).toBe("authorization,content-type,x-stainless-os");
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
      method: "POST",
      headers: { origin: "http://localhost:3000", "content-type": "application/json" },
      body: BODY,
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBe("http://localhost:3000");
    await response.text();
  });

  test("the 403 names the command, in OpenAI's shape", async () => {
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
      method: "POST",
      headers: { origin: "http://localhost:5173", "content-type": "application/json" },
      body: BODY,
    });
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(Object.keys(error).sort()).toEqual(["code", "message", "param", "type"]);
    expect(error.message).toContain("claude-code-daemon origin allow http://localhost:5173");
  });
});

describe("bodies and broken HTTP", () => {
  const start = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{port}\r\n";
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  test.each([
    ["an announced terabyte", `${start}Content-Length: 99999999999\r\n\r\n`, 413],
    ["deep nesting", post("", deep), 400],
    ["broken JSON", post("", "{"), 400],
    ["an empty body", post("", ""), 400],
    ["__proto__", post("", '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'), 400],
    ["a number beyond all", post("", BODY.replace("{", '{"max_tokens":1e400,')), 400],
    ["a number that is none", post("", BODY.replace("{", '{"max_tokens":-0.5,')), 400],
    ["a million of a field's items", post("", BODY.replace("{", `{"stop":[${"1,".repeat(999_999)}1],`)), 400],
    ["brotli", post("Content-Encoding: br\r\n"), 415],
    ["length and chunks", `${start}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ["two lengths", `${start}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, 400],
    ["a negative length", `${start}Content-Length: -5\r\n\r\n`, 400],
    ["an obscured encoding", `${start}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, [400, 501]],
    ["a large header", get("/v1/models", `X: ${"a".repeat(17 * 1024)}\r\n`), 431],
    ["201 headers", get("/v1/models", Array.from({ length: 201 }, (_, at) => `X${at}: y\r\n`).join("")), 431],
    ["a line break in a value", get("/v1/models/%0d%0aset-cookie:%20x"), 404],
    ["TRACE", "TRACE /v1/models HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n", 405],
    ["CONNECT", "CONNECT /v1/models HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n", 405],
    ["a proxy's headers", post("X-Forwarded-For: 127.0.0.1\r\n"), 400],
  ])("%s", async (_, bytes, status) => {
    await refused(bytes, status);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("bytes that are no UTF-8 are refused, not replaced", async () => {
    const before = server.turns();
    const body = Buffer.from(BODY.replace("hi", "\xff\xfe"), "latin1");
    const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:${server.port}\r\nContent-Length: ${body.length}\r\n\r\n`;
    const answer = await server.raw(Buffer.concat([Buffer.from(head), body]));
    expect(statusOf(answer)).toBe(400);
    expect(answer).toContain("not valid UTF-8");
    expect(server.turns()).toBe(before);
  });

  test("of a key that comes twice the last counts, for the checks and for the turn alike", async () => {
    const twice = BODY.replace("{", '{"stream":"no",').replace(/}$/, ',"stream":false}');
    expect(statusOf(await server.raw(fill(post("", twice))))).toBe(200);
    await refused(post("", BODY.replace("{", '{"stream":false,').replace(/}$/, ',"stream":"no"}')), 400);
  });

  test.each([
    ["HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["a TLS hello", Uint8Array.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3])],
    ["an unknown method", "BREW /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["noise", Uint8Array.from({ length: 64 }, (_, at) => (at * 37 + 128) % 256)],
  ])("%s is answered with an error or nothing", async (_, bytes) => {
    const before = server.turns();
    const answer = await server.raw(
      typeof bytes === "string" ? `${bytes}\r\n\r\n` : Buffer.concat([bytes, Buffer.from("\r\n\r\n")]),
    );
    expect(answer === "" || statusOf(answer) >= 400).toBe(true);
    expect(server.turns()).toBe(before);
  });

  test("a chunked body past the limit is refused while it is read", async () => {
    const small = await startTestDaemon({ env: { CLAUDE_CODE_DAEMON_LIMITS_BODY_MIB: "1" } });
    await using _ = small;
    const part = new Uint8Array(256 * 1024).fill(0x20);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sent += 1;
        if (sent > 8) controller.close();
        else controller.enqueue(part);
      },
    });
    const response = await fetch(`http://127.0.0.1:${small.port}/v1/chat/completions`, { method: "POST", body });
    expect(response.status).toBe(413);
    expect(small.turns()).toBe(0);
  });
});

describe("what a page can have fetched without asking", () => {
  const gets = () =>
    server.daemon
      .routes()
      .filter(({ method }) => method === "GET")
      .map(({ path }) => path.replaceAll(/:\w+/g, "ses_x").replaceAll("*", "x"));

  test("no GET route answers another site's image, script or frame", async () => {
    expect(gets().length).toBeGreaterThan(20);
    for (const path of gets()) {
      await refused(get(path, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"), 403);
      await refused(get(path, "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\n"), 403);
    }
  });

  test("none begins a turn, and each answer is hardened against being read as something else", async () => {
    const before = server.turns();
    for (const path of gets()) {
      // A stream of events would not end.
      if (path.endsWith("/events")) continue;
      const answer = (await server.raw(fill(get(path)))).toLowerCase();
      for (const header of [
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "cross-origin-resource-policy: same-origin",
        "content-security-policy: default-src 'none'",
      ]) {
        expect([path, answer.includes(`\r\n${header}`)]).toEqual([path, true]);
      }
      expect(answer).not.toContain("access-control-allow");
    }
    expect(server.turns()).toBe(before);
  });
});

test("after all that the daemon answers, and its log names who was refused, but none of what they said", async () => {
  const response = await fetch(`http://127.0.0.1:${server.port}/v1/health`);
  expect(response.status).toBe(200);
  const refused = server.log().match(/^.*request refused.*$/gm) ?? [];
  expect(refused.length).toBeLessThanOrEqual(20);
  expect(server.log().replaceAll(/^.*request refused.*$/gm, "")).not.toContain("evil");
  for (const line of refused) expect(line).toMatch(/^level=warn msg="request refused" reason=\w+ method=\w+ /);
});
