/** Bodies to turns. What is accepted but cannot be honoured is named, in the client's words. */
import { DaemonError } from "../../errors.ts";
import type { TurnRequest } from "../../turn/request.ts";
import { readExtensions } from "../shared/extensions.ts";
import type { TurnTranslation } from "../shared/format.ts";
import { addSampling, addStop, type NamedOptions } from "../shared/sampling.ts";
import { toEffort } from "../shared/tools.ts";
import { boundNames, findUnsupported } from "../shared/unsupported.ts";
import { createValidator } from "../shared/validation.ts";
import { THREAD_UNSUPPORTED } from "./errors.ts";
import { toHistory } from "./messages.ts";
import { CountSchema, type MessagesBody, MessagesSchema } from "./schema.ts";
import { toOutputFormat, toTools } from "./tools.ts";

/** `omitted`: a block with its signature and no text, as the client asked. */
export type ThinkingDisplay = "none" | "omitted" | "full";

export interface MessagesTranslation {
  turn: TurnTranslation;
  stream: boolean;
  thinking: ThinkingDisplay;
}

const validateMessages = createValidator(MessagesSchema);
const validateCount = createValidator(CountSchema);

/** Fields that are read here, or that shape nothing of the answer. */
const SILENT = new Set([
  ...Object.keys(MessagesSchema.properties),
  "claude_code",
  "metadata",
  "cache_control",
  "betas",
  "diagnostics",
  "user_profile_id",
]);
const isEmpty = (value: unknown) => typeof value === "object" && Object.keys(value ?? {}).length === 0;
const NEUTRAL = new Map<string, (value: unknown) => boolean>([
  ["mcp_servers", isEmpty],
  ["context_management", isEmpty],
  ["service_tier", (value) => value === "auto" || value === "standard_only"],
  ["speed", (value) => value === "standard"],
]);

/** Throws `invalid_request` naming the field. Pure: the same body and headers give the same turn. */
export function toTurnRequest(value: Record<string, unknown>, headers: Headers): MessagesTranslation {
  const body = validateMessages(value);
  refuseThread(body);
  const { system, messages } = toHistory(body);
  const { tools, toolChoice, parallel, unsupported } = toTools(body);
  const { output, optionNames } = toOutput(body);
  const claudeCode = readExtensions(value.claude_code, headers);
  // This API demands it, so it cannot be held against an agent, which does not honour it.
  if (claudeCode.strict) delete optionNames.maxTokens;
  if (toolChoice.type !== "auto") optionNames.toolChoice = "tool_choice";
  if (!parallel) optionNames.parallelToolCalls = "tool_choice.disable_parallel_tool_use";
  return {
    turn: {
      model: body.model,
      system,
      messages,
      tools,
      toolChoice,
      parallelToolCalls: parallel,
      output,
      claudeCode,
      unsupported: [...findUnsupported(value, { silent: SILENT, neutral: NEUTRAL }), ...boundNames(unsupported)],
      optionNames,
    },
    stream: body.stream === true,
    thinking: toDisplay(body.thinking),
  };
}

/** What counting is about. Throws `invalid_request` naming the field. */
export function toCountRequest(value: Record<string, unknown>): Pick<TurnRequest, "system" | "messages" | "tools"> {
  const body = validateCount(value);
  refuseThread(body);
  return { ...toHistory(body), tools: toTools(body).tools };
}

/**
 * With `thread` the client sends only what is new and expects the server to remember the rest. The SDK's tool runner
 * takes this refusal as its cue to send everything.
 */
function refuseThread(body: { thread?: unknown }): void {
  if (body.thread === undefined || body.thread === null) return;
  throw new DaemonError("invalid_request", "thread: message threads are not supported", {
    detail: { param: "thread", reason: THREAD_UNSUPPORTED },
  });
}

/** Thinking is shown to those who asked for it: others take the first block for the answer. */
function toDisplay(thinking: MessagesBody["thinking"]): ThinkingDisplay {
  const { type, display } = (thinking ?? {}) as { type?: unknown; display?: unknown };
  if (!thinking || type === "disabled") return "none";
  return display === "omitted" ? "omitted" : "full";
}

function toOutput(body: MessagesBody): NamedOptions {
  const named: NamedOptions = { output: { maxTokens: body.max_tokens }, optionNames: { maxTokens: "max_tokens" } };
  const { output, optionNames } = named;
  addStop(named, body.stop_sequences ?? [], "stop_sequences");
  addSampling(named, body);
  // Left out, it means off: that is this API's contract, and nothing to be named as ignored.
  output.thinking = toDisplay(body.thinking) === "none" ? "off" : "on";
  if (body.thinking) optionNames.thinking = "thinking";
  const effort = toEffort(body.output_config?.effort);
  if (effort) {
    output.effort = effort;
    optionNames.effort = "output_config.effort";
  }
  if (body.output_config?.format) {
    output.format = toOutputFormat(body.output_config.format, "output_config.format");
    optionNames.format = "output_config.format";
  } else if (body.output_format) {
    output.format = toOutputFormat(body.output_format, "output_format");
    optionNames.format = "output_format";
  }
  return { output, optionNames };
}
