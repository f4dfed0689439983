/** What no WebSocket library would send, over raw sockets: the socket is closed, the daemon and everybody else go on. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { connectSocket, type SocketClient } from "../api/code-harness.ts";
import { startTestDaemon, type TestDaemon } from "./harness.ts";

let server: TestDaemon;
let bystander: SocketClient;
beforeAll(async () => {
  server = await startTestDaemon();
  bystander = await connectSocket(`ws://127.0.0.1:${server.port}/v1/code/ws`);
});
afterAll(async () => {
  await bystander.close();
  await server[Symbol.asyncDispose]();
});

const HANDSHAKE = (port: number, extra: string) =>
  `GET /v1/code/ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${extra}\r\n`;

/** A frame with these first two bytes, masked with zeros. */
const masked = (first: number, payload: Uint8Array | number[]) =>
  Uint8Array.from([first, 0x80 | payload.length, 0, 0, 0, 0, ...payload]);
const PING_FRAME = [...new TextEncoder().encode('{"type":"ping"}')];

interface RawSocket {
  /** All that the daemon sent behind its handshake. */
  frames: Promise<Buffer>;
  handshake: string;
}

/** Shakes hands, sends these frames, and reads until the daemon closes. */
async function send(frames: Uint8Array, extra = ""): Promise<RawSocket> {
  const shaken = Promise.withResolvers<string>();
  const over = Promise.withResolvers<Buffer>();
  let received = Buffer.alloc(0);
  const socket = connect(server.port, "127.0.0.1");
  socket.write(HANDSHAKE(server.port, extra));
  let head = -1;
  socket.on("data", (part) => {
    received = Buffer.concat([received, Buffer.from(part)]);
    if (head >= 0) return;
    head = received.indexOf("\r\n\r\n");
    if (head < 0) return;
    shaken.resolve(received.subarray(0, head).toString());
    socket.write(frames);
  });
  socket.on("error", () => undefined);
  socket.on("close", () => over.resolve(received.subarray(head + 4)));
  return { handshake: await shaken.promise, frames: over.promise };
}

async function expectAlive(): Promise<void> {
  bystander.send({ type: "ping", id: crypto.randomUUID() });
  await bystander.frame((frame) => frame.type === "pong");
  expect((await fetch(`${server.daemon.url}/v1/health`)).status).toBe(200);
}

describe("a frame that breaks the protocol closes its socket", () => {
  test.each<[string, Uint8Array]>([
    ["not masked", Uint8Array.from([0x81, PING_FRAME.length, ...PING_FRAME])],
    ["reserved bits", masked(0x81 | 0x70, PING_FRAME)],
    ["a reserved opcode", masked(0x83, PING_FRAME)],
    ["a control frame in pieces", masked(0x09, [1])],
    ["a control frame that is too long", Uint8Array.from([0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0])],
    ["a length of 2^63", Uint8Array.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ["a length past the bound", Uint8Array.from([0x81, 0xff, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0])],
    ["text that is no UTF-8", masked(0x81, [0xff, 0xfe, 0xfd])],
    ["a continuation of nothing", masked(0x80, PING_FRAME)],
  ])("%s", async (_, frame) => {
    const { frames } = await send(frame);
    expect((await frames).toString("latin1")).not.toContain("pong");
    await expectAlive();
  });
});

test("compression is not taken up: a small frame cannot become a large one", async () => {
  const { handshake, frames } = await send(
    Uint8Array.from([...masked(0x81, PING_FRAME), ...masked(0x88, [])]),
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
  );
  expect(handshake).toStartWith("HTTP/1.1 101 ");
  expect(handshake.toLowerCase()).not.toContain("sec-websocket-extensions");
  expect((await frames).toString("latin1")).toContain('{"type":"pong"}');
});

test("frames after a goodbye are not carried out", async () => {
  const { frames } = await send(Uint8Array.from([...masked(0x88, [0x03, 0xe8]), ...masked(0x81, PING_FRAME)]));
  expect((await frames).toString("latin1")).not.toContain("pong");
  await expectAlive();
});
