/**
 * All formats in one Elysia app. Formats are mounted first and answer their own failures; what nobody serves is answered
 * here, in the dialect of the caller.
 */
import { Elysia } from "elysia";
import { DaemonError, toDaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { renderError as renderAnthropicError } from "./anthropic/errors.ts";
import { createAnthropicRoutes, createSharedPaths, speaksAnthropic } from "./anthropic/routes.ts";
import { type CodeDeps, createCodeRoutes } from "./code/routes.ts";
import { renderError as renderOllamaError } from "./ollama/errors.ts";
import { createOllamaRoutes } from "./ollama/routes.ts";
import { createOpenAiRoutes } from "./openai/routes.ts";
import type { ResponseArchive } from "./responses/archive.ts";
import { createResponsesRoutes } from "./responses/routes.ts";
import type { SessionsApiDeps } from "./sessions/answer.ts";
import { createSessionRoutes } from "./sessions/routes.ts";
import { renderError as renderSystemError } from "./shared/errors.ts";
import { errorHeaders } from "./shared/exchange.ts";
import type { FormatDeps, RenderedError } from "./shared/format.ts";
import { createId } from "./shared/ids.ts";
import { renderError as renderOpenAiError } from "./shared/openai-errors.ts";
import type { RouteFacts } from "./system/openapi.ts";
import { createSystemRoutes, type SystemDeps } from "./system/routes.ts";
import { createSocketRoutes } from "./ws/routes.ts";

export interface AppDeps {
  formats: FormatDeps;
  /** Where answers of the Responses API are kept that clients come back to. */
  archive: ResponseArchive;
  code: CodeDeps;
  sessions: SessionsApiDeps;
  system: Omit<SystemDeps, "routes">;
  log: Logger;
}

export interface App {
  /** Answers a request that the gate has passed. Never rejects. */
  handle(request: Request): Promise<Response>;
  /** A refusal from before routing, in the dialect that path and headers show. */
  refuse(path: string, headers: Headers, error: DaemonError): Response;
  routes(): RouteFacts[];
}

interface Dialect {
  matches(path: string, headers: Headers): boolean;
  renderError(error: DaemonError, requestId: string): RenderedError;
}

const isOurs = (path: string) => /^\/v1\/code(\/|$)/.test(path) || !path.startsWith("/v1/");

/** The first that matches; the last one matches everything. */
const DIALECTS: readonly Dialect[] = [
  // Their second parameter, where it is not an id, is a model's name, which is not known here.
  { matches: (path) => /^\/api(\/|$)/.test(path), renderError: (error) => renderOllamaError(error) },
  { matches: isOurs, renderError: renderSystemError },
  {
    matches: (path, headers) => /^\/v1\/messages(\/|$)/.test(path) || speaksAnthropic(headers),
    renderError: renderAnthropicError,
  },
  // Chat completions and Responses alike.
  { matches: () => true, renderError: (error) => renderOpenAiError(error) },
];

function refuse(path: string, headers: Headers, error: DaemonError): Response {
  const dialect = DIALECTS.find((entry) => entry.matches(path, headers));
  const requestId = createId("req_");
  const { status, body } = (dialect?.renderError ?? renderSystemError)(error, requestId);
  return Response.json(body, {
    status,
    headers: { ...errorHeaders(error), "x-request-id": requestId, "request-id": requestId },
  });
}

export function createApp(deps: AppDeps): App {
  const routes = (): RouteFacts[] =>
    app.routes.map(({ method, path, hooks }) => ({ method, path, detail: hooks.detail }));
  const app = new Elysia({ normalize: false })
    .use(createAnthropicRoutes(deps.formats))
    .use(createOpenAiRoutes(deps.formats, { otherDialect: createSharedPaths(deps.formats) }))
    .use(createResponsesRoutes({ ...deps.formats, archive: deps.archive }))
    .use(createOllamaRoutes(deps.formats))
    .use(createCodeRoutes(deps.code))
    .use(createSessionRoutes(deps.sessions))
    .use(createSocketRoutes())
    .use(createSystemRoutes({ ...deps.system, routes }))
    .onError(({ code, error, request, path }) => {
      if (code === "NOT_FOUND") {
        const message = `Nothing is served at ${request.method} ${path}. See /docs.`;
        return refuse(
          path,
          request.headers,
          new DaemonError("not_found", message, { detail: { reason: "unknown_url" } }),
        );
      }
      deps.log.error("request failed outside its format", { code: String(code), error: String(error) });
      return refuse(path, request.headers, toDaemonError(error));
    });
  return { handle: (request) => app.handle(request), refuse, routes };
}
