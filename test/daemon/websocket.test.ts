/** The WebSocket stands behind the same gate as everything else. */
import { expect, test } from "bun:test";
import { connectSocket } from "../api/code-harness.ts";
import { startTestDaemon } from "./harness.ts";

function handshake(port: number, headers: Record<string, string>, path = "/v1/code/ws"): string {
  const lines = Object.entries({
    Host: `127.0.0.1:${port}`,
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  }).map(([name, value]) => `${name}: ${value}`);
  return `GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}
const statusOf = (answer: string) => Number(answer.split(" ")[1]);

test("pages of foreign origins, foreign hosts and unknown proxies get no socket on any path", async () => {
  await using under = await startTestDaemon();
  for (const path of ["/", "/v1/code/ws", "//v1/code/ws/", "/x/../v1/code/ws"]) {
    for (const [headers, status] of [
      [{ Origin: "http://evil.example" }, 403],
      [{ Origin: "null" }, 403],
      [{ Origin: "http://localhost:3000.evil.example" }, 403],
      [{ Host: "evil.example" }, 421],
      [{ Host: "a" }, 421],
      [{ "X-Forwarded-For": "127.0.0.1" }, 400],
      [{ "Sec-Fetch-Site": "cross-site" }, 403],
    ] as const) {
      const answer = await under.raw(handshake(under.port, { ...headers, Connection: "Upgrade, close" }, path));
      expect([path, headers, statusOf(answer)]).toEqual([path, headers, status]);
    }
  }
});

test("an allowed page gets one, on / and on its own path", async () => {
  await using under = await startTestDaemon();
  for (const path of ["/", "/v1/code/ws"]) {
    const client = await connectSocket(`ws://127.0.0.1:${under.port}${path}`);
    client.send({ type: "ping" });
    expect(await client.frame((frame) => frame.type === "pong")).toEqual({ type: "pong" });
    await client.close();
  }
});

test("when the daemon stops, sockets are told so", async () => {
  const under = await startTestDaemon();
  const client = await connectSocket(`ws://127.0.0.1:${under.port}/`);
  const stopped = under.daemon.stop();
  expect((await client.closed).code).toBe(1001);
  await stopped;
  await under[Symbol.asyncDispose]();
});
