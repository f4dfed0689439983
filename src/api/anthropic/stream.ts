/**
 * Events to the frames of a streamed message. Blocks are strictly one after the other, so at most one is open; it is
 * opened by its first content, because clients send empty blocks back and the model API refuses them. What comes before
 * and after the words of a delta is built once per block.
 */
import { assertNever, type DaemonError } from "../../errors.ts";
import type { TurnEnd, TurnEvent, Usage } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";
import { toActivity } from "../shared/activity.ts";
import { toWireExtension } from "../shared/extensions.ts";
import type { Encoder } from "../shared/format.ts";
import { SSE_CONTENT_TYPE, sseEvent } from "../shared/sse.ts";
import { renderFailure } from "./errors.ts";
import type { AnswerContext } from "./response.ts";
import { toStopReason, toWireUsage } from "./stop-reason.ts";

export interface StreamContext extends AnswerContext {
  /** What the model API said of the input, where it has answered already. */
  usage: Usage | undefined;
}

const PING = sseEvent("ping", '{"type":"ping"}');

const event = (type: string, fields: JsonObject) => sseEvent(type, JSON.stringify({ type, ...fields }));

/** One encoder for one response. `turn-start` gives `message_start`, `turn-end` everything up to `message_stop`. */
export function createEncoder(context: StreamContext): Encoder {
  const { id, model, thinking: display } = context;
  let start: { turnId: string; sessionId: string | undefined } = { turnId: "", sessionId: undefined };
  let index = -1;
  let kind: "text" | "thinking" | "call" | undefined;
  let deltaHead = "";
  let sawArguments = false;
  let said = false;

  const close = () => {
    if (!kind) return "";
    kind = undefined;
    return event("content_block_stop", { index });
  };
  const open = (next: "text" | "thinking" | "call", block: JsonObject, deltaType: string, deltaField: string) => {
    const frames = close();
    kind = next;
    index++;
    deltaHead = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":{"type":"${deltaType}","${deltaField}":`;
    return frames + event("content_block_start", { index, content_block: block });
  };
  const delta = (text: string) => `${deltaHead}${JSON.stringify(text)}}}\n\n`;
  const openText = () => {
    said = true;
    return open("text", { type: "text", text: "" }, "text_delta", "text");
  };
  const openThinking = () =>
    open("thinking", { type: "thinking", thinking: "", signature: "" }, "thinking_delta", "thinking");

  const textDelta = (text: string) => {
    if (text === "") return "";
    return (kind === "text" ? "" : openText()) + delta(text);
  };
  const thinkingDelta = (text: string) => {
    if (text === "" || display !== "full") return "";
    return (kind === "thinking" ? "" : openThinking()) + delta(text);
  };
  const thinkingEnd = (signature: string | undefined) => {
    if (display === "none" || (kind !== "thinking" && !signature)) return "";
    const opened = kind === "thinking" ? "" : openThinking();
    const signed = signature
      ? event("content_block_delta", { index, delta: { type: "signature_delta", signature } })
      : "";
    return opened + signed + close();
  };
  const callStart = (callId: string, name: string) => {
    sawArguments = false;
    return open("call", { type: "tool_use", id: callId, name, input: {} }, "input_json_delta", "partial_json");
  };
  // A ping means nothing to any client, and so may carry what only ours look for.
  const activity = (of: Parameters<typeof toActivity>[0]) =>
    event("ping", { claude_code: { activity: toActivity(of) } });

  const opening = () => {
    const usage = { ...toWireUsage(context.usage), output_tokens: 0 };
    const message = { id, type: "message", role: "assistant", model, content: [] };
    return event("message_start", { message: { ...message, stop_reason: null, stop_sequence: null, usage } });
  };
  const finish = (end: TurnEnd) => {
    let frames = "";
    if (!said && end.structuredOutput !== undefined) frames += textDelta(JSON.stringify(end.structuredOutput));
    frames += close();
    frames += event("message_delta", {
      delta: { stop_reason: toStopReason(end), stop_sequence: end.stopSequence ?? null },
      usage: toWireUsage(end.usage),
    });
    return frames + event("message_stop", { claude_code: toWireExtension(start, end) });
  };

  const encode = (turnEvent: TurnEvent): string => {
    switch (turnEvent.type) {
      case "text-delta":
        return textDelta(turnEvent.text);
      case "thinking-delta":
        return thinkingDelta(turnEvent.text);
      case "client-call-delta":
        if (turnEvent.json === "") return "";
        sawArguments = true;
        return delta(turnEvent.json);
      case "turn-start":
        start = turnEvent;
        return opening();
      case "client-call-start":
        return callStart(turnEvent.id, turnEvent.name);
      case "client-call-end":
        return (sawArguments ? "" : delta(turnEvent.arguments)) + close();
      case "thinking-end":
        return thinkingEnd(turnEvent.signature);
      case "text-end":
        return kind === "text" ? close() : "";
      case "tool-start":
      case "tool-run":
      case "tool-end":
      case "notice":
      case "permission-request":
      case "permission-resolved":
        return activity(turnEvent);
      case "model-start":
      case "text-start":
      case "thinking-start":
      case "tool-delta":
        return "";
      case "turn-end":
        return finish(turnEvent);
      default:
        return assertNever(turnEvent);
    }
  };
  return {
    contentType: SSE_CONTENT_TYPE,
    encode,
    keepAlive: () => PING,
    fail: (error: DaemonError) => sseEvent("error", JSON.stringify(renderFailure(error))),
  };
}
