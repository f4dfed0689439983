/**
 * What the scripted API answers, as data. A reply is written the way a test thinks of it (text, thinking, tool calls,
 * errors, cuts, waits); `encodeStream` and `encodeWhole` turn it into the two wire forms.
 */
import type { JsonObject } from "../../src/turn/message.ts";

/** A door in a reply: nothing after it is sent until the test opens it. */
export interface Gate {
  kind: "gate";
  opened: Promise<void>;
  open(): void;
  /** Resolves when a reply has arrived at the gate and waits. */
  reached: Promise<void>;
  arrive(): void;
}

export function createGate(): Gate {
  const opened = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  return {
    kind: "gate",
    opened: opened.promise,
    open: opened.resolve,
    reached: reached.promise,
    arrive: reached.resolve,
  };
}

/** Waits by the clock: for bench/ only, tests use gates. */
export interface Delay {
  kind: "delay";
  ms: number;
}
/** The connection is destroyed at this point. */
export interface Cut {
  kind: "cut";
}
/** An `error` event inside a stream that has begun (status 200). */
export interface StreamError {
  kind: "stream-error";
  type: string;
  message: string;
}
export type Step = Gate | Delay | Cut | StreamError;

export const delay = (ms: number): Delay => ({ kind: "delay", ms });
export const CUT: Cut = { kind: "cut" };
export const streamError = (type: string, message: string): StreamError => ({ kind: "stream-error", type, message });

/** Deltas of a block; steps may stand between them. */
export type Deltas = readonly (string | Step)[];

export type ReplyBlock =
  | { kind: "text"; deltas: Deltas }
  | { kind: "thinking"; deltas: Deltas; signature: string }
  | { kind: "redacted-thinking"; data: string }
  | { kind: "tool-use"; id: string; name: string; deltas: Deltas };

export interface ReplyUsage {
  input_tokens: number;
  output_tokens: number;
  cache_read_input_tokens: number;
  cache_creation_input_tokens: number;
}

export interface MessageReply {
  kind: "message";
  blocks: readonly (ReplyBlock | Step)[];
  stopReason: string;
  stopSequence?: string;
  usage: ReplyUsage;
  /** Default: the requested model. */
  model?: string;
  /** Headers of the response, e.g. the unified rate limit ones. */
  headers?: Record<string, string>;
  /** Holds back the response headers too. */
  before?: Gate | Delay;
}

export interface ErrorReply {
  kind: "error";
  status: number;
  body: JsonObject;
  headers: Record<string, string>;
}

/** The connection is closed without an answer. */
export interface DropReply {
  kind: "drop";
}

export type Reply = MessageReply | ErrorReply | DropReply;

const USAGE: ReplyUsage = {
  input_tokens: 10,
  output_tokens: 5,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};

export interface MessageOptions {
  stopReason?: string;
  stopSequence?: string;
  usage?: Partial<ReplyUsage>;
  model?: string;
  headers?: Record<string, string>;
  before?: Gate | Delay;
}

let lastToolId = 0;

/** A text block. A string is one delta. */
export function textBlock(text: string | Deltas): ReplyBlock {
  return { kind: "text", deltas: typeof text === "string" ? [text] : text };
}

export function thinkingBlock(text: string | Deltas, signature = "c2lnbmF0dXJl"): ReplyBlock {
  return { kind: "thinking", deltas: typeof text === "string" ? [text] : text, signature };
}

/** A tool call. `deltas` splits the arguments' JSON (it must be what `input` encodes to, unless broken on purpose). */
export function toolBlock(name: string, input: JsonObject, options: { id?: string; deltas?: Deltas } = {}): ReplyBlock {
  lastToolId += 1;
  const id = options.id ?? `toolu_test_${lastToolId}`;
  return { kind: "tool-use", id, name, deltas: options.deltas ?? [JSON.stringify(input)] };
}

/** A whole message of mixed blocks. The stop reason is `tool_use` where a tool is called, else `end_turn`. */
export function message(blocks: readonly (ReplyBlock | Step)[], options: MessageOptions = {}): MessageReply {
  const calls = blocks.some((block) => block.kind === "tool-use");
  const { usage, stopReason, ...rest } = options;
  return {
    kind: "message",
    blocks,
    stopReason: stopReason ?? (calls ? "tool_use" : "end_turn"),
    usage: { ...USAGE, ...usage },
    ...rest,
  };
}

export function text(content: string | Deltas, options: MessageOptions = {}): MessageReply {
  return message([textBlock(content)], options);
}

export function toolCall(
  name: string,
  input: JsonObject,
  options: MessageOptions & { id?: string } = {},
): MessageReply {
  const { id, ...rest } = options;
  return message([toolBlock(name, input, id === undefined ? {} : { id })], rest);
}

const ERROR_TYPES: Record<number, string> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  409: "conflict_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  503: "api_error",
  504: "timeout_error",
  529: "overloaded_error",
};

/** An HTTP error with Anthropic's body. */
export function apiError(
  status: number,
  text: string,
  options: { type?: string; headers?: Record<string, string> } = {},
): ErrorReply {
  const type = options.type ?? ERROR_TYPES[status] ?? "api_error";
  const body = { type: "error", error: { type, message: text }, request_id: "req_test" };
  return { kind: "error", status, body, headers: { "request-id": "req_test", ...options.headers } };
}

export const promptTooLong = (tokens = 210_000, maximum = 200_000): ErrorReply =>
  apiError(400, `prompt is too long: ${tokens} tokens > ${maximum} maximum`);

export const rateLimited = (retryAfterSeconds: number): ErrorReply =>
  apiError(429, "This request would exceed your organization's rate limit", {
    headers: { "retry-after": String(retryAfterSeconds) },
  });

/** The limit of a subscription plan: the CLI (with an OAuth token) does not retry and says when it resets. */
export const planLimit = (resetsAtSeconds: number): ErrorReply =>
  apiError(429, "You have reached your usage limit", { headers: planHeaders("rejected", resetsAtSeconds) });

/** The unified rate limit headers that also come with good answers. */
export function planHeaders(status: "allowed" | "allowed_warning" | "rejected", resetsAtSeconds: number) {
  return {
    "anthropic-ratelimit-unified-status": status,
    "anthropic-ratelimit-unified-reset": String(resetsAtSeconds),
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
    "anthropic-ratelimit-unified-overage-status": "rejected",
  };
}

export const DROP: DropReply = { kind: "drop" };

/** One piece of a stream: bytes to send, or a step to take. */
export type StreamPiece = string | Step;

function frame(event: JsonObject): string {
  return `event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`;
}

function startOf(block: ReplyBlock): JsonObject {
  switch (block.kind) {
    case "text":
      return { type: "text", text: "" };
    case "thinking":
      return { type: "thinking", thinking: "", signature: "" };
    case "redacted-thinking":
      return { type: "redacted_thinking", data: block.data };
    case "tool-use":
      return { type: "tool_use", id: block.id, name: block.name, input: {} };
  }
}

function deltaOf(block: ReplyBlock, delta: string): JsonObject {
  switch (block.kind) {
    case "thinking":
      return { type: "thinking_delta", thinking: delta };
    case "tool-use":
      return { type: "input_json_delta", partial_json: delta };
    default:
      return { type: "text_delta", text: delta };
  }
}

function* encodeBlock(block: ReplyBlock, index: number): Generator<StreamPiece> {
  yield frame({ type: "content_block_start", index, content_block: startOf(block) });
  for (const delta of block.kind === "redacted-thinking" ? [] : block.deltas) {
    if (typeof delta !== "string") yield delta;
    else yield frame({ type: "content_block_delta", index, delta: deltaOf(block, delta) });
  }
  if (block.kind === "thinking") {
    const delta = { type: "signature_delta", signature: block.signature };
    yield frame({ type: "content_block_delta", index, delta });
  }
  yield frame({ type: "content_block_stop", index });
}

/** The streamed form, piece by piece, so that a step takes effect exactly where it stands. */
export function* encodeStream(reply: MessageReply, id: string, model: string): Generator<StreamPiece> {
  const usage = { ...reply.usage, output_tokens: 1 };
  const head = { id, type: "message", role: "assistant", model: reply.model ?? model, content: [] };
  yield frame({ type: "message_start", message: { ...head, stop_reason: null, stop_sequence: null, usage } });
  let index = 0;
  for (const block of reply.blocks) {
    if (isStep(block)) yield block;
    else yield* encodeBlock(block, index++);
  }
  const delta = { stop_reason: reply.stopReason, stop_sequence: reply.stopSequence ?? null };
  yield frame({ type: "message_delta", delta, usage: { ...reply.usage } });
  yield frame({ type: "message_stop" });
}

export function isStep(value: ReplyBlock | StreamPiece): value is Step {
  return typeof value !== "string" && ["gate", "delay", "cut", "stream-error"].includes(value.kind);
}

/** Steps of a reply in order, for the form that is not streamed (they all happen before the body). */
export function stepsOf(reply: MessageReply): Step[] {
  return reply.blocks.flatMap((block) => {
    if (isStep(block)) return [block];
    return block.kind === "redacted-thinking" ? [] : block.deltas.filter((delta) => typeof delta !== "string");
  });
}

export function encodeWhole(reply: MessageReply, id: string, model: string): JsonObject {
  const content = reply.blocks.flatMap((block): JsonObject[] => {
    if (isStep(block)) return [];
    if (block.kind === "redacted-thinking") return [{ type: "redacted_thinking", data: block.data }];
    const whole = block.deltas.filter((delta) => typeof delta === "string").join("");
    if (block.kind === "text") return [{ type: "text", text: whole }];
    if (block.kind === "thinking") return [{ type: "thinking", thinking: whole, signature: block.signature }];
    return [{ type: "tool_use", id: block.id, name: block.name, input: JSON.parse(whole === "" ? "{}" : whole) }];
  });
  return {
    id,
    type: "message",
    role: "assistant",
    model: reply.model ?? model,
    content,
    stop_reason: reply.stopReason,
    stop_sequence: reply.stopSequence ?? null,
    usage: { ...reply.usage },
  };
}
