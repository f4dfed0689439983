/**
 * A tool's schema as the model API takes it: no `anyOf`, `oneOf` or `allOf` at its root. Newer CLIs flatten one by
 * themselves; older ones leave the tool out or pass it on to be refused. This is what the newest does, word for word.
 */
import type { Json, JsonObject } from "../turn/message.ts";
import { isObject } from "./json.ts";

const UNIONS = ["anyOf", "oneOf", "allOf"] as const;
type Union = (typeof UNIONS)[number];
/** Unions inside a union's branches; deeper ones are left as they are, where the API takes them. */
const MAX_DEPTH = 4;

export interface Flattened {
  schema: JsonObject;
  /** What the schema no longer says, for the tool's description; undefined where nothing was lost. */
  note: string | undefined;
}

/** The branches' properties in one object: what all of them ask for stays required, the rest is said in words. */
export function flattenRoot(schema: JsonObject): Flattened {
  const union = UNIONS.find((keyword) => Array.isArray(schema[keyword]));
  if (union === undefined) return { schema, note: undefined };
  const { schema: flat, required } = merge(schema, union, definitionsOf(schema), 0);
  return { schema: flat, note: noteOf(union, required) };
}

type Definitions = ReadonlyMap<string, JsonObject>;

function definitionsOf(schema: JsonObject): Definitions {
  const found = new Map<string, JsonObject>();
  for (const place of ["$defs", "definitions"]) {
    const definitions = schema[place];
    if (!isObject(definitions)) continue;
    for (const [name, value] of Object.entries(definitions))
      if (isObject(value)) found.set(`#/${place}/${name}`, value);
  }
  return found;
}

function merge(schema: JsonObject, union: Union, definitions: Definitions, depth: number) {
  const branches = (schema[union] as Json[]).map((branch) => resolve(branch, definitions, depth));
  const { [union]: _, ...rest } = schema;
  const properties: Record<string, Json> = isObject(schema.properties) ? { ...schema.properties } : {};
  for (const branch of branches)
    for (const [name, value] of Object.entries(isObject(branch.properties) ? branch.properties : {})) {
      const there = properties[name];
      if (there === undefined) properties[name] = value;
      else if (JSON.stringify(there) !== JSON.stringify(value)) properties[name] = either(value, there);
    }
  const required = branches.map(requiredOf);
  const all = new Set(required.flat());
  const shared = union === "allOf" ? [...all] : [...all].filter((name) => required.every((one) => one.includes(name)));
  const flat: JsonObject = { ...rest, type: "object", properties, additionalProperties: true };
  const asked = [...new Set([...requiredOf(schema), ...shared])];
  if (asked.length > 0) flat.required = asked;
  return { schema: flat, required };
}

/** A branch without references and unions of its own, as far as they can be followed. */
function resolve(branch: Json, definitions: Definitions, depth: number): JsonObject {
  if (!isObject(branch)) return {};
  const target = typeof branch.$ref === "string" ? definitions.get(branch.$ref) : undefined;
  const schema = target ?? branch;
  if (depth >= MAX_DEPTH) return schema;
  if (target?.$ref !== undefined) return resolve(target, definitions, depth + 1);
  const union = UNIONS.find((keyword) => Array.isArray(schema[keyword]));
  return union === undefined ? schema : merge(schema, union, definitions, depth + 1).schema;
}

/** One of both; a union that is there already grows. */
function either(one: Json, other: Json): JsonObject {
  const known =
    isObject(other) && Array.isArray(other.anyOf) && Object.keys(other).length === 1 ? other.anyOf : [other];
  return known.some((entry) => JSON.stringify(entry) === JSON.stringify(one))
    ? { anyOf: known }
    : { anyOf: [one, ...known] };
}

function requiredOf(schema: JsonObject): string[] {
  return Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === "string") : [];
}

function noteOf(union: Union, required: string[][]): string {
  if (union === "allOf")
    return "Input constraint: all listed parameters apply together (flattened from a JSON Schema allOf).";
  const sets = required.filter((names) => names.length > 0).map((names) => `(${names.join(", ")})`);
  const count = union === "oneOf" ? "exactly one" : "at least one";
  return sets.length === 0
    ? `Input constraint: parameters of ${count} of several alternatives.`
    : `Input constraint: Provide parameters for ${count} of: ${sets.join(" or ")}.`;
}
