/**
 * The fields of a chat completion that the daemon reads. What depends on other fields (roles, parts, tools) is checked in
 * `messages.ts` and `tools.ts`, which can name the exact place.
 */
import { Type } from "@sinclair/typebox";
import { count, flag, list, modelName, number, object, open, optional, text } from "../shared/fields.ts";

/** Most stop sequences; OpenAI allows 4, others more. */
const MAX_STOP = 16;

export const MessageSchema = Type.Object(
  {
    role: Type.String({ description: "must be a string" }),
    content: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.Union([Type.String(), Type.Object({}, open)])), Type.Null()], {
        description: "must be a string or an array of content parts",
      }),
    ),
    refusal: text(),
    name: text(),
    tool_call_id: text(),
    tool_calls: list(),
    function_call: object(),
  },
  { ...open, description: "must be an object with a role" },
);

const shared = {
  model: modelName(),
  stream: flag(),
  stream_options: optional(Type.Object({ include_usage: flag() }, open), "must be an object"),
  max_tokens: count(),
  stop: optional(
    Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: MAX_STOP })]),
    `must be a string or an array of at most ${MAX_STOP} strings`,
  ),
  n: count(),
  temperature: number(),
  top_p: number(),
};

export const ChatSchema = Type.Object(
  {
    ...shared,
    messages: Type.Array(MessageSchema, { minItems: 1, description: "must be a non-empty array of messages" }),
    max_completion_tokens: count(),
    tools: list(),
    tool_choice: optional(Type.Union([Type.String(), Type.Object({}, open)]), "must be a string or an object"),
    parallel_tool_calls: flag(),
    functions: list(),
    function_call: optional(Type.Union([Type.String(), Type.Object({}, open)]), "must be a string or an object"),
    response_format: object(),
    reasoning_effort: text(),
    reasoning: optional(Type.Object({ effort: text() }, open), "must be an object"),
    modalities: optional(Type.Array(Type.String()), "must be an array of strings"),
  },
  open,
);

export const CompletionSchema = Type.Object(
  {
    ...shared,
    prompt: Type.Unknown(),
    best_of: count(),
    suffix: text(),
  },
  open,
);

export type ChatBody = (typeof ChatSchema)["static"];
export type ChatMessage = (typeof MessageSchema)["static"];
export type CompletionBody = (typeof CompletionSchema)["static"];
