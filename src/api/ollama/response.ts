/** Whole answers, from a collected turn. */
import { assertNever } from "../../errors.ts";
import { joinText, type TurnResult } from "../../turn/collect.ts";
import type { EndReason } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";
import { toWireExtension } from "../shared/extensions.ts";
import { encodeContext, type GenerateHistory } from "./context.ts";
import type { Stopwatch } from "./metrics.ts";

export interface AnswerContext {
  /** As the client named it. */
  model: string;
  /** Milliseconds since 1970. */
  now(): number;
  showThinking: boolean;
  stopwatch: Stopwatch;
  /** /api/generate alone. */
  history: GenerateHistory | undefined;
}

/** RFC 3339 with a fraction: some clients drop frames without. */
export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** Calls end with `stop` too. Answers that were cut short, by whatever, end with `length`. */
export function toDoneReason(reason: EndReason): "stop" | "length" {
  switch (reason) {
    case "end":
    case "stop-sequence":
    case "tool-calls":
    case "refusal":
      return "stop";
    case "length":
    case "max-turns":
    case "interrupted":
    case "stalled":
      return "length";
    default:
      return assertNever(reason);
  }
}

/** Numbers that stand for the conversation with this answer; undefined beyond the bound. */
export function toContext(history: GenerateHistory, answer: string): { context: number[] } | undefined {
  const messages = [...history.messages, { role: "assistant", content: answer }];
  const context = encodeContext({ ...history, messages });
  return context && { context };
}

/** A call as both kinds of answer show it. A call that was cut in its middle has no whole arguments. */
export function toWireCall(call: { id: string; name: string; arguments: string }, index: number): JsonObject {
  let input: JsonObject = {};
  try {
    input = JSON.parse(call.arguments || "{}") as JsonObject;
  } catch {
    // Shown without arguments; `done_reason` says that the answer is not whole.
  }
  return { id: call.id, function: { index, name: call.name, arguments: input } };
}

function toText(result: TurnResult): string {
  const text = joinText(result.blocks);
  const { structuredOutput } = result.end;
  return text === "" && structuredOutput !== undefined ? JSON.stringify(structuredOutput) : text;
}

export function toChatAnswer(result: TurnResult, context: AnswerContext): JsonObject {
  const calls = result.blocks.filter((block) => block.type === "client-call");
  return {
    model: context.model,
    created_at: timestamp(context.now()),
    message: {
      role: "assistant",
      content: toText(result),
      ...thinkingOf(result, context),
      ...(calls.length > 0 ? { tool_calls: calls.map(toWireCall) } : {}),
    },
    ...ending(result, context),
  };
}

export function toGenerateAnswer(result: TurnResult, context: AnswerContext): JsonObject {
  const response = toText(result);
  return {
    model: context.model,
    created_at: timestamp(context.now()),
    response,
    ...thinkingOf(result, context),
    ...ending(result, context),
    ...(context.history ? toContext(context.history, response) : {}),
  };
}

function thinkingOf(result: TurnResult, context: AnswerContext): JsonObject {
  const thinking = context.showThinking ? joinText(result.blocks, "thinking") : "";
  return thinking === "" ? {} : { thinking };
}

function ending(result: TurnResult, { stopwatch }: AnswerContext): JsonObject {
  const { end } = result;
  return {
    done: true,
    done_reason: toDoneReason(end.reason.unified),
    ...stopwatch.metrics(end),
    claude_code: toWireExtension(result, end),
  };
}

/** The answer to a request that has nothing to answer. */
export function toLoadAnswer(kind: "chat" | "generate", model: string, unload: boolean, now: number): JsonObject {
  return {
    model,
    created_at: timestamp(now),
    ...(kind === "chat" ? { message: { role: "assistant", content: "" } } : { response: "" }),
    done: true,
    done_reason: unload ? "unload" : "load",
  };
}
