/** The calls of the client's tools in one turn: what the client was shown, what claude asked for, what was answered. */
import type { ClaudeProcess, ClientCallResult } from "../claude/transport.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { ClientCallBlock, ClientResultBlock, JsonObject } from "../turn/message.ts";

export type ClientCallEvent = Extract<TurnEvent, { type: `client-call-${string}` }>;

interface ClientCall {
  /** The CLI has asked for its result. */
  asked: boolean;
  /** Shown to the client; one that is not is answered by us. */
  shown: boolean;
  result: ClientCallResult | undefined;
}

const ONE_AT_A_TIME: ClientCallResult = {
  content: [{ type: "text", text: "Not run: the client allows one call at a time. Call it again on its own." }],
  isError: true,
};

export class TurnCalls {
  private readonly calls = new Map<string, ClientCall>();

  constructor(private readonly process: Pick<ClaudeProcess, "answerClientCall">) {}

  /** Shown calls that wait for their results, in the order in which they were shown. */
  get waiting(): readonly string[] {
    return [...this.calls].filter(([, call]) => call.shown && !call.result).map(([id]) => id);
  }

  /** Whether this event is shown. A call beyond the one that the client allows is not: claude is told so by us. */
  show(event: ClientCallEvent, parallel: boolean): boolean {
    let call = this.calls.get(event.id);
    if (!call || event.type === "client-call-start") {
      const crowded = !parallel && this.waiting.length > 0;
      call = { asked: call?.asked ?? false, shown: !crowded, result: crowded ? ONE_AT_A_TIME : undefined };
      this.calls.set(event.id, call);
    }
    if (!call.shown && event.type === "client-call-end") this.settle(event.id, call);
    return call.shown;
  }

  /** The CLI wants the result of a call; that may be before its block has streamed to the end. */
  ask(callId: string): void {
    const call = this.calls.get(callId) ?? { asked: true, shown: true, result: undefined };
    call.asked = true;
    this.calls.set(callId, call);
    this.settle(callId, call);
  }

  answer(results: readonly ClientResultBlock[]): void {
    for (const result of results) {
      const call = this.calls.get(result.callId);
      if (!call) continue;
      call.result = toCallResult(result);
      this.settle(result.callId, call);
    }
  }

  cancel(callId: string): void {
    this.calls.delete(callId);
  }

  clear(): void {
    this.calls.clear();
  }

  private settle(callId: string, call: ClientCall): void {
    if (!call.asked || !call.result) return;
    this.process.answerClientCall(callId, call.result);
    this.calls.delete(callId);
  }
}

/** A call as the history tells it. */
export function toCallBlock(event: Extract<ClientCallEvent, { type: "client-call-end" }>): ClientCallBlock {
  return { type: "client-call", id: event.id, name: event.name, input: parseArguments(event.arguments) };
}

function toCallResult(block: ClientResultBlock): ClientCallResult {
  const content: ClientCallResult["content"] = [];
  for (const part of block.content) {
    if (part.type === "text") content.push({ type: "text", text: part.text });
    else if (part.type === "document") content.push({ type: "text", text: part.data });
    else if (part.source.kind === "base64") {
      content.push({ type: "image", mediaType: part.source.mediaType, data: part.source.data });
    } else content.push({ type: "text", text: part.source.url });
  }
  return { content, isError: block.isError };
}

function parseArguments(json: string): JsonObject {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
  } catch {
    return {};
  }
}
