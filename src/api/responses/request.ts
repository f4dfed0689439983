/** Bodies to turns. What is accepted but cannot be honoured is named, in the client's words. */
import type { JsonObject } from "../../turn/message.ts";
import { readExtensions } from "../shared/extensions.ts";
import type { TurnTranslation } from "../shared/format.ts";
import { BOOKKEEPING, NEUTRAL } from "../shared/openai-parameters.ts";
import { addSampling, type NamedOptions } from "../shared/sampling.ts";
import { toEffort } from "../shared/tools.ts";
import { boundNames, findUnsupported } from "../shared/unsupported.ts";
import { createValidator, invalidField } from "../shared/validation.ts";
import type { Referenced } from "./archive.ts";
import { toHistory, toInputItems } from "./history.ts";
import { type ResponseBody, ResponseSchema } from "./schema.ts";
import { toOutputFormat, toTools } from "./tools.ts";

export interface ResponseTranslation {
  turn: TurnTranslation;
  stream: boolean;
  /** Whether the answer is to be kept: as with OpenAI, unless the client says no. */
  store: boolean;
  /** The client wants `encrypted_content` in reasoning items. */
  includeSealed: boolean;
  /** The request's own items, references resolved. */
  input: JsonObject[];
  /** What the response object repeats of the request. */
  echo: JsonObject;
}

const validate = createValidator(ResponseSchema);

/** Fields that are read here, or that shape nothing of the answer. */
const SILENT = new Set([
  ...Object.keys(ResponseSchema.properties),
  ...BOOKKEEPING,
  "stream_options",
  // Bounds the calls of built-in tools only; there are none.
  "max_tool_calls",
  "conversation",
  "prompt",
]);
const KNOWN = { silent: SILENT, neutral: NEUTRAL };

/** The body, checked. Throws `invalid_request` naming the field. */
export function readBody(value: Record<string, unknown>): ResponseBody {
  const body = validate(value);
  for (const name of ["conversation", "prompt"]) {
    if (value[name] !== undefined && value[name] !== null) {
      throw invalidField(name, "is not supported. Send the items in input.", "unsupported_parameter");
    }
  }
  if (body.background) {
    throw invalidField("background", "is not supported. Stream the response instead.", "unsupported_parameter");
  }
  return body;
}

/** Throws `invalid_request` naming the field. Pure: the same body, headers and references give the same turn. */
export function toTurnRequest(body: ResponseBody, headers: Headers, referenced: Referenced): ResponseTranslation {
  const input = toInputItems(body.input, referenced);
  const { system, messages, unused } = toHistory(referenced.before, input);
  const { tools, toolChoice, chosen, unsupported } = toTools(body);
  const { output, optionNames } = toOutput(body);
  if (chosen) optionNames.toolChoice = "tool_choice";
  if (body.parallel_tool_calls === false && tools.length > 0) optionNames.parallelToolCalls = "parallel_tool_calls";
  const systems = [body.instructions, system].filter((text) => text !== undefined && text !== null && text !== "");
  const value: Record<string, unknown> = body;
  return {
    turn: {
      model: body.model,
      system: systems.length === 0 ? undefined : systems.join("\n"),
      // Instructions alone are legal; the model API needs something to answer.
      messages: messages.length > 0 ? messages : [{ role: "user", content: [{ type: "text", text: "" }] }],
      tools,
      toolChoice,
      parallelToolCalls: body.parallel_tool_calls !== false,
      output,
      claudeCode: readExtensions(value.claude_code, headers),
      unsupported: boundNames([...findUnsupported(body, KNOWN), ...unsupported, ...unused]),
      optionNames,
    },
    stream: body.stream === true,
    store: body.store !== false,
    includeSealed: body.include?.includes("reasoning.encrypted_content") === true,
    input,
    echo: toEcho(body, value),
  };
}

function toOutput(body: ResponseBody): NamedOptions {
  const { output, optionNames }: NamedOptions = { output: {}, optionNames: {} };
  if (body.max_output_tokens) {
    output.maxTokens = body.max_output_tokens;
    optionNames.maxTokens = "max_output_tokens";
  }
  const format = toOutputFormat(body.text);
  if (format && format.type !== "text") {
    output.format = format;
    optionNames.format = "text.format";
  }
  const effort = toEffort(body.reasoning?.effort);
  if (effort) {
    output.effort = effort;
    optionNames.effort = "reasoning.effort";
  }
  addSampling({ output, optionNames }, body);
  return { output, optionNames };
}

const orNull = (value: unknown): JsonObject[string] => (value ?? null) as JsonObject[string];

/** Every key that a response object has, as the API itself fills it where the client said nothing. */
function toEcho(body: ResponseBody, value: Record<string, unknown>): JsonObject {
  const reasoning = value.reasoning as JsonObject | null | undefined;
  const text = value.text as JsonObject | null | undefined;
  return {
    background: false,
    instructions: orNull(body.instructions),
    max_output_tokens: orNull(body.max_output_tokens),
    max_tool_calls: orNull(value.max_tool_calls),
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: orNull(body.previous_response_id),
    prompt_cache_key: orNull(value.prompt_cache_key),
    reasoning: { effort: orNull(reasoning?.effort), summary: orNull(reasoning?.summary) },
    safety_identifier: orNull(value.safety_identifier),
    service_tier: "default",
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { ...text, format: orNull(text?.format ?? { type: "text" }) },
    tool_choice: orNull(body.tool_choice ?? "auto"),
    tools: orNull(body.tools ?? []),
    top_logprobs: 0,
    top_p: body.top_p ?? 1,
    truncation: "disabled",
    user: orNull(value.user),
    metadata: orNull(body.metadata ?? {}),
  };
}
