/** Anthropic's Messages, token counts and models on HTTP. Glue only. */
import { Elysia } from "elysia";
import { DaemonError } from "../../errors.ts";
import { readJsonBody } from "../shared/body.ts";
import { answer, type Exchange, ignoredHeaders, jsonResponse } from "../shared/exchange.ts";
import type { FormatDeps } from "../shared/format.ts";
import { documented } from "../shared/openapi.ts";
import { readRetry } from "../shared/retry.ts";
import { collectTurn, streamTurn } from "../shared/stream.ts";
import { countTokens } from "./count.ts";
import { renderError } from "./errors.ts";
import { toModelPage, toWireModel } from "./models.ts";
import { toCountRequest, toTurnRequest } from "./request.ts";
import { toWireMessage } from "./response.ts";
import { CountSchema, MessagesSchema } from "./schema.ts";
import { createEncoder } from "./stream.ts";

const MESSAGES = "/v1/messages";
const COUNT = "/v1/messages/count_tokens";
const tags = ["Anthropic"];
const jsonAnswer = { "application/json": { schema: { type: "object" as const } } };

export function createAnthropicRoutes(deps: FormatDeps) {
  const raw = { parse: "none" } as const;
  const respond = (work: (exchange: Exchange) => Promise<Response>) => (context: { request: Request }) =>
    answer(deps.log, context.request, (error, exchange) => renderError(error, exchange.requestId), work);
  const onlyPost = respond(async () => {
    throw new DaemonError("method_not_allowed", "This address answers POST only.", { detail: { allow: ["POST"] } });
  });
  return new Elysia({ name: "anthropic" })
    .post(MESSAGES, ({ request }) => answerMessages(deps, request), {
      ...raw,
      detail: {
        tags,
        summary: "A turn in the format of Anthropic's Messages API, whole or as events.",
        requestBody: { required: true, content: { "application/json": { schema: documented(MessagesSchema) } } },
        responses: {
          200: {
            description: "The message; with `stream`, its events. `claude_code` says what the agent did.",
            content: { ...jsonAnswer, "text/event-stream": { schema: { type: "string" } } },
          },
        },
      },
    })
    .all(MESSAGES, onlyPost, raw)
    .post(
      COUNT,
      respond(async (exchange) => {
        const body = await readJsonBody(exchange.request, deps.limits);
        const inputTokens = countTokens(toCountRequest(body.value));
        return jsonResponse(exchange, { input_tokens: inputTokens, claude_code: { estimated: true } });
      }),
      {
        ...raw,
        detail: {
          tags,
          summary: "An estimate of a request's input tokens that is not too low; no model is asked.",
          requestBody: { required: true, content: { "application/json": { schema: documented(CountSchema) } } },
          responses: {
            200: {
              description:
                "`{input_tokens, claude_code: {estimated: true}}`: not a count by the model's own tokenizer, which claude does not offer.",
              content: jsonAnswer,
            },
          },
        },
      },
    )
    .all(COUNT, onlyPost, raw)
    .all(
      "/v1/messages/*",
      respond(async ({ request }) => {
        throw notServed(request, pathOf(request));
      }),
      raw,
    );
}

function answerMessages(deps: FormatDeps, request: Request): Promise<Response> {
  let model: string | undefined;
  const work = async (exchange: Exchange) => {
    const body = await readJsonBody(request, deps.limits);
    const { turn, stream, thinking } = toTurnRequest(body.value, request.headers);
    model = turn.model;
    const retry = readRetry(request, body.digest);
    const context = { id: deps.newId("msg_"), model: turn.model, thinking };
    if (stream) {
      return streamTurn(deps, exchange, turn, retry, (_, begun) => createEncoder({ ...context, usage: begun?.usage }));
    }
    const result = await collectTurn(deps, exchange, turn, retry);
    return jsonResponse(exchange, toWireMessage(result, context), { headers: ignoredHeaders(result.ignored) });
  };
  return answer(deps.log, request, (error, exchange) => renderError(error, exchange.requestId, model), work);
}

/** Whether a caller on a path that formats share speaks this one. */
export function speaksAnthropic(headers: Headers): boolean {
  return headers.has("anthropic-version");
}

/**
 * Answers what other formats serve at a path of their own, for callers that speak this one: the models, and errors for
 * everything else. Undefined for everyone else.
 */
export function createSharedPaths(deps: FormatDeps): (request: Request) => Promise<Response> | undefined {
  return (request) => {
    if (!speaksAnthropic(request.headers)) return undefined;
    let model: string | undefined;
    const work = async (exchange: Exchange) => {
      const path = pathOf(request);
      const isModels = path === "/v1/models" || path.startsWith("/v1/models/");
      if (!isModels) throw notServed(request, path);
      if (request.method !== "GET" && request.method !== "HEAD") {
        const allow = ["GET", "HEAD"];
        throw new DaemonError("method_not_allowed", "This address answers GET and HEAD only.", { detail: { allow } });
      }
      if (path === "/v1/models") {
        const query = URL.parse(request.url)?.searchParams ?? new URLSearchParams();
        return jsonResponse(exchange, toModelPage(await deps.models.list(), query));
      }
      model = decodeId(path.slice("/v1/models/".length));
      return jsonResponse(exchange, toWireModel(await deps.models.get(model), model));
    };
    return answer(deps.log, request, (error, exchange) => renderError(error, exchange.requestId, model), work);
  };
}

function decodeId(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new DaemonError("model_not_found", "The model's name is not validly encoded in the URL.", { cause });
  }
}

function notServed(request: Request, path: string): DaemonError {
  return new DaemonError("not_found", `Nothing is served at ${request.method} ${path}. See /docs.`, {
    detail: { reason: "unknown_url" },
  });
}

function pathOf(request: Request): string {
  return URL.parse(request.url)?.pathname ?? "/";
}
