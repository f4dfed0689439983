/**
 * The OpenAPI document, from the routes themselves: a route that carries `detail` is documented, and a test sees to it
 * that every route does. Schemas are the TypeBox ones that the code checks with.
 */
import { VERSION } from "../../version.ts";

type Json = Record<string, unknown>;

export interface RouteFacts {
  method: string;
  path: string;
  /** The `detail` of the route: an OpenAPI operation, as far as the route knows it. */
  detail: Json | undefined;
}

export interface OpenApiDocument {
  openapi: string;
  info: Json;
  servers: Json[];
  tags: Json[];
  paths: Record<string, Record<string, Json>>;
  components: Json;
}

const DESCRIPTION = [
  "Claude Code behind standard APIs, on this machine only. Models `claude-code` and `claude-code:<model>` are the agent,",
  "with its tools, in a workspace; `<model>` alone is the bare chat model. A local caller of the same user needs no token.",
  "Parameters that are accepted but not honoured are named in the answer's header `x-claude-code-ignored`.",
].join(" ");

const ERROR_SCHEMA = {
  type: "object",
  description: "An error in the shape of the format that was called; this is OpenAI's.",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: { type: "string", description: "What happened and what to do next." },
        type: { type: "string" },
        param: { type: ["string", "null"] },
        code: { type: ["string", "null"] },
      },
    },
  },
};

/** `/v1/models/:id` and `/v1/models/*` as OpenAPI writes them. */
export function toOpenApiPath(path: string): string {
  return path.replace(/:(\w+)\??/g, "{$1}").replace(/\*$/, "{id}");
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map((match) => ({
    name: match[1],
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

function operationId(method: string, path: string): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  return [method.toLowerCase(), ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join("");
}

function toOperation(method: string, path: string, detail: Json): Json {
  const { parameters, responses, ...rest } = detail;
  const own = Array.isArray(parameters) ? parameters : [];
  const given = typeof responses === "object" && responses !== null ? responses : { 200: { description: "Success" } };
  return {
    operationId: operationId(method, path),
    ...rest,
    parameters: [...pathParameters(path), ...own],
    responses: {
      ...given,
      default: {
        description: "Error",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    },
  };
}

/** Pure. Routes without `detail` (the catch-alls that answer 404 and 405) are left out. */
export function toOpenApi(routes: readonly RouteFacts[]): OpenApiDocument {
  const paths: OpenApiDocument["paths"] = {};
  const tags = new Set<string>();
  for (const { method, path, detail } of routes) {
    if (detail === undefined) continue;
    const name = toOpenApiPath(path);
    paths[name] = { ...paths[name], [method.toLowerCase()]: toOperation(method, name, detail) };
    if (Array.isArray(detail.tags)) for (const tag of detail.tags) tags.add(String(tag));
  }
  const document = {
    openapi: "3.1.0",
    info: { title: "claude-code-daemon", version: VERSION, description: DESCRIPTION, license: { name: "MIT" } },
    servers: [{ url: "/" }],
    tags: [...tags].map((name) => ({ name })),
    paths,
    components: { schemas: { Error: ERROR_SCHEMA } },
  };
  // TypeBox keeps its own marks under symbols; what goes out is plain JSON.
  return JSON.parse(JSON.stringify(document));
}
