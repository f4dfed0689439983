/** The choice of a function, and the arguments of a call, as both of OpenAI's formats write them. */
import type { JsonObject } from "../../turn/message.ts";
import type { ToolChoice } from "../../turn/request.ts";
import { invalidField } from "./validation.ts";

/** A choice that is one word. Throws naming `param`. */
export function toChoiceMode(mode: string, param: string): ToolChoice {
  if (mode === "auto" || mode === "none" || mode === "required") return { type: mode };
  if (mode === "any") return { type: "required" };
  throw invalidField(param, "must be none, auto, required or the name of a function.", "invalid_value");
}

/** The arguments of a call in the history: JSON text, or the object itself. Throws naming `path`. */
export function parseArguments(value: unknown, path: string): JsonObject {
  if (value === undefined || value === null || value === "") return {};
  let parsed: unknown = value;
  if (typeof value === "string") {
    try {
      parsed = JSON.parse(value);
    } catch {
      throw invalidField(path, "is not valid JSON.", "invalid_value");
    }
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw invalidField(path, "must be a JSON object, as a string.", "invalid_value");
  }
  return parsed as JsonObject;
}

/** A string, or a refusal that names `path`. */
export function stringOf(value: unknown, path: string): string {
  if (typeof value === "string") return value;
  throw invalidField(path, "must be a string.");
}
