/**
 * A scripted Anthropic Messages API on loopback, for the real `claude` to talk to. It records every request and answers
 * by script: queued replies first, then the fallback (an echo). Requests that the CLI makes for itself (1-token probes,
 * count_tokens, titles) are answered aside and never take a script.
 */
import type { JsonObject } from "../../src/turn/message.ts";
import {
  apiError,
  encodeStream,
  encodeWhole,
  type MessageReply,
  type Reply,
  type Step,
  stepsOf,
  text,
} from "./api-reply.ts";

export interface ApiMessage {
  role: string;
  content: string | JsonObject[];
}

export interface MessagesBody {
  model: string;
  max_tokens?: number;
  stream?: boolean;
  system?: string | JsonObject[];
  messages: ApiMessage[];
  tools?: JsonObject[];
  tool_choice?: JsonObject;
  thinking?: JsonObject;
  output_config?: JsonObject;
  temperature?: number;
  stop_sequences?: string[];
  [key: string]: unknown;
}

/** One request as the API saw it. */
export interface ApiRequest {
  /** `turn` takes a script; the others are the CLI's own business. */
  kind: "turn" | "probe" | "count" | "title";
  path: string;
  headers: Headers;
  body: MessagesBody;
  /** Bytes of the body, as sent. */
  bytes: number;
  /** Milliseconds (`performance.now()`), for bench/. */
  receivedAt: number;
  /** How it ended: our answer went out whole, or the client closed the socket first. Settles exactly once. */
  finished: Promise<"answered" | "closed-by-client">;
  closedByClient: boolean;
}

export type Script = Reply | ((request: ApiRequest) => Reply | Promise<Reply>);

export interface AnthropicApi extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Turn requests in order of arrival. */
  readonly requests: ApiRequest[];
  /** Probes, token counts, titles: what the CLI asked for itself. */
  readonly others: ApiRequest[];
  /** Queues replies, one for each turn request to come. */
  script(...replies: Script[]): void;
  /** What answers when the queue is empty; at first an echo of the last user text. */
  always(reply: Script): void;
  /** Scripts that nothing has asked for yet. */
  readonly pending: number;
  /** Forgets the queued scripts. */
  drain(): void;
  /** The next turn request that no earlier call of `nextRequest` has returned. */
  nextRequest(): Promise<ApiRequest>;
  /** The first turn request, past or to come, for which this holds. */
  waitFor(predicate: (request: ApiRequest) => boolean): Promise<ApiRequest>;
  /** Stops listening: from here on connections are refused. */
  refuseConnections(): Promise<void>;
  /** Scripts that threw; a test that expects none should assert it is empty. */
  readonly scriptErrors: unknown[];
}

/** Longest wait for a request; a test that waits longer has already failed. */
const MAX_WAIT_MS = 30_000;
/** Pieces are sent together up to this size, so that the script is never what a benchmark measures. */
const MAX_CHUNK_CHARS = 32 * 1024;

/** The text blocks of a message, joined. */
export function textOf(message: ApiMessage | undefined): string {
  if (!message) return "";
  if (typeof message.content === "string") return message.content;
  return message.content.map((block) => (block.type === "text" ? String(block.text) : "")).join("");
}

/** The last message with role `user` (a trailing `system` message is the CLI's own). */
export function lastUserMessage(request: ApiRequest): ApiMessage | undefined {
  return request.body.messages.findLast((candidate) => candidate.role === "user");
}

/** Blocks of one type in the last user message, e.g. `tool_result`. */
export function lastUserBlocks(request: ApiRequest, type: string): JsonObject[] {
  const content = lastUserMessage(request)?.content;
  return Array.isArray(content) ? content.filter((block) => block.type === type) : [];
}

/** What guards a client's text on older CLIs, and prompts them to go on. */
export const WORD_JOINER = "\u2060";

/** What the user said last: the last text block, without what older CLIs put around it. */
export function lastWords(request: ApiRequest): string {
  const blocks = lastUserBlocks(request, "text").filter((block) => block.text !== WORD_JOINER);
  const content = lastUserMessage(request)?.content;
  return typeof content === "string" ? content : String(blocks.at(-1)?.text ?? "");
}

/** The default: the last words come back. */
export const echo: Script = (request) => text(`echo: ${lastWords(request)}`);

function kindOf(path: string, body: MessagesBody): ApiRequest["kind"] {
  if (path.includes("count_tokens")) return "count";
  if (body.max_tokens === 1) return "probe";
  const system = typeof body.system === "string" ? body.system : JSON.stringify(body.system ?? "");
  if (/Generate a (concise|short).*title|title for (this|a|the) (coding )?session/i.test(system)) return "title";
  return "turn";
}

export function startAnthropicApi(options: { port?: number } = {}): AnthropicApi {
  const queue: Script[] = [];
  const requests: ApiRequest[] = [];
  const others: ApiRequest[] = [];
  const scriptErrors: unknown[] = [];
  const waiters = new Set<() => void>();
  let fallback: Script = echo;
  let taken = 0;
  let messageCount = 0;

  async function waitUntil<T>(what: string, find: () => T | undefined): Promise<T> {
    const found = find();
    if (found !== undefined) return found;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const check = () => {
      const now = find();
      if (now !== undefined) resolve(now);
    };
    waiters.add(check);
    const seen = () => requests.map((request) => `${request.body.model}: ${textOf(request.body.messages.at(-1))}`);
    const timer = setTimeout(
      () => reject(new Error(`no ${what} within ${MAX_WAIT_MS} ms; got ${JSON.stringify(seen()).slice(0, 2000)}`)),
      MAX_WAIT_MS,
    );
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      waiters.delete(check);
    }
  }

  async function answer(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname;
    if (request.method === "HEAD" || request.method === "GET") return new Response(null, { status: 404 });
    const raw = await request.text();
    const body: MessagesBody = raw === "" ? { model: "", messages: [] } : JSON.parse(raw);
    if (!path.startsWith("/v1/messages") || !Array.isArray(body.messages)) return new Response("{}");
    const finished = Promise.withResolvers<"answered" | "closed-by-client">();
    const record: ApiRequest = {
      kind: kindOf(path, body),
      path,
      headers: new Headers(request.headers),
      body,
      bytes: raw.length,
      receivedAt: performance.now(),
      finished: finished.promise,
      closedByClient: false,
    };
    let answered = false;
    request.signal.addEventListener("abort", () => {
      if (answered) return;
      record.closedByClient = true;
      finished.resolve("closed-by-client");
    });
    const done = () => {
      answered = true;
      finished.resolve("answered");
    };
    if (record.kind !== "turn") {
      others.push(record);
      done();
      if (record.kind === "count") return Response.json({ input_tokens: Math.ceil(raw.length / 4) });
      const aside = text(record.kind === "title" ? '{"title":"A title"}' : "ok");
      return respond(aside, record, request.signal, done);
    }
    // Taken before anything waits: requests that arrive together are answered in the order of their arrival.
    const script = queue.shift() ?? fallback;
    requests.push(record);
    for (const check of [...waiters]) check();
    try {
      const reply = typeof script === "function" ? await script(record) : script;
      return await respond(reply, record, request.signal, done);
    } catch (error) {
      scriptErrors.push(error);
      done();
      const shown = apiError(400, `the test's script threw: ${String(error)}`);
      return Response.json(shown.body, { status: 400 });
    }
  }

  async function respond(reply: Reply, record: ApiRequest, signal: AbortSignal, done: () => void): Promise<Response> {
    if (reply.kind === "drop") return cutResponse(done);
    if (reply.kind === "error") {
      done();
      return Response.json(reply.body, { status: reply.status, headers: reply.headers });
    }
    messageCount += 1;
    const id = `msg_test_${messageCount}`;
    if (reply.before) await takeStep(reply.before, signal);
    if (record.body.stream === true) return streamResponse(reply, id, record, signal, done);
    for (const step of stepsOf(reply)) {
      if (step.kind === "cut") return cutResponse(done);
      if (step.kind === "stream-error") {
        done();
        return Response.json(apiError(529, step.message, { type: step.type }).body, { status: 529 });
      }
      await takeStep(step, signal);
    }
    done();
    return Response.json(encodeWhole(reply, id, record.body.model), { headers: headersOf(reply) });
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: options.port ?? 0,
    idleTimeout: 0,
    development: false,
    maxRequestBodySize: 512 * 1024 * 1024,
    fetch: answer,
  });
  const port = server.port ?? 0;

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    others,
    scriptErrors,
    script: (...replies) => void queue.push(...replies),
    always: (reply) => {
      fallback = reply;
    },
    get pending() {
      return queue.length;
    },
    drain: () => {
      queue.length = 0;
    },
    nextRequest: async () => {
      const index = taken++;
      return waitUntil(`request number ${index + 1}`, () => requests[index]);
    },
    waitFor: (predicate) => waitUntil("matching request", () => requests.find(predicate)),
    refuseConnections: () => server.stop(true),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

function headersOf(reply: MessageReply): Record<string, string> {
  return { "request-id": "req_test", ...reply.headers };
}

/** A step that is only a wait; ends early when the client is gone. */
async function takeStep(step: Step, signal: AbortSignal): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  if (step.kind === "gate") {
    step.arrive();
    await Promise.race([step.opened, gone]);
  } else if (step.kind === "delay") {
    await Promise.race([Bun.sleep(step.ms), gone]);
  }
}

/** A response that dies before its first byte: the client sees a closed connection. */
function cutResponse(done: () => void): Response {
  const body = new ReadableStream({
    pull(controller) {
      done();
      controller.error();
    },
  });
  return new Response(body);
}

function streamResponse(
  reply: MessageReply,
  id: string,
  record: ApiRequest,
  signal: AbortSignal,
  done: () => void,
): Response {
  const encoder = new TextEncoder();
  const pieces = encodeStream(reply, id, record.body.model);
  let waiting: Step | undefined;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (waiting) {
        const step = waiting;
        waiting = undefined;
        if (step.kind === "cut") {
          done();
          controller.error();
          return;
        }
        if (step.kind === "stream-error") {
          const event = { type: "error", error: { type: step.type, message: step.message } };
          controller.enqueue(encoder.encode(`event: error\ndata: ${JSON.stringify(event)}\n\n`));
          done();
          controller.close();
          return;
        }
        await takeStep(step, signal);
        if (signal.aborted) {
          controller.close();
          return;
        }
      }
      let chunk = "";
      for (let next = pieces.next(); ; next = pieces.next()) {
        if (next.done) {
          done();
          if (chunk !== "") controller.enqueue(encoder.encode(chunk));
          controller.close();
          return;
        }
        if (typeof next.value !== "string") {
          waiting = next.value;
          break;
        }
        chunk += next.value;
        if (chunk.length >= MAX_CHUNK_CHARS) break;
      }
      // An empty chunk would not be pulled again: go on with the step at once.
      if (chunk !== "") controller.enqueue(encoder.encode(chunk));
      else await this.pull?.(controller);
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream", ...headersOf(reply) } });
}
