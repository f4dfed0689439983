/**
 * Events to Responses events. Items are opened by their first words, so that an empty block shows nothing; the last event
 * holds all of them again. Of a delta only its own words are turned into JSON.
 */
import { assertNever, type DaemonError } from "../../errors.ts";
import type { TurnEnd, TurnEvent } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";
import { toActivity } from "../shared/activity.ts";
import type { Encoder } from "../shared/format.ts";
import { createRoundJoiner } from "../shared/rounds.ts";
import { SSE_CONTENT_TYPE } from "../shared/sse.ts";
import { toFailure } from "./errors.ts";
import {
  type CallFacts,
  callItem,
  type ItemPrefix,
  type ItemStatus,
  messageItem,
  outputId,
  reasoningItem,
  refusalPart,
  showItem,
  summaryPart,
  textPart,
} from "./items.ts";
import { type AnswerContext, lastPart, showResponse, toEndedResponse, toResponse } from "./response.ts";

export interface StreamContext extends AnswerContext {
  /** Given the whole response, its items with their encrypted content, right before its last event goes out. */
  keep(response: JsonObject): void;
}

interface OpenItem {
  id: string;
  index: number;
  /** Everything of a delta's frame before its sequence number, and between that and its words. */
  head: string;
  parts: string[];
}

/** One encoder for one response. `turn-start` gives `response.created`, `turn-end` everything up to the terminal event. */
export function createEncoder(context: StreamContext): Encoder {
  let sequence = 0;
  let turn: { turnId: string; sessionId: string | undefined } = { turnId: "", sessionId: undefined };
  /** Undefined while an item is open, and for good where it never ended. */
  const items: (JsonObject | undefined)[] = [];
  const texts = new Map<string, OpenItem>();
  const thoughts = new Map<string, OpenItem>();
  const calls = new Map<string, OpenItem & { name: string }>();
  const joiner = createRoundJoiner();

  const frame = (type: string, fields: JsonObject) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...fields })}\n\n`;
  const deltaFrame = (item: OpenItem, words: string, rest: string) =>
    `${item.head}${sequence++},"delta":${JSON.stringify(words)}${rest}}\n\n`;
  const open = (prefix: ItemPrefix, deltaType: string, place: JsonObject): OpenItem => {
    const index = items.push(undefined) - 1;
    const id = outputId(context.id, prefix, index);
    const start = JSON.stringify({ type: deltaType, item_id: id, output_index: index, ...place }).slice(0, -1);
    return { id, index, head: `event: ${deltaType}\ndata: ${start},"sequence_number":`, parts: [] };
  };
  const added = (index: number, item: JsonObject) => frame("response.output_item.added", { output_index: index, item });
  const done = (index: number, item: JsonObject) => {
    items[index] = item;
    const shown = showItem(item, context.includeSealed);
    return frame("response.output_item.done", { output_index: index, item: shown });
  };

  const openText = (): [OpenItem, string] => {
    const item = open("msg_", "response.output_text.delta", { content_index: 0 });
    const frames = added(item.index, messageItem(item.id, "in_progress", [])) + partFrame("added", item, textPart(""));
    return [item, frames];
  };
  const partFrame = (step: "added" | "done", item: OpenItem, part: JsonObject) =>
    frame(`response.content_part.${step}`, { item_id: item.id, output_index: item.index, content_index: 0, part });
  const closeText = (item: OpenItem, status: ItemStatus) => {
    const text = item.parts.join("");
    const part = textPart(text);
    const at = { item_id: item.id, output_index: item.index, content_index: 0 };
    return (
      frame("response.output_text.done", { ...at, text, logprobs: [] }) +
      partFrame("done", item, part) +
      done(item.index, messageItem(item.id, status, [part]))
    );
  };
  const refuse = (part: JsonObject, refusal: string) => {
    const item = open("msg_", "response.refusal.delta", { content_index: 0 });
    const at = { item_id: item.id, output_index: item.index, content_index: 0 };
    return (
      added(item.index, messageItem(item.id, "in_progress", [])) +
      partFrame("added", item, refusalPart("")) +
      deltaFrame(item, refusal, "") +
      frame("response.refusal.done", { ...at, refusal }) +
      partFrame("done", item, part) +
      done(item.index, messageItem(item.id, "completed", [part]))
    );
  };
  const say = (block: string, delta: string) => {
    if (delta === "") return "";
    let frames = "";
    let item = texts.get(block);
    if (!item) {
      [item, frames] = openText();
      texts.set(block, item);
    }
    const words = joiner.join(delta);
    item.parts.push(words);
    return frames + deltaFrame(item, words, ',"logprobs":[]');
  };

  const openThought = (block: string): [OpenItem, string] => {
    const item = open("rs_", "response.reasoning_summary_text.delta", { summary_index: 0 });
    thoughts.set(block, item);
    return [item, added(item.index, reasoningItem(item.id, "", undefined))];
  };
  const summaryFrame = (step: "added" | "done", item: OpenItem, text: string) =>
    frame(`response.reasoning_summary_part.${step}`, {
      item_id: item.id,
      output_index: item.index,
      summary_index: 0,
      part: summaryPart(text),
    });
  const think = (block: string, delta: string) => {
    if (delta === "") return "";
    let frames = "";
    let item = thoughts.get(block);
    if (!item) {
      [item, frames] = openThought(block);
      frames += summaryFrame("added", item, "");
    }
    item.parts.push(delta);
    return frames + deltaFrame(item, delta, "");
  };
  const closeThought = (block: string, signature: string | undefined) => {
    let frames = "";
    let item = thoughts.get(block);
    if (!item) {
      if (signature === undefined) return "";
      [item, frames] = openThought(block);
    }
    thoughts.delete(block);
    const text = item.parts.join("");
    if (text !== "") {
      const at = { item_id: item.id, output_index: item.index, summary_index: 0 };
      frames += frame("response.reasoning_summary_text.done", { ...at, text }) + summaryFrame("done", item, text);
    }
    return frames + done(item.index, reasoningItem(item.id, text, signature));
  };

  const openCall = (callId: string, name: string) => {
    const item = { ...open("fc_", "response.function_call_arguments.delta", {}), name };
    calls.set(callId, item);
    return added(item.index, callItem(item.id, "in_progress", { callId, name, arguments: "" }));
  };
  const callDelta = (callId: string, json: string) => {
    const item = calls.get(callId);
    if (!item || json === "") return "";
    item.parts.push(json);
    return deltaFrame(item, json, "");
  };
  const closeCall = (call: CallFacts) => {
    const item = calls.get(call.callId);
    if (!item) return "";
    calls.delete(call.callId);
    // Some clients read the deltas alone.
    const missing = item.parts.length === 0 ? deltaFrame(item, call.arguments, "") : "";
    const at = { item_id: item.id, output_index: item.index };
    return (
      missing +
      frame("response.function_call_arguments.done", { ...at, name: call.name, arguments: call.arguments }) +
      done(item.index, callItem(item.id, "completed", call))
    );
  };

  /** What was cut keeps what it has; a call without its whole arguments is none. */
  const closeAll = () => {
    let frames = "";
    for (const block of [...thoughts.keys()]) frames += closeThought(block, undefined);
    for (const item of texts.values()) frames += closeText(item, "incomplete");
    texts.clear();
    calls.clear();
    return frames;
  };
  const output = () => items.filter((item) => item !== undefined);
  const finish = (end: TurnEnd) => {
    let frames = closeAll();
    const answer = output().some((item) => item.type !== "reasoning");
    const part = lastPart(end, { text: joiner.any, answer });
    if (part?.type === "refusal") {
      frames += refuse(part, String(part.refusal));
    } else if (part) {
      const [item, opening] = openText();
      const words = String(part.text);
      item.parts.push(words);
      frames += opening + (words === "" ? "" : deltaFrame(item, words, ',"logprobs":[]'));
      frames += closeText(item, "completed");
    }
    const response = toEndedResponse(context, turn, end, output());
    context.keep(response);
    const shown = showResponse(response, context.includeSealed);
    return frames + frame(`response.${response.status}`, { response: shown });
  };
  const activity = (event: Parameters<typeof toActivity>[0]) =>
    frame("keepalive", { claude_code: { activity: toActivity(event) } });

  const encode = (event: TurnEvent): string => {
    switch (event.type) {
      case "text-delta":
        return say(event.id, event.text);
      case "thinking-delta":
        return think(event.id, event.text);
      case "client-call-delta":
        return callDelta(event.id, event.json);
      case "turn-start": {
        turn = event;
        const response = toResponse(context, { status: "in_progress", output: [] });
        return frame("response.created", { response }) + frame("response.in_progress", { response });
      }
      case "client-call-start":
        return openCall(event.id, event.name);
      case "client-call-end":
        return closeCall({ callId: event.id, name: event.name, arguments: event.arguments });
      case "text-start":
        joiner.begin();
        return "";
      case "text-end": {
        const item = texts.get(event.id);
        texts.delete(event.id);
        return item ? closeText(item, "completed") : "";
      }
      case "thinking-end":
        return closeThought(event.id, event.signature);
      case "tool-start":
      case "tool-run":
      case "notice":
        joiner.work();
        return activity(event);
      case "tool-end":
      case "permission-request":
      case "permission-resolved":
        return activity(event);
      case "thinking-start":
      case "model-start":
      case "tool-delta":
        return "";
      case "turn-end":
        return finish(event);
      default:
        return assertNever(event);
    }
  };
  return {
    contentType: SSE_CONTENT_TYPE,
    encode,
    keepAlive: () => frame("keepalive", {}),
    fail: (error: DaemonError) => {
      const { event, response: failure } = toFailure(error);
      const frames = frame("error", event);
      const state = { status: "failed" as const, output: output(), error: failure };
      const response = showResponse(toResponse(context, state), context.includeSealed);
      return frames + frame("response.failed", { response });
    },
  };
}
