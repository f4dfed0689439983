/** What a stream shows of Claude's own work: enough to follow it, bounded, so that a written file is not sent twice. */
import type { Json, JsonObject } from "../../turn/message.ts";

/** Longest string shown of a tool's input or output. */
const MAX_CHARS = 2000;
/** Deepest level shown. */
const MAX_DEPTH = 6;
/** Most entries shown of one array or object. */
const MAX_ENTRIES = 64;

export function boundText(text: string): string {
  return text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)}…` : text;
}

function bound(value: Json, depth: number): Json {
  if (typeof value === "string") return boundText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return "…";
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => bound(item, depth - 1));
  return boundObject(value, depth);
}

function boundObject(value: JsonObject, depth: number): JsonObject {
  const shown: JsonObject = {};
  for (const [key, item] of Object.entries(value).slice(0, MAX_ENTRIES)) shown[boundText(key)] = bound(item, depth - 1);
  return shown;
}

/** A tool's input, cut to what a reader needs. */
export function boundInput(input: JsonObject): JsonObject {
  return boundObject(input, MAX_DEPTH);
}
