/** Bodies to turns. What is accepted but cannot be honoured is named, in the client's words. */
import { DaemonError } from "../../errors.ts";
import type { TurnRequest } from "../../turn/request.ts";
import { readExtensions } from "../shared/extensions.ts";
import type { TurnTranslation } from "../shared/format.ts";
import { BOOKKEEPING, NEUTRAL } from "../shared/openai-parameters.ts";
import { addSampling, addStop, type NamedOptions } from "../shared/sampling.ts";
import { toEffort } from "../shared/tools.ts";
import { boundNames, findUnsupported } from "../shared/unsupported.ts";
import { createValidator, invalidField } from "../shared/validation.ts";
import { toHistory } from "./messages.ts";
import { type ChatBody, ChatSchema, type CompletionBody, CompletionSchema } from "./schema.ts";
import { toOutputFormat, toTools } from "./tools.ts";

export interface ChatTranslation {
  turn: TurnTranslation;
  stream: boolean;
  /** Stream only: send the usage chunk. */
  includeUsage: boolean;
  /** The client speaks the legacy `functions` dialect. */
  legacyFunctions: boolean;
}

const validateChat = createValidator(ChatSchema);
const validateCompletion = createValidator(CompletionSchema);

/** Fields that are read here, or that shape nothing of the answer. */
const SILENT = new Set([...Object.keys(ChatSchema.properties), ...BOOKKEEPING]);

/** Throws `invalid_request` naming the field. Pure: the same body and headers give the same turn. */
export function toTurnRequest(value: Record<string, unknown>, headers: Headers): ChatTranslation {
  const body = validateChat(value);
  refuse(body);
  const { system, messages } = toHistory(body.messages);
  const { tools, toolChoice, choiceName, legacy, unsupported } = toTools(body);
  const { output, optionNames } = toOutput(body);
  if (choiceName) optionNames.toolChoice = choiceName;
  if (body.parallel_tool_calls === false && tools.length > 0) optionNames.parallelToolCalls = "parallel_tool_calls";
  return {
    turn: {
      model: body.model,
      system,
      messages: ensureInput(messages),
      tools,
      toolChoice,
      // The legacy dialect has room for one call.
      parallelToolCalls: !legacy && body.parallel_tool_calls !== false,
      output,
      claudeCode: readExtensions(value.claude_code, headers),
      unsupported: [...findUnsupported(value, { silent: SILENT, neutral: NEUTRAL }), ...boundNames(unsupported)],
      optionNames,
    },
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    legacyFunctions: legacy,
  };
}

function refuse(body: Pick<ChatBody, "n" | "modalities">): void {
  if ((body.n ?? 1) > 1) throw invalidField("n", "only one answer per request is possible.", "unsupported_value");
  if (body.modalities?.some((modality) => modality !== "text")) {
    throw invalidField("modalities", "only text is possible.", "unsupported_value");
  }
}

/** A list of system messages alone is legal; the model API needs something to answer. */
function ensureInput(messages: TurnRequest["messages"]): TurnRequest["messages"] {
  return messages.length > 0 ? messages : [{ role: "user", content: [{ type: "text", text: "" }] }];
}

function toOutput(body: ChatBody): NamedOptions {
  const { output, optionNames } = toSampling(body);
  if (body.max_completion_tokens) {
    output.maxTokens = body.max_completion_tokens;
    optionNames.maxTokens = "max_completion_tokens";
  }
  const format = toOutputFormat(body.response_format);
  if (format && format.type !== "text") {
    output.format = format;
    optionNames.format = "response_format";
  }
  const effort = toEffort(body.reasoning_effort ?? body.reasoning?.effort);
  if (effort) {
    output.effort = effort;
    optionNames.effort = body.reasoning_effort ? "reasoning_effort" : "reasoning.effort";
  }
  return { output, optionNames };
}

/** What both endpoints have in common. */
function toSampling(body: ChatBody | CompletionBody): NamedOptions {
  const named: NamedOptions = { output: {}, optionNames: {} };
  if (body.max_tokens) {
    named.output.maxTokens = body.max_tokens;
    named.optionNames.maxTokens = "max_tokens";
  }
  addStop(named, typeof body.stop === "string" ? [body.stop] : (body.stop ?? []), "stop");
  addSampling(named, body);
  return named;
}

const SILENT_COMPLETION = new Set([...SILENT, ...Object.keys(CompletionSchema.properties)]);

/** The legacy endpoint: one prompt, no roles. Throws `invalid_request` naming the field. */
export function toCompletionTurn(value: Record<string, unknown>, headers: Headers): ChatTranslation {
  const body = validateCompletion(value);
  refuse(body);
  if ((body.best_of ?? 1) > 1) throw invalidField("best_of", "only 1 is possible.", "unsupported_value");
  if (body.suffix) throw invalidField("suffix", "text cannot be inserted before a suffix.", "unsupported_parameter");
  const { output, optionNames } = toSampling(body);
  return {
    turn: {
      model: body.model,
      system: undefined,
      messages: [{ role: "user", content: [{ type: "text", text: toPrompt(body.prompt) }] }],
      tools: [],
      toolChoice: { type: "auto" },
      parallelToolCalls: true,
      output,
      claudeCode: readExtensions(value.claude_code, headers),
      unsupported: findUnsupported(value, { silent: SILENT_COMPLETION, neutral: NEUTRAL }),
      optionNames,
    },
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    legacyFunctions: false,
  };
}

function toPrompt(prompt: unknown): string {
  if (typeof prompt === "string") return prompt;
  if (Array.isArray(prompt) && prompt.length === 1 && typeof prompt[0] === "string") return prompt[0];
  if (prompt === undefined) {
    throw new DaemonError("invalid_request", "prompt: this field is required.", {
      detail: { param: "prompt", reason: "missing_required_parameter" },
    });
  }
  throw invalidField(
    "prompt",
    "must be one string; token arrays and several prompts are not possible.",
    "invalid_value",
  );
}
