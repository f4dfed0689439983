/** What /docs says of OpenAI's endpoints. */
import { documented } from "../shared/openapi.ts";
import { ChatSchema, CompletionSchema } from "./schema.ts";

const tags = ["OpenAI"];
const object = { schema: { type: "object" as const } };
const events = { schema: { type: "string" as const } };

export const CHAT_DETAIL = {
  tags,
  summary: "A chat completion, whole or as events.",
  description:
    "Model `claude-code` is the agent in its workspace, a model's own name the bare chat model. `claude_code` in the request chooses workspace, session and rights; in the answer it tells what the agent did.",
  requestBody: {
    required: true,
    content: {
      "application/json": {
        schema: documented(ChatSchema),
        example: { model: "claude-code", messages: [{ role: "user", content: "Add a test for the parser." }] },
      },
    },
  },
  responses: {
    200: {
      description: "The completion; with `stream`, chunks that end with `[DONE]`.",
      content: { "application/json": object, "text/event-stream": events },
    },
  },
};

export const COMPLETION_DETAIL = {
  tags,
  summary: "A legacy text completion.",
  requestBody: { required: true, content: { "application/json": { schema: documented(CompletionSchema) } } },
  responses: {
    200: {
      description: "The completion; with `stream`, chunks that end with `[DONE]`.",
      content: { "application/json": object, "text/event-stream": events },
    },
  },
};

export const MODELS_DETAIL = {
  tags,
  summary: "The models that claude offers, agents first. With `anthropic-version`: in Anthropic's shape.",
  responses: { 200: { description: "The list.", content: { "application/json": object } } },
};

export const MODEL_DETAIL = {
  tags,
  summary: "One model, by id, alias or `:latest` form.",
  responses: { 200: { description: "The model.", content: { "application/json": object } } },
};
