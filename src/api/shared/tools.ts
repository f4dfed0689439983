/** The client's tools, as every format defines them: a name, a description, a JSON Schema. */
import type { JsonObject } from "../../turn/message.ts";
import { type ClientTool, EFFORTS, type Effort } from "../../turn/request.ts";
import { invalidField } from "./validation.ts";

/** Most tools of one request, and the longest name of one. */
const MAX_TOOLS = 1024;
const MAX_NAME_CHARS = 256;

/** Collects tools under the bounds of a request: their count, and each name once. */
export function createToolList(
  field: string,
  sent: number,
): { tools: ClientTool[]; add(tool: ClientTool, path: string): void } {
  if (sent > MAX_TOOLS) throw invalidField(field, `must have at most ${MAX_TOOLS} entries.`);
  const names = new Set<string>();
  const tools: ClientTool[] = [];
  return {
    tools,
    add(tool, path) {
      if (names.has(tool.name)) throw invalidField(`${path}.name`, "is used by another tool too.", "invalid_value");
      names.add(tool.name);
      tools.push(tool);
    },
  };
}

/** One tool. `schemaField` is the format's name of its schema. Throws `invalid_request` naming the place. */
export function toClientTool(value: unknown, path: string, schemaField: string): ClientTool {
  if (typeof value !== "object" || value === null) throw invalidField(path, "must be an object with a name.");
  const fields = value as Record<string, unknown>;
  const { name, description } = fields;
  if (typeof name !== "string" || name === "" || name.length > MAX_NAME_CHARS) {
    throw invalidField(`${path}.name`, `must be a string of 1 to ${MAX_NAME_CHARS} characters.`);
  }
  if (description !== undefined && description !== null && typeof description !== "string") {
    throw invalidField(`${path}.description`, "must be a string.");
  }
  return {
    name,
    ...(description ? { description } : {}),
    inputSchema: toInputSchema(fields[schemaField], `${path}.${schemaField}`),
  };
}

/** Clients send none at all, or one without `type`; the model API needs an object schema. */
function toInputSchema(value: unknown, path: string): JsonObject {
  if (value === undefined || value === null) return { type: "object", properties: {} };
  if (typeof value !== "object" || Array.isArray(value)) throw invalidField(path, "must be a JSON Schema object.");
  const schema = value as JsonObject;
  if (schema.type === "object") return schema;
  if (schema.type === undefined || schema.type === null) {
    return { ...schema, type: "object", properties: schema.properties ?? {} };
  }
  throw invalidField(`${path}.type`, 'must be "object".', "invalid_function_parameters");
}

/** Unknown levels go to the nearest known one rather than to a refusal; what names no level says nothing. */
export function toEffort(value: string | null | undefined): Effort | undefined {
  if (!value || value === "default" || value === "auto") return undefined;
  const effort = value.toLowerCase();
  if (effort === "ultra") return "max";
  return EFFORTS.find((known) => known === effort) ?? "medium";
}
