/** OpenAI's Responses on HTTP. Glue only. */
import { Elysia } from "elysia";
import { DaemonError } from "../../errors.ts";
import type { JsonObject } from "../../turn/message.ts";
import { readJsonBody } from "../shared/body.ts";
import { type Exchange, ignoredHeaders, jsonResponse } from "../shared/exchange.ts";
import type { FormatDeps } from "../shared/format.ts";
import { answerOpenAi } from "../shared/openai-answer.ts";
import { readRetry } from "../shared/retry.ts";
import { collectTurn, streamTurn } from "../shared/stream.ts";
import { type ArchivedAnswer, loadReferenced, type ResponseArchive, readAnswer } from "./archive.ts";
import { CREATE, FORGET, LIST_INPUT, NO_CANCEL, NO_SOCKET, READ } from "./documentation.ts";
import { renderError } from "./errors.ts";
import { toArchivedInput } from "./history.ts";
import { toItemList } from "./list.ts";
import { readBody, toTurnRequest } from "./request.ts";
import { showResponse, toWholeResponse } from "./response.ts";
import { createEncoder } from "./stream.ts";

/** `archive`: where answers are kept that clients come back to. */
export type ResponsesDeps = FormatDeps & { archive: ResponseArchive };

const PATH = "/v1/responses";
const raw = { parse: "none" } as const;
export function createResponsesRoutes(deps: ResponsesDeps) {
  const serve =
    (work: (exchange: Exchange, params: Record<string, string>) => Promise<Response>) =>
    ({ request, params }: { request: Request; params: Record<string, string> }) =>
      answerOpenAi({ deps, request, renderError }, (exchange) => work(exchange, params));
  const notAllowed = (...allow: string[]) =>
    serve(async () => {
      const message = `This address answers ${allow.join(" and ")} only.`;
      throw new DaemonError("method_not_allowed", message, { detail: { allow } });
    });
  const missing = serve(async (exchange) => {
    const message = `${URL.parse(exchange.request.url)?.pathname ?? PATH} is not supported: Claude Code has nothing like it.`;
    throw new DaemonError("not_found", message, { detail: { reason: "unsupported_endpoint" } });
  });
  return new Elysia({ name: "responses" })
    .post(PATH, ({ request }) => create(deps, request), { ...raw, detail: CREATE })
    .get(
      PATH,
      serve(async (exchange) => refuseSocket(exchange)),
      { detail: NO_SOCKET },
    )
    .all(PATH, notAllowed("POST"), raw)
    .all(`${PATH}/compact`, missing, raw)
    .all(`${PATH}/input_tokens`, missing, raw)
    .get(
      `${PATH}/:id`,
      serve(async (exchange, { id = "" }) => {
        if (URL.parse(exchange.request.url)?.searchParams.get("stream") === "true") {
          const message = "stream: only a response that is being created can be streamed.";
          throw new DaemonError("invalid_request", message, {
            detail: { param: "stream", reason: "unsupported_parameter" },
          });
        }
        const { response, includeSealed } = await stored(deps.archive, id);
        return jsonResponse(exchange, showResponse(response, includeSealed));
      }),
      { detail: READ },
    )
    .delete(
      `${PATH}/:id`,
      serve(async (exchange, { id = "" }) => {
        await stored(deps.archive, id);
        deps.archive.delete(id);
        return jsonResponse(exchange, { id, object: "response", deleted: true });
      }),
      { ...raw, detail: FORGET },
    )
    .all(`${PATH}/:id`, notAllowed("GET", "DELETE"), raw)
    .get(
      `${PATH}/:id/input_items`,
      serve(async (exchange, { id = "" }) => {
        const { input } = await stored(deps.archive, id);
        const query = URL.parse(exchange.request.url)?.searchParams ?? new URLSearchParams();
        return jsonResponse(exchange, toItemList(input, query));
      }),
      { detail: LIST_INPUT },
    )
    .all(`${PATH}/:id/input_items`, notAllowed("GET"), raw)
    .post(
      `${PATH}/:id/cancel`,
      serve(async (_, { id = "" }) => {
        await stored(deps.archive, id);
        throw new DaemonError("invalid_request", "Only a response created with background=true can be cancelled.");
      }),
      { ...raw, detail: NO_CANCEL },
    )
    .all(`${PATH}/:id/cancel`, notAllowed("POST"), raw);
}

function create(deps: ResponsesDeps, request: Request): Promise<Response> {
  let model: string | undefined;
  const work = async (exchange: Exchange) => {
    const { value, digest } = await readJsonBody(request, deps.limits);
    const body = readBody(value);
    model = body.model;
    const referenced = await loadReferenced(deps.archive, body);
    const { turn, stream, store, includeSealed, input, echo } = toTurnRequest(body, request.headers, referenced);
    const retry = readRetry(request, digest);
    const id = deps.newId("resp_");
    const created = Math.floor(deps.now() / 1000);
    const context = { id, created, model: turn.model, echo, includeSealed, now: deps.now };
    const keep = (response: JsonObject) => {
      if (!store) return;
      const kept: ArchivedAnswer = { response, input: toArchivedInput(input, id), includeSealed };
      deps.archive.put({ id, json: JSON.stringify(kept) });
    };
    if (stream) return streamTurn(deps, exchange, turn, retry, () => createEncoder({ ...context, keep }));
    const result = await collectTurn(deps, exchange, turn, retry);
    const response = toWholeResponse(result, context);
    keep(response);
    return jsonResponse(exchange, showResponse(response, includeSealed), { headers: ignoredHeaders(result.ignored) });
  };
  return answerOpenAi({ deps, request, renderError, model: () => model }, work);
}

/** Codex falls back to POST at once when it reads 426, and tries seven times otherwise. */
async function refuseSocket(exchange: Exchange): Promise<Response> {
  if (exchange.request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    throw new DaemonError("method_not_allowed", "This address answers POST only.", { detail: { allow: ["POST"] } });
  }
  const error = new DaemonError("unsupported", "Responses come over HTTP: POST to this address.");
  return jsonResponse(exchange, renderError(error).body, { status: 426, headers: { "x-should-retry": "false" } });
}

async function stored(archive: ResponseArchive, id: string): Promise<ArchivedAnswer> {
  const found = await readAnswer(archive, id);
  if (found) return found;
  throw new DaemonError("not_found", `Response with id '${id.slice(0, 100)}' not found.`);
}
