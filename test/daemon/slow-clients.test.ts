/** Clients that stall, and clients that rightly wait: the first lose their connection, the others keep it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { HELLO, startTestDaemon, type TestDaemon } from "./harness.ts";

/** The least that Bun's clock of connections counts with. */
const IDLE_SECONDS = "4";

let server: TestDaemon;
/** Turns that are asked to wait wait for this. */
const held = Promise.withResolvers<void>();
/** Called when such a turn has begun to be silent. */
let began = (): void => undefined;

beforeAll(async () => {
  server = await startTestDaemon({
    env: {
      CLAUDE_CODE_DAEMON_LIMITS_BODY_SECONDS: "1",
      CLAUDE_CODE_DAEMON_LIMITS_IDLE_CONNECTION_SECONDS: IDLE_SECONDS,
    },
    runner: async function* (request) {
      const asked = JSON.stringify(request.messages);
      for await (const event of HELLO(request)) {
        if (event.type === "text-delta" && asked.includes("wait")) {
          began();
          await held.promise;
        }
        yield event;
      }
    },
  });
});
afterAll(() => server[Symbol.asyncDispose]());

/** Asks for a turn that is silent until `held`; resolves once it is. */
async function openWaiting(stream: boolean): Promise<Client> {
  const { promise, resolve } = Promise.withResolvers<void>();
  began = resolve;
  const client = open(ask("wait", stream));
  await promise;
  return client;
}

interface Client extends Disposable {
  socket: Socket;
  received(): string;
  /** Settles with all that came, once the daemon has closed. */
  closed: Promise<string>;
}

/** Sends these bytes and then nothing. */
function open(bytes: string): Client {
  const { promise, resolve } = Promise.withResolvers<string>();
  let received = "";
  const socket = connect(server.port, "127.0.0.1");
  socket.write(bytes);
  socket.on("data", (part) => {
    received += part.toString("latin1");
  });
  socket.on("error", () => undefined);
  socket.on("close", () => resolve(received));
  return { socket, received: () => received, closed: promise, [Symbol.dispose]: () => socket.destroy() };
}

const head = (path: string, extra: string) => `POST ${path} HTTP/1.1\r\nHost: localhost:${server.port}\r\n${extra}\r\n`;
const ask = (content: string, stream: boolean) => {
  const body = JSON.stringify({ model: "sonnet", stream, messages: [{ role: "user", content }] });
  return `${head("/v1/chat/completions", `Content-Length: ${body.length}\r\n`)}${body}`;
};
const health = () => `GET /v1/health HTTP/1.1\r\nHost: localhost:${server.port}\r\n\r\n`;

describe.concurrent("a request that never ends", () => {
  test.each([
    ["chat completions", "/v1/chat/completions", '"code":"request_timeout"'],
    ["Anthropic", "/v1/messages", '"type":"timeout_error"'],
    ["Ollama", "/api/chat", '{"error":"The request body did not arrive'],
    ["sessions", "/v1/code/session", '"code":"request_timeout"'],
    ["running code", "/v1/code/execute", '"code":"request_timeout"'],
  ])("half a body is answered 408 and the connection closed (%s)", async (_, path, expected) => {
    using client = open(`${head(path, "Content-Length: 100\r\n")}{"model":`);
    const answer = await client.closed;
    expect(answer).toStartWith("HTTP/1.1 408 ");
    expect(answer).toContain(expected);
    expect(answer).toContain("x-should-retry: true");
  });

  test.each([
    ["without a length", "Transfer-Encoding: chunked\r\n", '2\r\n{"\r\n'],
    ["that is announced as large", "Content-Length: 30000000\r\n", '{"'],
  ])("a body %s has no more time than another, unless it comes", async (_, length, begin) => {
    using client = open(`${head("/v1/chat/completions", length)}${begin}`);
    expect(await client.closed).toStartWith("HTTP/1.1 408 ");
  });

  test("a large body that comes slowly, but comes, is read", async () => {
    const body = JSON.stringify({
      model: "sonnet",
      messages: [{ role: "user", content: "x".repeat(2 * 1024 * 1024) }],
    });
    using client = open(head("/v1/chat/completions", `Content-Length: ${body.length}\r\nConnection: close\r\n`));
    // Longer than a small one may take, at four times the least rate.
    const pieces = 16;
    const size = Math.ceil(body.length / pieces);
    for (let piece = 0; piece < pieces; piece++) {
      client.socket.write(body.slice(piece * size, (piece + 1) * size));
      await Bun.sleep(100);
    }
    expect(await client.closed).toStartWith("HTTP/1.1 200 ");
  });

  test("a byte of it now and then buys no time", async () => {
    using client = open(`${head("/v1/chat/completions", "Content-Length: 100\r\n")}{`);
    const drip = setInterval(() => client.socket.write(" "), 100);
    expect(await client.closed).toStartWith("HTTP/1.1 408 ");
    clearInterval(drip);
  });
});

test("connections that say nothing, or half a request's head, are closed; one that waits for its turn is not", async () => {
  using streamed = await openWaiting(true);
  using whole = await openWaiting(false);
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/v1/code/ws`);
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  // All begin after those that wait, so they cannot be closed before these would have been.
  using silent = open("");
  using half = open(`POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:${server.port}\r\nX: `);
  using unread = open(`${head("/v1/nothing-here", "Content-Length: 100\r\n")}{`);
  using idle = open(health());
  using afterStream = open(ask("hi", true));
  const drip = setInterval(() => half.socket.write("x"), 500);
  expect(await silent.closed).toBe("");
  expect(await half.closed).toBe("");
  clearInterval(drip);
  expect(await unread.closed).toStartWith("HTTP/1.1 404 ");
  expect(await idle.closed).toStartWith("HTTP/1.1 200 ");
  expect(await afterStream.closed).toContain("[DONE]");

  const pong = new Promise((resolve) => socket.addEventListener("message", (event) => resolve(String(event.data))));
  socket.send('{"type":"ping"}');
  expect(await pong).toContain("pong");
  socket.close();
  held.resolve();
  // What they get now comes over the connections that were silent all the while; then these are idle, too.
  expect(await streamed.closed).toContain("[DONE]");
  expect(await whole.closed).toContain("hello");
}, 60_000);

test("500 connections that ask nothing do not keep a new client out", async () => {
  const clients = Array.from({ length: 500 }, () => open(""));
  await Promise.all(clients.map(({ socket }) => new Promise((resolve) => socket.once("connect", resolve))));
  const response = await fetch(`http://127.0.0.1:${server.port}/v1/health`);
  expect(response.status).toBe(200);
  for (const client of clients) client[Symbol.dispose]();
});
