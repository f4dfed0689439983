import { assertNever } from "../../errors.ts";
import type { EndReason, Usage } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";

export type FinishReason = "stop" | "length" | "tool_calls" | "function_call" | "content_filter";

/** What a refusal is reported as beside whatever text there was. */
export const REFUSAL_TEXT = "The model declined to answer this request.";

/** Answers that were cut short, by whatever, end with `length`: a client must not take them for complete. */
export function toFinishReason(reason: EndReason, legacyFunctions: boolean): FinishReason {
  switch (reason) {
    case "end":
    case "stop-sequence":
      return "stop";
    case "length":
    case "max-turns":
    case "interrupted":
    case "stalled":
      return "length";
    case "tool-calls":
      return legacyFunctions ? "function_call" : "tool_calls";
    case "refusal":
      return "content_filter";
    default:
      return assertNever(reason);
  }
}

/** OpenAI counts cached input as part of the prompt. Undefined where the CLI told nothing. */
export function toWireUsage(usage: Usage): JsonObject | undefined {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = usage;
  if (inputTokens === undefined && outputTokens === undefined) return undefined;
  const prompt = (inputTokens ?? 0) + (cacheReadTokens ?? 0) + (cacheWriteTokens ?? 0);
  const completion = outputTokens ?? 0;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cacheReadTokens ?? 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}
