/** The stand-in's answers as the Messages API writes them: streamed, or whole. */
import type { JsonObject } from "../turn/message.ts";
import type { AnswerBlock } from "./answer.ts";
import { estimateTokens } from "./request.ts";

export interface WireAnswer {
  id: string;
  model: string;
  blocks: AnswerBlock[];
  stopReason: "end_turn" | "tool_use" | "max_tokens";
  inputTokens: number;
  outputTokens: number;
}

/** Cuts the blocks where `maxTokens` ends them: a text in its middle, a tool call as a whole. */
export function toWireAnswer(
  id: string,
  model: string,
  blocks: AnswerBlock[],
  limits: { inputTokens: number; maxTokens: number | undefined },
): WireAnswer {
  let left = limits.maxTokens ?? Number.POSITIVE_INFINITY;
  const kept: AnswerBlock[] = [];
  for (const block of blocks) {
    const tokens = tokensOf(block);
    if (tokens > left) {
      if (block.kind === "text" && left > 0)
        kept.push({ kind: "text", text: words(block.text).slice(0, left).join("") });
      left = -1;
      break;
    }
    left -= tokens;
    kept.push(block);
  }
  const calls = kept.some((block) => block.kind === "tool");
  return {
    id,
    model,
    blocks: kept,
    stopReason: left < 0 ? "max_tokens" : calls ? "tool_use" : "end_turn",
    inputTokens: limits.inputTokens,
    outputTokens: kept.reduce((sum, block) => sum + tokensOf(block), 0),
  };
}

function tokensOf(block: AnswerBlock): number {
  return block.kind === "text" ? words(block.text).length : estimateTokens(JSON.stringify(block.input));
}

/** A word with the space after it is one delta, and one token. */
function words(value: string): string[] {
  return value.match(/\S+\s*|\s+/g) ?? [];
}

function frame(event: JsonObject): string {
  return `event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`;
}

function toolId(answer: WireAnswer, index: number): string {
  return `toolu_${answer.id}_${index}`;
}

function usageOf(answer: WireAnswer): JsonObject {
  return {
    input_tokens: answer.inputTokens,
    output_tokens: answer.outputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
  };
}

export function encodeStream(answer: WireAnswer): string {
  const usage = { ...usageOf(answer), output_tokens: 1 };
  const message = { id: answer.id, type: "message", role: "assistant", model: answer.model, content: [] };
  let frames = frame({
    type: "message_start",
    message: { ...message, stop_reason: null, stop_sequence: null, usage },
  });
  answer.blocks.forEach((block, index) => {
    const start: JsonObject =
      block.kind === "text"
        ? { type: "text", text: "" }
        : { type: "tool_use", id: toolId(answer, index), name: block.name, input: {} };
    frames += frame({ type: "content_block_start", index, content_block: start });
    const deltas: JsonObject[] =
      block.kind === "text"
        ? words(block.text).map((word) => ({ type: "text_delta", text: word }))
        : [{ type: "input_json_delta", partial_json: JSON.stringify(block.input) }];
    for (const delta of deltas) frames += frame({ type: "content_block_delta", index, delta });
    frames += frame({ type: "content_block_stop", index });
  });
  const delta = { stop_reason: answer.stopReason, stop_sequence: null };
  return frames + frame({ type: "message_delta", delta, usage: usageOf(answer) }) + frame({ type: "message_stop" });
}

export function encodeWhole(answer: WireAnswer): JsonObject {
  return {
    id: answer.id,
    type: "message",
    role: "assistant",
    model: answer.model,
    content: answer.blocks.map(
      (block, index): JsonObject =>
        block.kind === "text"
          ? { type: "text", text: block.text }
          : { type: "tool_use", id: toolId(answer, index), name: block.name, input: block.input },
    ),
    stop_reason: answer.stopReason,
    stop_sequence: null,
    usage: usageOf(answer),
  };
}
