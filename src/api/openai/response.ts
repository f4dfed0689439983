/** Whole answers, from a collected turn. */
import { joinText, type TurnResult } from "../../turn/collect.ts";
import type { JsonObject } from "../../turn/message.ts";
import { toWireExtension } from "../shared/extensions.ts";
import { REFUSAL_TEXT, toFinishReason, toWireUsage } from "./finish.ts";

export interface AnswerContext {
  id: string;
  /** Unix seconds. */
  created: number;
  /** As the client named it. */
  model: string;
  legacyFunctions: boolean;
}

export const SERVICE = { service_tier: "default", system_fingerprint: "fp_ccd" };

export function toChatCompletion(result: TurnResult, context: AnswerContext): JsonObject {
  const { id, created, model, legacyFunctions } = context;
  const { end } = result;
  const usage = toWireUsage(end.usage);
  return {
    id,
    object: "chat.completion",
    created,
    model,
    choices: [
      {
        index: 0,
        message: toMessage(result, legacyFunctions),
        logprobs: null,
        finish_reason: toFinishReason(end.reason.unified, legacyFunctions),
      },
    ],
    ...(usage ? { usage } : {}),
    ...SERVICE,
    claude_code: toWireExtension(result, end),
  };
}

/** The whole text: what streamed, or the JSON where the CLI gave it apart. */
function toContent(result: TurnResult): string {
  const text = joinText(result.blocks);
  const { structuredOutput } = result.end;
  return text === "" && structuredOutput !== undefined ? JSON.stringify(structuredOutput) : text;
}

function toMessage(result: TurnResult, legacyFunctions: boolean): JsonObject {
  const content = toContent(result);
  const reasoning = joinText(result.blocks, "thinking");
  const calls = result.blocks.filter((block) => block.type === "client-call");
  const [first] = calls;
  return {
    role: "assistant",
    content: content === "" && (first || result.end.reason.unified === "refusal") ? null : content,
    refusal: result.end.reason.unified === "refusal" ? REFUSAL_TEXT : null,
    annotations: [],
    ...(reasoning === "" ? {} : { reasoning_content: reasoning, reasoning }),
    // Never an empty array: clients take its presence for calls.
    ...(first && !legacyFunctions
      ? {
          tool_calls: calls.map((call) => ({
            id: call.id,
            type: "function",
            function: { name: call.name, arguments: call.arguments },
          })),
        }
      : {}),
    ...(first && legacyFunctions ? { function_call: { name: first.name, arguments: first.arguments } } : {}),
  };
}

/** The legacy endpoint's answer. */
export function toTextCompletion(result: TurnResult, context: AnswerContext): JsonObject {
  const { id, created, model } = context;
  const finish = toFinishReason(result.end.reason.unified, false);
  const usage = toWireUsage(result.end.usage);
  return {
    id,
    object: "text_completion",
    created,
    model,
    choices: [{ text: toContent(result), index: 0, logprobs: null, finish_reason: finish }],
    ...(usage ? { usage } : {}),
    system_fingerprint: SERVICE.system_fingerprint,
    claude_code: toWireExtension(result, result.end),
  };
}
