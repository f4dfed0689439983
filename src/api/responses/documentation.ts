/** What the OpenAPI document says of each route. */
import { documented } from "../shared/openapi.ts";
import { ResponseSchema } from "./schema.ts";

const tags = ["OpenAI Responses"];
const json = (description: string) => ({
  responses: { 200: { description, content: { "application/json": { schema: { type: "object" as const } } } } },
});

export const CREATE = {
  tags,
  summary: "Create a response: whole, or with `stream` as events.",
  requestBody: { required: true, content: { "application/json": { schema: documented(ResponseSchema) } } },
  responses: {
    200: {
      description: "The response. With `stream`: events in order, the last one with the whole response.",
      content: {
        "application/json": { schema: { type: "object" as const } },
        "text/event-stream": { schema: { type: "string" as const } },
      },
    },
  },
};

export const READ = { tags, summary: "A stored response.", ...json("The response as it was given.") };

export const FORGET = { tags, summary: "Forget a stored response and its items.", ...json("It is gone.") };

export const LIST_INPUT = {
  tags,
  summary: "The input items of a stored response, newest first.",
  parameters: [
    { name: "limit", in: "query" as const, schema: { type: "integer" as const, minimum: 1, maximum: 100 } },
    { name: "order", in: "query" as const, schema: { type: "string" as const, enum: ["asc", "desc"] } },
    { name: "after", in: "query" as const, schema: { type: "string" as const } },
  ],
  ...json("A page of items."),
};

export const NO_SOCKET = {
  tags,
  summary: "Not served: responses come over POST; a WebSocket upgrade is answered with 426.",
};

export const NO_CANCEL = { tags, summary: "Refused: no response runs in the background." };
