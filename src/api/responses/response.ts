/** Response objects, and whole answers from a collected turn. */
import { assertNever } from "../../errors.ts";
import { ROUND_SEPARATOR, type TurnResult } from "../../turn/collect.ts";
import type { EndReason, TurnEnd, Usage } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";
import { toWireExtension } from "../shared/extensions.ts";
import { callItem, messageItem, outputId, reasoningItem, refusalPart, showItem, textPart } from "./items.ts";

export interface AnswerContext {
  /** `resp_…` */
  id: string;
  /** Unix seconds. */
  created: number;
  /** As the client named it. */
  model: string;
  echo: JsonObject;
  includeSealed: boolean;
  /** Unix milliseconds. */
  now(): number;
}

/** What a refusal is reported as beside whatever text there was. */
export const REFUSAL_TEXT = "The model declined to answer this request.";

type Status = "in_progress" | "completed" | "incomplete" | "failed";

interface ResponseState {
  status: Status;
  completedAt?: number;
  output: JsonObject[];
  usage?: JsonObject | undefined;
  error?: JsonObject;
  incompleteReason?: string | undefined;
  extension?: JsonObject;
}

/** The response object with all its keys. */
export function toResponse(context: AnswerContext, state: ResponseState): JsonObject {
  const { id, created, model, echo } = context;
  return {
    id,
    object: "response",
    created_at: created,
    status: state.status,
    completed_at: state.completedAt ?? null,
    error: state.error ?? null,
    incomplete_details: state.incompleteReason === undefined ? null : { reason: state.incompleteReason },
    model,
    output: state.output,
    ...echo,
    usage: state.usage ?? null,
    ...(state.extension === undefined ? {} : { claude_code: state.extension }),
  };
}

/** Why an answer is incomplete, in the two words there are; undefined: it is complete. */
function toIncompleteReason(reason: EndReason): string | undefined {
  switch (reason) {
    case "end":
    case "stop-sequence":
    case "tool-calls":
      return undefined;
    case "length":
    case "max-turns":
    case "interrupted":
    case "stalled":
      // Cut short, by whatever: a client must not take it for complete.
      return "max_output_tokens";
    case "refusal":
      return "content_filter";
    default:
      return assertNever(reason);
  }
}

/** OpenAI counts cached input as part of the prompt. Undefined where the CLI told nothing. */
function toWireUsage(usage: Usage): JsonObject | undefined {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = usage;
  if (inputTokens === undefined && outputTokens === undefined) return undefined;
  const input = (inputTokens ?? 0) + (cacheReadTokens ?? 0) + (cacheWriteTokens ?? 0);
  const output = outputTokens ?? 0;
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cacheReadTokens ?? 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input + output,
  };
}

interface Turn {
  turnId: string;
  sessionId: string | undefined;
}

/** The response at the end of a turn. `output` holds its items with their encrypted content. */
export function toEndedResponse(context: AnswerContext, turn: Turn, end: TurnEnd, output: JsonObject[]): JsonObject {
  const incompleteReason = toIncompleteReason(end.reason.unified);
  return toResponse(context, {
    status: incompleteReason === undefined ? "completed" : "incomplete",
    ...(incompleteReason === undefined ? { completedAt: Math.floor(context.now() / 1000) } : {}),
    output,
    usage: toWireUsage(end.usage),
    incompleteReason,
    extension: toWireExtension(turn, end),
  });
}

/** The same response as its client sees it. */
export function showResponse(response: JsonObject, includeSealed: boolean): JsonObject {
  const output = Array.isArray(response.output) ? (response.output as JsonObject[]) : [];
  return { ...response, output: output.map((item) => showItem(item, includeSealed)) };
}

/**
 * What a turn's end adds to its items: the JSON where the CLI gave it apart, a refusal, and an empty message where there
 * would be nothing at all, because clients take an empty output for no answer.
 */
export function lastPart(end: TurnEnd, has: { text: boolean; answer: boolean }): JsonObject | undefined {
  if (end.reason.unified === "refusal") return refusalPart(REFUSAL_TEXT);
  if (!has.text && end.structuredOutput !== undefined) return textPart(JSON.stringify(end.structuredOutput));
  return has.answer ? undefined : textPart("");
}

/** A whole answer; its items with their encrypted content. */
export function toWholeResponse(result: TurnResult, context: AnswerContext): JsonObject {
  const output: JsonObject[] = [];
  let round: number | undefined;
  for (const block of result.blocks) {
    const index = output.length;
    if (block.type === "text") {
      if (block.text === "") continue;
      const text = round === undefined || round === block.round ? block.text : ROUND_SEPARATOR + block.text;
      round = block.round;
      output.push(messageItem(outputId(context.id, "msg_", index), "completed", [textPart(text)]));
    } else if (block.type === "thinking") {
      if (block.text === "" && block.signature === undefined) continue;
      output.push(reasoningItem(outputId(context.id, "rs_", index), block.text, block.signature));
    } else if (block.arguments !== "") {
      // One whose arguments never ended is no call.
      const call = { callId: block.id, name: block.name, arguments: block.arguments };
      output.push(callItem(outputId(context.id, "fc_", index), "completed", call));
    }
  }
  const answer = output.some((item) => item.type !== "reasoning");
  const part = lastPart(result.end, { text: round !== undefined, answer });
  if (part) output.push(messageItem(outputId(context.id, "msg_", output.length), "completed", [part]));
  return toEndedResponse(context, result, result.end, output);
}
