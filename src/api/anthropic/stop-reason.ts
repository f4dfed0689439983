import { assertNever } from "../../errors.ts";
import type { TurnEnd, Usage } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";

/** Answers that were cut short, by whatever, end with `max_tokens`: a client must not take them for complete. */
export function toStopReason({ reason }: TurnEnd): string {
  switch (reason.unified) {
    case "end":
      return "end_turn";
    case "stop-sequence":
      return "stop_sequence";
    case "length":
      return reason.raw === "model_context_window_exceeded" ? reason.raw : "max_tokens";
    case "max-turns":
    case "interrupted":
    case "stalled":
      return "max_tokens";
    case "tool-calls":
      return "tool_use";
    case "refusal":
      return "refusal";
    default:
      return assertNever(reason.unified);
  }
}

/** Clients add these up without looking: what is unknown is 0 here. How long a cache lives is not told by the CLI. */
export function toWireUsage(usage: Usage | undefined): JsonObject & { output_tokens: number } {
  return {
    input_tokens: usage?.inputTokens ?? 0,
    cache_creation_input_tokens: usage?.cacheWriteTokens ?? 0,
    cache_read_input_tokens: usage?.cacheReadTokens ?? 0,
    output_tokens: usage?.outputTokens ?? 0,
  };
}
