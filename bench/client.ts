/** A client of the daemon as lean as the bare driver: it looks for the first piece of text and for the end. */

import { connect, type Socket } from "node:net";

/** What the API answers with, again and again. */
export const ANSWER_PIECE = "tok ";

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Timing {
  firstMs: number;
  totalMs: number;
}

const FIRST_TEXT = `"content":"${ANSWER_PIECE}`;
const END_OF_BODY = "0\r\n\r\n";
const END = Buffer.from(END_OF_BODY);
/** Sockets that wait for the next request, by address. */
const resting = new Map<string, Socket[]>();

/** The daemon's side has closed it, or it is new: either way this one is taken by nobody else. */
function takeSocket(url: URL): Socket {
  const waiting = resting.get(url.host) ?? [];
  for (let socket = waiting.pop(); socket; socket = waiting.pop()) if (!socket.destroyed) return socket;
  return connect(Number(url.port), url.hostname).setNoDelay(true);
}

function rest(url: URL, socket: Socket): void {
  socket.removeAllListeners();
  socket.on("error", () => socket.destroy());
  resting.set(url.host, [...(resting.get(url.host) ?? []), socket]);
}

/**
 * One streamed chat completion, from the call to its last byte, over a kept socket: `fetch` has a thread of its own, and
 * its hops would count as the daemon's. Throws where it fails.
 */
export function chat(
  address: string,
  model: string,
  messages: readonly ChatMessage[],
  more: Record<string, unknown> = {},
): Promise<Timing> {
  const url = new URL(address);
  const body = JSON.stringify({ model, messages, stream: true, ...more });
  const start = performance.now();
  const socket = takeSocket(url);
  const { promise, resolve, reject } = Promise.withResolvers<Timing>();
  let firstMs: number | undefined;
  let head = "";
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`the connection was closed: ${head.slice(0, 500)}`)));
  socket.on("data", (chunk: Buffer) => {
    if (head.length < 500) head += chunk.toString("latin1", 0, 500);
    if (firstMs === undefined && chunk.includes(FIRST_TEXT)) firstMs = performance.now() - start;
    if (!chunk.subarray(-END_OF_BODY.length).equals(END)) {
      if (!head.startsWith("HTTP/1.1 200") && head.includes("\r\n\r\n")) socket.destroy();
      return;
    }
    const totalMs = performance.now() - start;
    rest(url, socket);
    if (firstMs === undefined) reject(new Error(`the answer had no text: ${head.slice(0, 500)}`));
    else resolve({ firstMs, totalMs });
  });
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: ${url.host}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  return promise;
}

/** A conversation whose history this side keeps, as every stateless client does. */
export class Conversation {
  readonly messages: ChatMessage[] = [];

  constructor(
    private readonly url: string,
    private readonly model: string,
    system?: string,
    private readonly more: Record<string, unknown> = {},
  ) {
    if (system !== undefined) this.messages.push({ role: "system", content: system });
  }

  async turn(prompt: string, deltas = 8): Promise<Timing> {
    this.messages.push({ role: "user", content: `${prompt} deltas=${deltas}` });
    const timing = await chat(this.url, this.model, this.messages, this.more);
    this.messages.push({ role: "assistant", content: ANSWER_PIECE.repeat(deltas) });
    return timing;
  }
}
