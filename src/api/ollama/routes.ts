/** Ollama's API on HTTP. Glue only. */
import { Elysia } from "elysia";
import { DaemonError } from "../../errors.ts";
import { readJsonBody } from "../shared/body.ts";
import { answer, baseHeaders, type Exchange, ignoredHeaders, jsonResponse } from "../shared/exchange.ts";
import type { FormatDeps } from "../shared/format.ts";
import { NDJSON_CONTENT_TYPE, ndjsonFrame } from "../shared/ndjson.ts";
import { documented } from "../shared/openapi.ts";
import { readRetry } from "../shared/retry.ts";
import { collectTurn, streamTurn } from "../shared/stream.ts";
import { renderError } from "./errors.ts";
import { createStopwatch, watched } from "./metrics.ts";
import { toShow, toTag } from "./models.ts";
import { type OllamaTranslation, toChatTurn, toGenerateTurn, toModelName } from "./request.ts";
import { type AnswerContext, toChatAnswer, toGenerateAnswer, toLoadAnswer } from "./response.ts";
import { ChatSchema, GenerateSchema, NamedSchema } from "./schema.ts";
import { CHAT_SHAPE, createEncoder, GENERATE_SHAPE } from "./stream.ts";

/** Clients compare it; what they look for is there from 0.14.0 on. */
const VERSION = "0.14.0";
/** What Ollama has and the daemon has not, with the method that Ollama takes. */
const UNSUPPORTED = ["push", "create", "copy", "delete", "blobs"] as const;

const tags = ["Ollama"];
const json = { "application/json": { schema: { type: "object" as const } } };
const bodyOf = (schema: Parameters<typeof documented>[0]) => ({
  required: true,
  content: { "application/json": { schema: documented(schema) } },
});
const answers = (description: string, stream = false) => ({
  200: {
    description,
    content: stream ? { [NDJSON_CONTENT_TYPE]: { schema: { type: "object" as const } }, ...json } : json,
  },
});

type Kind = "chat" | "generate";
type Work = (exchange: Exchange, name: (model: string) => void) => Promise<Response>;

export function createOllamaRoutes(deps: FormatDeps) {
  const raw = { parse: "none" } as const;
  const respond = (work: Work) => (context: { request: Request }) => serve(deps, context.request, work);
  const notAllowed = (...allow: string[]) =>
    respond(async () => {
      throw new DaemonError("method_not_allowed", `This address answers ${allow.join(" and ")} only.`, {
        detail: { allow },
      });
    });
  const turn = (kind: Kind) => respond((exchange, name) => answerTurn(deps, exchange, kind, name));
  const running = () => new Response("Ollama is running", { headers: { "content-type": "text/plain; charset=utf-8" } });
  const tagList = respond(async (exchange) =>
    jsonResponse(exchange, { models: (await deps.models.list()).map(toTag) }),
  );
  // Claude's processes are no models: their memory is what `/v1/health` tells.
  const loaded = respond(async (exchange) => jsonResponse(exchange, { models: [] }));
  const version = respond(async (exchange) => jsonResponse(exchange, { version: VERSION }));
  const app = new Elysia({ name: "ollama" })
    .get("/", running, { detail: { tags, summary: "The heartbeat that Ollama's clients look for." } })
    .head("/", running)
    .post("/api/chat", turn("chat"), {
      ...raw,
      detail: {
        tags,
        summary: "A turn in the format of Ollama's chat, as lines of JSON or whole.",
        requestBody: bodyOf(ChatSchema),
        responses: answers("The answer; `claude_code` in the last line says what the agent did.", true),
      },
    })
    .all("/api/chat", notAllowed("POST"), raw)
    .post("/api/generate", turn("generate"), {
      ...raw,
      detail: {
        tags,
        summary: "A turn from one prompt; `context` goes on from an earlier one.",
        requestBody: bodyOf(GenerateSchema),
        responses: answers("The answer, with the `context` to go on from.", true),
      },
    })
    .all("/api/generate", notAllowed("POST"), raw)
    .get("/api/tags", tagList, { detail: { tags, summary: "The models.", responses: answers("`{models}`") } })
    .head("/api/tags", tagList)
    .all("/api/tags", notAllowed("GET", "HEAD"), raw)
    .get("/api/ps", loaded, {
      detail: {
        tags,
        summary: "Models loaded into this machine's memory: always none, they run at their provider.",
        responses: answers("`{models: []}`"),
      },
    })
    .all("/api/ps", notAllowed("GET", "HEAD"), raw)
    .get("/api/version", version, {
      detail: { tags, summary: "The version of Ollama's API.", responses: answers("`{version}`") },
    })
    .head("/api/version", version)
    .all("/api/version", notAllowed("GET", "HEAD"), raw)
    .get(
      "/api/status",
      respond(async (exchange) => jsonResponse(exchange, { cloud: { disabled: true, source: "config" } })),
      { detail: { tags, summary: "There is no cloud behind this.", responses: answers("`{cloud}`") } },
    )
    .post(
      "/api/show",
      respond(async (exchange, name) => {
        const { model } = await readModel(deps, exchange, name);
        return jsonResponse(exchange, toShow(await deps.models.get(model)));
      }),
      {
        ...raw,
        detail: { tags, summary: "One model.", requestBody: bodyOf(NamedSchema), responses: answers("Its facts.") },
      },
    )
    .all("/api/show", notAllowed("POST"), raw)
    .post(
      "/api/pull",
      respond((exchange, name) => pull(deps, exchange, name)),
      {
        ...raw,
        detail: {
          tags,
          summary: "Succeeds at once for a model that is listed.",
          requestBody: bodyOf(NamedSchema),
          responses: answers("Its progress.", true),
        },
      },
    )
    .all("/api/pull", notAllowed("POST"), raw);
  for (const path of ["/api/embed", "/api/embeddings"]) {
    app.all(
      path,
      respond(async (exchange, name) => {
        const { model } = await readModel(deps, exchange, name);
        throw new DaemonError("unsupported", `"${model}" does not support embeddings`);
      }),
      raw,
    );
  }
  for (const name of UNSUPPORTED) {
    const refused = respond(async () => {
      throw new DaemonError("unsupported", `${name} is not supported by claude-code-daemon`);
    });
    app.all(`/api/${name}`, refused, raw).all(`/api/${name}/*`, refused, raw);
  }
  return app.all(
    "/api/*",
    respond(async ({ request }) => {
      const path = URL.parse(request.url)?.pathname ?? "/";
      throw new DaemonError("not_found", `Nothing is served at ${request.method} ${path}. See /docs.`);
    }),
    raw,
  );
}

function serve(deps: FormatDeps, request: Request, work: Work): Promise<Response> {
  let model: string | undefined;
  return answer(
    deps.log,
    request,
    (error) => renderError(error, model),
    (exchange) =>
      work(exchange, (named) => {
        model = named;
      }),
  );
}

async function readModel(deps: FormatDeps, exchange: Exchange, name: (model: string) => void) {
  const { value } = await readJsonBody(exchange.request, deps.limits);
  const named = toModelName(value);
  name(named.model);
  return named;
}

async function answerTurn(
  deps: FormatDeps,
  exchange: Exchange,
  kind: Kind,
  name: (model: string) => void,
): Promise<Response> {
  const { request } = exchange;
  const stopwatch = createStopwatch(deps.now);
  const body = await readJsonBody(request, deps.limits);
  const translate = kind === "chat" ? toChatTurn : toGenerateTurn;
  const translated: OllamaTranslation = translate(body.value, request.headers);
  if (translated.kind === "load") {
    name(translated.model);
    await deps.models.get(translated.model);
    return jsonResponse(exchange, toLoadAnswer(kind, translated.model, translated.unload, deps.now()));
  }
  const { turn, stream, showThinking, history } = translated;
  name(turn.model);
  const retry = readRetry(request, body.digest);
  const context: AnswerContext = { model: turn.model, now: deps.now, showThinking, stopwatch, history };
  if (stream) {
    const shape = kind === "chat" ? CHAT_SHAPE : GENERATE_SHAPE;
    return streamTurn(deps, exchange, turn, retry, () => createEncoder(context, shape));
  }
  const result = await collectTurn({ ...deps, runner: watched(deps.runner, stopwatch) }, exchange, turn, retry);
  const whole = kind === "chat" ? toChatAnswer : toGenerateAnswer;
  return jsonResponse(exchange, whole(result, context), { headers: ignoredHeaders(result.ignored) });
}

/** A model that is listed is there at once; any other is, to Ollama's clients, one that no registry has. */
async function pull(deps: FormatDeps, exchange: Exchange, name: (model: string) => void): Promise<Response> {
  const { model, stream } = await readModel(deps, exchange, name);
  const known = await deps.models.get(model).then(
    () => true,
    (error: unknown) => {
      if (error instanceof DaemonError && error.code === "model_not_found") return false;
      throw error;
    },
  );
  const last = known ? { status: "success" } : { error: "pull model manifest: file does not exist" };
  if (!stream) return jsonResponse(exchange, last, { status: known ? 200 : 404 });
  const frames = ndjsonFrame({ status: "pulling manifest" }) + ndjsonFrame(last);
  return new Response(frames, { headers: { "content-type": NDJSON_CONTENT_TYPE, ...baseHeaders(exchange) } });
}
