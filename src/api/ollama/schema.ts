/**
 * The fields of Ollama's requests that the daemon reads. What depends on other fields (roles, calls) is checked in
 * `messages.ts`, which can name the exact place.
 */
import { Type } from "@sinclair/typebox";
import { flag, list, modelName, number, open, optional, text } from "../shared/fields.ts";

/** Most stop sequences of one request. */
const MAX_STOP = 16;
/** Most images of one message. */
const MAX_IMAGES = 256;

const images = () =>
  optional(
    Type.Array(Type.String(), { maxItems: MAX_IMAGES }),
    `must be an array of at most ${MAX_IMAGES} base64 strings`,
  );

export const MessageSchema = Type.Object(
  {
    role: Type.String({ description: "must be a string" }),
    content: text(),
    thinking: text(),
    images: images(),
    tool_calls: list(),
    tool_name: text(),
    name: text(),
    tool_call_id: text(),
  },
  { ...open, description: "must be an object with a role" },
);

const shared = {
  model: modelName(),
  stream: flag(),
  format: optional(Type.Union([Type.String(), Type.Object({}, open)]), 'must be "json" or a JSON Schema'),
  think: optional(Type.Union([Type.Boolean(), Type.String()]), "must be true, false, low, medium, high or max"),
  keep_alive: optional(Type.Union([Type.String(), Type.Number()]), "must be a duration"),
  options: optional(
    Type.Object(
      {
        temperature: number(),
        top_p: number(),
        num_predict: number(),
        stop: optional(
          Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: MAX_STOP })]),
          `must be a string or an array of at most ${MAX_STOP} strings`,
        ),
      },
      open,
    ),
    "must be an object",
  ),
};

export const ChatSchema = Type.Object(
  { ...shared, messages: optional(Type.Array(MessageSchema), "must be an array of messages"), tools: list() },
  open,
);

export const GenerateSchema = Type.Object(
  {
    ...shared,
    prompt: text(),
    system: text(),
    suffix: text(),
    template: text(),
    raw: flag(),
    images: images(),
    context: optional(Type.Array(Type.Integer()), "must be an array of whole numbers"),
  },
  open,
);

/** Where only a model is named, by either of its names. */
export const NamedSchema = Type.Object({ model: text(), name: text(), stream: flag(), verbose: flag() }, open);

/** What a `context` holds. */
export const HistorySchema = Type.Object({ system: text(), messages: Type.Array(MessageSchema) }, open);

export type ChatBody = (typeof ChatSchema)["static"];
export type GenerateBody = (typeof GenerateSchema)["static"];
export type WireMessage = (typeof MessageSchema)["static"];
