/** A client of the daemon as lean as the bare driver: it looks for the first piece of text and for the end. */

import type { Socket } from "bun";

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
const END = Buffer.from("0\r\n\r\n");
/** What of an answer that fails is told. */
const MAX_HEAD_CHARS = 500;

/** Who reads a connection at the moment; nobody while it rests. */
interface Reader {
  data(chunk: Buffer): void;
  failed(reason: string): void;
}
type Connection = Socket<{ reader: Reader | undefined }>;

/** Connections that wait for the next request, by address. */
const resting = new Map<string, Connection[]>();

/** A kept one, or a new one. */
async function take(url: URL): Promise<Connection> {
  const kept = resting.get(url.host)?.pop();
  if (kept) return kept;
  return Bun.connect<{ reader: Reader | undefined }>({
    hostname: url.hostname,
    port: Number(url.port),
    socket: {
      open: (socket) => {
        socket.data = { reader: undefined };
        socket.setNoDelay(true);
      },
      data: (socket, chunk) => socket.data.reader?.data(chunk),
      close: (socket) => {
        resting.set(
          url.host,
          (resting.get(url.host) ?? []).filter((other) => other !== socket),
        );
        socket.data.reader?.failed("the connection was closed");
      },
      error: (socket, error) => socket.data.reader?.failed(error.message),
    },
  });
}

/**
 * One streamed chat completion, from the call to its last byte, over a kept connection. The leanest client that Bun has, as
 * the bare driver is the leanest reader of a pipe: `fetch` has a thread of its own and `node:net` streams above the socket,
 * and what they cost would count as the daemon's. `watch` sees every chunk. Throws where it fails.
 */
export async function chat(
  address: string,
  model: string,
  messages: readonly ChatMessage[],
  options: { more?: Record<string, unknown>; watch?: (chunk: Uint8Array) => void } = {},
): Promise<Timing> {
  const url = new URL(address);
  const body = JSON.stringify({ model, messages, stream: true, ...options.more });
  const connection = await take(url);
  const { promise, resolve, reject } = Promise.withResolvers<Timing>();
  let firstMs: number | undefined;
  let head = "";
  const start = performance.now();
  const failed = (reason: string) => {
    connection.data.reader = undefined;
    connection.terminate();
    reject(new Error(`${reason}: ${head}`));
  };
  connection.data.reader = {
    failed,
    data: (chunk) => {
      options.watch?.(chunk);
      if (head === "") head = chunk.toString("latin1", 0, MAX_HEAD_CHARS);
      if (firstMs === undefined && chunk.includes(FIRST_TEXT)) firstMs = performance.now() - start;
      if (!head.startsWith("HTTP/1.1 200")) failed("the answer was not 200");
      else if (chunk.subarray(-END.length).equals(END)) {
        const totalMs = performance.now() - start;
        connection.data.reader = undefined;
        resting.set(url.host, [...(resting.get(url.host) ?? []), connection]);
        if (firstMs === undefined) reject(new Error(`the answer had no text: ${head}`));
        else resolve({ firstMs, totalMs });
      }
    },
  };
  const request = `POST /v1/chat/completions HTTP/1.1\r\nhost: ${url.host}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  // Far below what a socket on loopback takes at once.
  if (connection.write(request) !== Buffer.byteLength(request)) failed("the request was too large");
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
    return this.answer(deltas);
  }

  /** The last question once more, as a person does who did not like the answer. */
  async again(deltas = 8): Promise<Timing> {
    this.messages.pop();
    return this.answer(deltas);
  }

  private async answer(deltas: number): Promise<Timing> {
    const timing = await chat(this.url, this.model, this.messages, { more: this.more });
    this.messages.push({ role: "assistant", content: ANSWER_PIECE.repeat(deltas) });
    return timing;
  }
}
