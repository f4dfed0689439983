import type { Json, JsonObject } from "../turn/message.ts";

/** Whether a value of unknown shape is a JSON object (not an array, not null). */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
