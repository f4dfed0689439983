/**
 * The fields of a Responses request that the daemon reads. Items, parts and tools are checked in `history.ts` and
 * `tools.ts`, which can name the exact place.
 */
import { Type } from "@sinclair/typebox";
import { count, flag, list, modelName, number, object, open, optional, text } from "../shared/fields.ts";

/** Most items of one request. */
const MAX_ITEMS = 20_000;

export const ResponseSchema = Type.Object(
  {
    model: modelName(),
    input: Type.Union([Type.String(), Type.Array(Type.Object({}, open), { maxItems: MAX_ITEMS })], {
      description: `must be a string or an array of at most ${MAX_ITEMS} items`,
    }),
    instructions: text(),
    stream: flag(),
    store: flag(),
    previous_response_id: text(),
    tools: list(),
    tool_choice: optional(Type.Union([Type.String(), Type.Object({}, open)]), "must be a string or an object"),
    parallel_tool_calls: flag(),
    text: optional(Type.Object({ format: object() }, open), "must be an object"),
    reasoning: optional(Type.Object({ effort: text() }, open), "must be an object"),
    include: optional(Type.Array(Type.String()), "must be an array of strings"),
    max_output_tokens: count(),
    temperature: number(),
    top_p: number(),
    metadata: object(),
    background: flag(),
  },
  open,
);

export type ResponseBody = (typeof ResponseSchema)["static"];
