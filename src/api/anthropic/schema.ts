/**
 * The fields of a Messages request that the daemon reads. What depends on other fields (roles, blocks, tools) is checked
 * in `messages.ts` and `tools.ts`, which can name the exact place.
 */
import { Type } from "@sinclair/typebox";
import { flag, list, modelName, number, object, open, optional, text } from "../shared/fields.ts";

/** Most stop sequences of one request. */
const MAX_STOP = 16;

export const MessageSchema = Type.Object(
  {
    role: Type.String({ description: "must be a string" }),
    content: Type.Union([Type.String(), Type.Array(Type.Object({}, open))], {
      description: "must be a string or an array of content blocks",
    }),
  },
  { ...open, description: "must be an object with a role" },
);

const shared = {
  model: modelName(),
  messages: Type.Array(MessageSchema, { minItems: 1, description: "at least one message is required" }),
  system: optional(
    Type.Union([Type.String(), Type.Array(Type.Object({}, open))]),
    "must be a string or an array of text blocks",
  ),
  tools: list(),
  tool_choice: object(),
  thinking: object(),
  output_config: optional(Type.Object({ effort: text(), format: object() }, open), "must be an object"),
  output_format: object(),
  thread: Type.Optional(Type.Unknown()),
};

export const MessagesSchema = Type.Object(
  {
    ...shared,
    max_tokens: Type.Integer({ minimum: 1, description: "must be a whole number of at least 1" }),
    stream: flag(),
    stop_sequences: optional(
      Type.Array(Type.String(), { maxItems: MAX_STOP }),
      `must be an array of at most ${MAX_STOP} strings`,
    ),
    temperature: number(),
    top_p: number(),
  },
  open,
);

/** Counting needs no `max_tokens`. */
export const CountSchema = Type.Object(shared, open);

export type MessagesBody = (typeof MessagesSchema)["static"];
export type CountBody = (typeof CountSchema)["static"];
export type WireMessage = (typeof MessageSchema)["static"];
