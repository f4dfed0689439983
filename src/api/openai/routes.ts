/** OpenAI's chat completions, models and legacy completions on HTTP. Glue only. */
import { Elysia } from "elysia";
import { DaemonError } from "../../errors.ts";
import type { ModelEntry } from "../../turn/models.ts";
import { readJsonBody } from "../shared/body.ts";
import { type Exchange, ignoredHeaders, jsonResponse } from "../shared/exchange.ts";
import type { Encoder, FormatDeps } from "../shared/format.ts";
import { answerOpenAi } from "../shared/openai-answer.ts";
import { renderError } from "../shared/openai-errors.ts";
import { readRetry } from "../shared/retry.ts";
import { collectTurn, streamTurn } from "../shared/stream.ts";
import { CHAT_DETAIL, COMPLETION_DETAIL, MODEL_DETAIL, MODELS_DETAIL } from "./documentation.ts";
import { type ChatTranslation, toCompletionTurn, toTurnRequest } from "./request.ts";
import { type AnswerContext, toChatCompletion, toTextCompletion } from "./response.ts";
import { createCompletionEncoder, createEncoder, type StreamContext } from "./stream.ts";

/** Where the routes stand, canonically; the gate also accepts them without `/v1`, with `/v1/v1` and untidy slashes. */
export const OPENAI_ROUTES = ["/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/models/*"] as const;

/** What OpenAI has and the daemon has not: answered in JSON, whatever the method. */
export const UNSUPPORTED_ROUTES = [
  "/v1/embeddings",
  "/v1/moderations",
  "/v1/audio/*",
  "/v1/images/*",
  "/v1/files",
  "/v1/files/*",
  "/v1/batches",
  "/v1/batches/*",
  "/v1/fine_tuning/*",
  "/v1/assistants",
  "/v1/assistants/*",
  "/v1/threads",
  "/v1/threads/*",
] as const;

export interface OpenAiHooks {
  /**
   * Asked first wherever another dialect shares a path: `/v1/models` and everything under `/v1` that nobody serves.
   * Undefined leaves the answer to this format.
   */
  otherDialect?: (request: Request) => Promise<Response> | Response | undefined;
}

/** Seconds since 1970 that every model carries; the CLI tells no dates. */
const MODELS_CREATED = 1_735_689_600;

interface Kind {
  idPrefix: string;
  translate(value: Record<string, unknown>, headers: Headers): ChatTranslation;
  encoder(context: StreamContext): Encoder;
  whole(result: Parameters<typeof toChatCompletion>[0], context: AnswerContext): unknown;
}

const CHAT: Kind = {
  idPrefix: "chatcmpl-",
  translate: toTurnRequest,
  encoder: createEncoder,
  whole: toChatCompletion,
};
const COMPLETION: Kind = {
  idPrefix: "cmpl-",
  translate: toCompletionTurn,
  encoder: createCompletionEncoder,
  whole: toTextCompletion,
};

export function createOpenAiRoutes(deps: FormatDeps, hooks: OpenAiHooks = {}) {
  const raw = { parse: "none" } as const;
  const shared = async (request: Request, work: (exchange: Exchange) => Promise<Response>) =>
    (await hooks.otherDialect?.(request)) ?? answerOpenAi({ deps, request, renderError }, work);
  const notAllowed = (allow: string[]) => (context: { request: Request }) =>
    shared(context.request, async () => {
      throw new DaemonError("method_not_allowed", `This address answers ${allow.join(" and ")} only.`, {
        detail: { allow },
      });
    });
  const unknownUrl = ({ request }: { request: Request }) =>
    shared(request, async () => {
      throw new DaemonError("not_found", `Nothing is served at ${request.method} ${pathOf(request)}. See /docs.`, {
        detail: { reason: "unknown_url" },
      });
    });
  const app = new Elysia({ name: "openai" })
    .post("/v1/chat/completions", ({ request }) => complete(deps, request, CHAT), {
      ...raw,
      detail: CHAT_DETAIL,
    })
    .all("/v1/chat/completions", notAllowed(["POST"]), raw)
    .post("/v1/completions", ({ request }) => complete(deps, request, COMPLETION), {
      ...raw,
      detail: COMPLETION_DETAIL,
    })
    .all("/v1/completions", notAllowed(["POST"]), raw)
    .get("/v1/models", ({ request }) => shared(request, (exchange) => listModels(deps, exchange)), {
      detail: MODELS_DETAIL,
    })
    .all("/v1/models", notAllowed(["GET", "HEAD"]), raw)
    .get(
      "/v1/models/*",
      ({ request, params }) => shared(request, (exchange) => getModel(deps, exchange, params["*"])),
      { detail: MODEL_DETAIL },
    )
    .all("/v1/models/*", notAllowed(["GET", "HEAD"]), raw)
    .all("/v1/*", unknownUrl, raw);
  for (const path of UNSUPPORTED_ROUTES) {
    app.all(
      path,
      ({ request }) =>
        shared(request, async () => {
          throw new DaemonError("not_found", `${pathOf(request)} is not supported: Claude Code has nothing like it.`, {
            detail: { reason: "unsupported_endpoint" },
          });
        }),
      raw,
    );
  }
  return app;
}

function complete(deps: FormatDeps, request: Request, kind: Kind): Promise<Response> {
  let model: string | undefined;
  const work = async (exchange: Exchange) => {
    const body = await readJsonBody(request, deps.limits);
    const { turn, stream, includeUsage, legacyFunctions } = kind.translate(body.value, request.headers);
    model = turn.model;
    const retry = readRetry(request, body.digest);
    const context = {
      id: deps.newId(kind.idPrefix),
      created: Math.floor(deps.now() / 1000),
      model: turn.model,
      legacyFunctions,
    };
    if (stream) {
      return streamTurn(deps, exchange, turn, retry, () => kind.encoder({ ...context, includeUsage }));
    }
    const result = await collectTurn(deps, exchange, turn, retry);
    return jsonResponse(exchange, kind.whole(result, context), { headers: ignoredHeaders(result.ignored) });
  };
  return answerOpenAi({ deps, request, renderError, model: () => model }, work);
}

function toWireModel(entry: ModelEntry, id: string) {
  return {
    id,
    object: "model",
    created: MODELS_CREATED,
    owned_by: "anthropic",
    ...(entry.contextWindow === undefined ? {} : { context_length: entry.contextWindow }),
  };
}

async function listModels(deps: FormatDeps, exchange: Exchange): Promise<Response> {
  const models = await deps.models.list();
  return jsonResponse(exchange, { object: "list", data: models.map((entry) => toWireModel(entry, entry.id)) });
}

/** Ids hold slashes and colons, plain or encoded: the rest of the path is the id. */
async function getModel(deps: FormatDeps, exchange: Exchange, rest: string): Promise<Response> {
  let id: string;
  try {
    id = decodeURIComponent(rest);
  } catch (cause) {
    throw new DaemonError("model_not_found", "The model's name is not validly encoded in the URL.", { cause });
  }
  return jsonResponse(exchange, toWireModel(await deps.models.get(id), id));
}

function pathOf(request: Request): string {
  return URL.parse(request.url)?.pathname ?? "/";
}
