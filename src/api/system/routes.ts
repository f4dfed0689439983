/** Health, metrics and the documentation of the API on HTTP. Glue only. */
import { Elysia } from "elysia";
import { DaemonError, toDaemonError } from "../../errors.ts";
import { renderError } from "../shared/errors.ts";
import { documented } from "../shared/openapi.ts";
import { renderDocs } from "./docs.ts";
import { type HealthFacts, healthMetrics, healthStatus, renderHealth } from "./health.ts";
import { METRICS_CONTENT_TYPE, type MetricFamily, renderMetrics } from "./metrics.ts";
import { type RouteFacts, toOpenApi } from "./openapi.ts";
import { HealthBody } from "./schema.ts";

export interface SystemDeps {
  /** Looks at what is there now; must be cheap and must not throw. */
  health(): HealthFacts;
  /** Settles when claude's login is known as it is now, or that takes too long: health does not guess. */
  look(): Promise<unknown>;
  /** What the engine counts. */
  metrics(): readonly MetricFamily[];
  /** Every route of the daemon, asked for when the documentation is first read. */
  routes(): readonly RouteFacts[];
}

const PATHS = ["/health", "/v1/health", "/metrics", "/docs", "/docs/json"];

const tags = ["System"];
const jsonAnswer = (description: string) => ({
  200: { description, content: { "application/json": { schema: { type: "object" as const } } } },
});
const pageAnswer = (description: string, type: string) => ({
  200: { description, content: { [type]: { schema: { type: "string" as const } } } },
});

/** `{"status"}` and nothing else: the one answer that any Host gets. */
export function livenessResponse(facts: HealthFacts): Response {
  const status = healthStatus(facts);
  return Response.json({ status }, { status: status === "unavailable" ? 503 : 200 });
}

export function createSystemRoutes(deps: SystemDeps) {
  let documentation: { json: string; html: string; contentSecurityPolicy: string } | undefined;
  const pages = () => {
    if (!documentation) {
      const document = toOpenApi(deps.routes());
      documentation = { json: JSON.stringify(document), ...renderDocs(document) };
    }
    return documentation;
  };
  const guarded = (work: () => Response | Promise<Response>) => async (): Promise<Response> => {
    try {
      return await work();
    } catch (thrown) {
      const { status, body } = renderError(toDaemonError(thrown));
      return Response.json(body, { status });
    }
  };
  const notAllowed = guarded(() => {
    const allow = ["GET", "HEAD"];
    const error = new DaemonError("method_not_allowed", `This address answers ${allow.join(" and ")} only.`);
    const { status, body } = renderError(error);
    return Response.json(body, { status, headers: { allow: allow.join(", ") } });
  });
  const health = guarded(async () => {
    await deps.look();
    const { status, body } = renderHealth(deps.health());
    return Response.json(body, { status });
  });
  const metrics = guarded(() => {
    const families = [...healthMetrics(deps.health()), ...deps.metrics()];
    return new Response(renderMetrics(families), { headers: { "content-type": METRICS_CONTENT_TYPE } });
  });
  const page = guarded(() => {
    const { html, contentSecurityPolicy } = pages();
    return new Response(html, {
      headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": contentSecurityPolicy },
    });
  });
  const json = guarded(
    () => new Response(pages().json, { headers: { "content-type": "application/json; charset=utf-8" } }),
  );
  const app = new Elysia({ name: "system" })
    .get("/v1/health", health, {
      detail: {
        tags,
        summary: "Whether turns can run, with facts about claude, its processes and the queue.",
        responses: {
          200: {
            description: "Ready, or degraded",
            content: { "application/json": { schema: documented(HealthBody) } },
          },
          503: { description: "No turn can run; `problem` says why." },
        },
      },
    })
    .get(
      "/health",
      guarded(() => livenessResponse(deps.health())),
      {
        detail: { tags, summary: "Only `{status}`, to any Host, for platforms.", responses: jsonAnswer("Alive") },
      },
    )
    .get("/metrics", metrics, {
      detail: { tags, summary: "Metrics as Prometheus text.", responses: pageAnswer("Metrics", "text/plain") },
    })
    .get("/docs", page, {
      detail: { tags, summary: "This documentation.", responses: pageAnswer("The page", "text/html") },
    })
    .get("/docs/json", json, {
      detail: { tags, summary: "This documentation as OpenAPI 3.1.", responses: jsonAnswer("OpenAPI") },
    });
  for (const path of PATHS) app.all(path, notAllowed, { parse: "none" });
  return app;
}
