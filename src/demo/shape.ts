/** Values shaped by a JSON schema: what the stand-in calls a client's tool with, and its structured answers. */
import type { Json, JsonObject } from "../turn/message.ts";

/** Nesting beyond this is cut off: a recursive schema has no smallest value we could find by following it. */
const MAX_DEPTH = 12;
const MAX_ITEMS = 16;
/** Values in one answer: schemas that branch at every level would otherwise grow without end. */
const MAX_VALUES = 1000;
const MAX_STRING_CHARS = 1024;
const TEXT = "stand-in";

const FORMATS: Readonly<Record<string, string>> = {
  date: "2025-01-01",
  "date-time": "2025-01-01T00:00:00Z",
  time: "00:00:00Z",
  email: "stand-in@example.com",
  uri: "https://example.com/",
  uuid: "00000000-0000-4000-8000-000000000000",
  ipv4: "127.0.0.1",
  ipv6: "::1",
  hostname: "example.com",
};

interface Walk {
  root: JsonObject;
  valuesLeft: number;
}

/** The smallest honest value for a schema. Patterns and conditional keywords are not solved for. */
export function shapedBy(schema: Json | undefined): Json {
  return isObject(schema) ? shaped(schema, { root: schema, valuesLeft: MAX_VALUES }, 0) : TEXT;
}

/** The same for a tool's input, which is always an object. */
export function argumentsFor(schema: Json | undefined): JsonObject {
  const value = shapedBy(schema);
  return isObject(value) ? value : {};
}

function shaped(schema: JsonObject, walk: Walk, depth: number): Json {
  walk.valuesLeft -= 1;
  if (depth > MAX_DEPTH || walk.valuesLeft < 0) return null;
  if (schema.const !== undefined) return schema.const;
  if (schema.default !== undefined) return schema.default;
  if (Array.isArray(schema.enum) && schema.enum[0] !== undefined) return schema.enum[0];
  if (typeof schema.$ref === "string") return shaped(resolve(schema.$ref, walk.root), walk, depth + 1);
  for (const choices of [schema.anyOf, schema.oneOf]) {
    if (!Array.isArray(choices)) continue;
    const first = choices.find(isObject);
    if (first) return shaped({ ...without(schema, "anyOf", "oneOf"), ...first }, walk, depth + 1);
  }
  if (Array.isArray(schema.allOf)) return merged(schema, schema.allOf.filter(isObject), walk, depth);
  switch (typeOf(schema)) {
    case "object":
      return objectOf(schema, walk, depth);
    case "array":
      return arrayOf(schema, walk, depth);
    case "string":
      return stringOf(schema);
    case "integer":
      return Math.ceil(numberOf(schema));
    case "number":
      return numberOf(schema);
    case "boolean":
      return true;
    case "null":
      return null;
    default:
      return TEXT;
  }
}

function typeOf(schema: JsonObject): Json | undefined {
  const type = Array.isArray(schema.type) ? schema.type.find((name) => name !== "null") : schema.type;
  if (type !== undefined) return type;
  if (schema.properties !== undefined || schema.required !== undefined) return "object";
  return schema.items === undefined ? undefined : "array";
}

/** The required properties; all of them where none is required, so that a call shows something. */
function objectOf(schema: JsonObject, walk: Walk, depth: number): JsonObject {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === "string") : [];
  const names = required.length > 0 ? required : Object.keys(properties);
  return Object.fromEntries(
    names.map((name) => {
      const property = properties[name];
      return [name, isObject(property) ? shaped(property, walk, depth + 1) : TEXT];
    }),
  );
}

function arrayOf(schema: JsonObject, walk: Walk, depth: number): Json[] {
  const length = Math.min(Math.max(numberFrom(schema.minItems, 1), 0), MAX_ITEMS);
  const { items } = schema;
  return Array.from({ length }, () => (isObject(items) ? shaped(items, walk, depth + 1) : TEXT));
}

function stringOf(schema: JsonObject): string {
  const known = typeof schema.format === "string" ? FORMATS[schema.format] : undefined;
  if (known !== undefined) return known;
  const shortest = Math.min(numberFrom(schema.minLength, 0), MAX_STRING_CHARS);
  return TEXT.padEnd(shortest, ".").slice(0, Math.max(numberFrom(schema.maxLength, MAX_STRING_CHARS), 0));
}

function numberOf(schema: JsonObject): number {
  const lowest = schema.exclusiveMinimum === undefined ? schema.minimum : numberFrom(schema.exclusiveMinimum, 0) + 1;
  const highest = schema.exclusiveMaximum === undefined ? schema.maximum : numberFrom(schema.exclusiveMaximum, 2) - 1;
  return Math.min(Math.max(1, numberFrom(lowest, 1)), numberFrom(highest, Number.MAX_SAFE_INTEGER));
}

function merged(schema: JsonObject, parts: JsonObject[], walk: Walk, depth: number): Json {
  const whole: JsonObject = without(schema, "allOf");
  const properties: JsonObject = isObject(whole.properties) ? { ...whole.properties } : {};
  const required: Json[] = Array.isArray(whole.required) ? [...whole.required] : [];
  for (const part of parts) {
    const resolved = typeof part.$ref === "string" ? resolve(part.$ref, walk.root) : part;
    Object.assign(properties, isObject(resolved.properties) ? resolved.properties : {});
    if (Array.isArray(resolved.required)) required.push(...resolved.required);
    Object.assign(whole, without(resolved, "properties", "required"));
  }
  if (Object.keys(properties).length > 0) Object.assign(whole, { properties, required });
  return shaped(whole, walk, depth + 1);
}

/** A local reference (`#/$defs/name`); anything else accepts every value. */
function resolve(reference: string, root: JsonObject): JsonObject {
  let at: Json | undefined = reference.startsWith("#") ? root : undefined;
  for (const part of reference.split("/").slice(1)) {
    at = isObject(at) ? at[part.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined;
  }
  return isObject(at) ? at : {};
}

function without(schema: JsonObject, ...names: string[]): JsonObject {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => !names.includes(name)));
}

function numberFrom(value: Json | undefined, fallback: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : fallback;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
