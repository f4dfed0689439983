/** Whole answers, from a collected turn. */
import type { TurnResult } from "../../turn/collect.ts";
import type { JsonObject } from "../../turn/message.ts";
import { toWireExtension } from "../shared/extensions.ts";
import type { ThinkingDisplay } from "./request.ts";
import { toStopReason, toWireUsage } from "./stop-reason.ts";

export interface AnswerContext {
  id: string;
  /** As the client named it. */
  model: string;
  thinking: ThinkingDisplay;
}

export function toWireMessage(result: TurnResult, context: AnswerContext): JsonObject {
  const { end } = result;
  return {
    id: context.id,
    type: "message",
    role: "assistant",
    model: context.model,
    content: toContent(result, context.thinking),
    stop_reason: toStopReason(end),
    stop_sequence: end.stopSequence ?? null,
    usage: { ...toWireUsage(end.usage), cache_creation: null, service_tier: "standard" },
    claude_code: toWireExtension(result, end),
  };
}

/** Blocks without content are left out: sent back, the model API would refuse them. */
function toContent(result: TurnResult, display: ThinkingDisplay): JsonObject[] {
  const content: JsonObject[] = [];
  let said = false;
  for (const block of result.blocks) {
    if (block.type === "client-call") {
      content.push({ type: "tool_use", id: block.id, name: block.name, input: toInput(block.arguments) });
    } else if (block.type === "text") {
      if (block.text === "") continue;
      said = true;
      content.push({ type: "text", text: block.text });
    } else if (display !== "none" && (block.text !== "" || block.signature)) {
      const thinking = display === "full" ? block.text : "";
      content.push({ type: "thinking", thinking, signature: block.signature ?? "" });
    }
  }
  const { structuredOutput } = result.end;
  if (!said && structuredOutput !== undefined) content.push({ type: "text", text: JSON.stringify(structuredOutput) });
  return content;
}

/** A call that was cut in its middle has no whole arguments. */
function toInput(text: string): JsonObject {
  try {
    return JSON.parse(text || "{}") as JsonObject;
  } catch {
    return {};
  }
}
