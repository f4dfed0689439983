/**
 * Events to chat completion chunks. Every chunk of a response begins and ends with the same text, built once; of a delta
 * only its own words are turned into JSON.
 */
import { assertNever, type DaemonError } from "../../errors.ts";
import type { TurnEnd, TurnEvent } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";
import { toActivity } from "../shared/activity.ts";
import { toWireExtension } from "../shared/extensions.ts";
import type { Encoder } from "../shared/format.ts";
import { renderFailure } from "../shared/openai-errors.ts";
import { createRoundJoiner } from "../shared/rounds.ts";
import { SSE_CONTENT_TYPE } from "../shared/sse.ts";
import { REFUSAL_TEXT, toFinishReason, toWireUsage } from "./finish.ts";
import { type AnswerContext, SERVICE } from "./response.ts";

export interface StreamContext extends AnswerContext {
  includeUsage: boolean;
}

const DONE = "data: [DONE]\n\n";

/** One encoder for one response. `turn-start` gives the role chunk, `turn-end` the finish chunk up to `[DONE]`. */
export function createEncoder(context: StreamContext): Encoder {
  const { id, created, model, includeUsage, legacyFunctions } = context;
  const base = { id, object: "chat.completion.chunk", created, model, ...SERVICE };
  const head = `data: ${JSON.stringify(base).slice(0, -1)}`;
  const usageNull = includeUsage ? ',"usage":null' : "";
  const open = `${head},"choices":[{"index":0,"delta":`;
  const close = `,"logprobs":null,"finish_reason":null}]${usageNull}}\n\n`;
  const keepAlive = `${open}{}${close}`;

  let start: { turnId: string; sessionId: string | undefined } = { turnId: "", sessionId: undefined };
  let calls = -1;
  let sawArguments = false;
  const text = createRoundJoiner();
  const thinking = createRoundJoiner();

  const chunk = (delta: string) => open + delta + close;
  const activity = (value: JsonObject) =>
    `${open}{},"logprobs":null,"finish_reason":null}]${usageNull},"claude_code":${JSON.stringify({ activity: value })}}\n\n`;
  const work = () => {
    text.work();
    thinking.work();
  };
  const textChunk = (delta: string) =>
    delta === "" ? "" : `${open}{"content":${JSON.stringify(text.join(delta))}}${close}`;
  const thinkingChunk = (delta: string) => {
    if (delta === "") return "";
    const json = JSON.stringify(thinking.join(delta));
    return `${open}{"reasoning_content":${json},"reasoning":${json}}${close}`;
  };
  const callArguments = (json: string) => {
    const escaped = JSON.stringify(json);
    return legacyFunctions
      ? chunk(`{"function_call":{"arguments":${escaped}}}`)
      : chunk(`{"tool_calls":[{"index":${calls},"function":{"arguments":${escaped}}}]}`);
  };
  const callStart = (callId: string, name: string) => {
    calls++;
    sawArguments = false;
    return legacyFunctions
      ? chunk(`{"function_call":${JSON.stringify({ name, arguments: "" })}}`)
      : chunk(
          `{"tool_calls":[${JSON.stringify({ index: calls, id: callId, type: "function", function: { name, arguments: "" } })}]}`,
        );
  };
  const finish = (end: TurnEnd) => {
    let frames = "";
    if (!text.any && end.structuredOutput !== undefined) frames += textChunk(JSON.stringify(end.structuredOutput));
    if (end.reason.unified === "refusal") frames += chunk(JSON.stringify({ refusal: REFUSAL_TEXT }));
    const extension = `,"claude_code":${JSON.stringify(toWireExtension(start, end))}`;
    const usage = includeUsage ? toWireUsage(end.usage) : undefined;
    const reason = toFinishReason(end.reason.unified, legacyFunctions);
    frames += `${open}{},"logprobs":null,"finish_reason":"${reason}"}]${usageNull}${usage ? "" : extension}}\n\n`;
    if (usage) frames += `${head},"choices":[],"usage":${JSON.stringify(usage)}${extension}}\n\n`;
    return frames + DONE;
  };

  const encode = (event: TurnEvent): string => {
    switch (event.type) {
      case "text-delta":
        return textChunk(event.text);
      case "thinking-delta":
        return thinkingChunk(event.text);
      case "client-call-delta":
        if (event.json === "") return "";
        sawArguments = true;
        return callArguments(event.json);
      case "turn-start":
        start = event;
        return chunk('{"role":"assistant","content":"","refusal":null}');
      case "client-call-start":
        return callStart(event.id, event.name);
      case "client-call-end":
        return sawArguments ? "" : callArguments(event.arguments);
      case "tool-start":
      case "tool-run":
      case "notice":
        work();
        return activity(toActivity(event));
      case "tool-end":
      case "permission-request":
      case "permission-resolved":
        return activity(toActivity(event));
      case "text-start":
        text.begin();
        return "";
      case "thinking-start":
        thinking.begin();
        return "";
      case "model-start":
      case "text-end":
      case "thinking-end":
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
    keepAlive: () => keepAlive,
    fail: (error: DaemonError) => `data: ${JSON.stringify(renderFailure(error))}\n\n`,
  };
}

/** The legacy endpoint's stream: text alone, same object as the whole answer. */
export function createCompletionEncoder(context: StreamContext): Encoder {
  const { id, created, model, includeUsage } = context;
  const base = { id, object: "text_completion", created, model, system_fingerprint: SERVICE.system_fingerprint };
  const head = `data: ${JSON.stringify(base).slice(0, -1)}`;
  const usageNull = includeUsage ? ',"usage":null' : "";
  const chunk = (text: string, reason: string, more = "") =>
    `${head},"choices":[{"text":${text},"index":0,"logprobs":null,"finish_reason":${reason}}]${usageNull}${more}}\n\n`;
  let start: { turnId: string; sessionId: string | undefined } = { turnId: "", sessionId: undefined };
  const text = createRoundJoiner();
  return {
    contentType: SSE_CONTENT_TYPE,
    encode(event) {
      switch (event.type) {
        case "turn-start":
          start = event;
          return chunk('""', "null");
        case "tool-start":
        case "tool-run":
        case "notice":
          text.work();
          return "";
        case "text-start":
          text.begin();
          return "";
        case "text-delta":
          return event.text === "" ? "" : chunk(JSON.stringify(text.join(event.text)), "null");
        case "turn-end": {
          const extension = `,"claude_code":${JSON.stringify(toWireExtension(start, event))}`;
          const usage = includeUsage ? toWireUsage(event.usage) : undefined;
          const reason = `"${toFinishReason(event.reason.unified, false)}"`;
          const last = usage ? `${head},"choices":[],"usage":${JSON.stringify(usage)}${extension}}\n\n` : "";
          return chunk('""', reason, usage ? "" : extension) + last + DONE;
        }
        default:
          return "";
      }
    },
    keepAlive: () => chunk('""', "null"),
    fail: (error) => `data: ${JSON.stringify(renderFailure(error))}\n\n`,
  };
}
