/** Turns what a person wrote (a flag, a variable, a TOML value) into a checked value of a key, or says what was expected. */
import { isAbsolute, join, resolve } from "node:path";
import { Value } from "@sinclair/typebox/value";
import { DaemonError } from "../errors.ts";
import type { ConfigKey } from "./schema.ts";

export type ConfigValue = string | number | boolean | string[] | Record<string, string>;

/** Where a value came from. `base` is what its relative paths count from; undefined: they are refused. */
export interface ValueOrigin {
  /** For messages and `config show`, e.g. `environment CLAUDE_CODE_DAEMON_PORT`. */
  label: string;
  base: string | undefined;
  home: string | undefined;
}

/** Longest piece of a bad value that a message repeats. */
const MAX_SHOWN_CHARS = 80;

function expectation(key: ConfigKey): string {
  const { schema } = key;
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.join(", ")}`;
  if (schema.type === "integer") return `a whole number from ${schema.minimum} to ${schema.maximum}`;
  if (schema.type === "boolean") return "true or false";
  if (schema.type === "array") return "a list of texts";
  if (schema.type === "object") return "a table of texts";
  if (key.name === "host") return "127.0.0.1, localhost or ::1";
  return "a text";
}

function refuse(key: ConfigKey, value: unknown, origin: ValueOrigin, why?: string): DaemonError {
  const shown = typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
  const cut = shown.length > MAX_SHOWN_CHARS ? `${shown.slice(0, MAX_SHOWN_CHARS)}…` : shown;
  return new DaemonError(
    "invalid_request",
    `${key.name} is ${cut} (${origin.label}), but it must be ${why ?? expectation(key)}.`,
    { detail: { param: key.name, exit: 78 } },
  );
}

const TRUE = ["true", "1", "yes", "on"];
const FALSE = ["false", "0", "no", "off"];

/** A value from a flag or a variable. Lists are separated by commas, tables written `name=value,name=value`. */
export function parseText(key: ConfigKey, raw: string | readonly string[], origin: ValueOrigin): ConfigValue {
  if (typeof raw !== "string") return checkValue(key, [...raw], origin);
  const { schema } = key;
  if (schema.type === "integer") {
    if (!/^\d{1,15}$/.test(raw.trim())) throw refuse(key, raw, origin);
    return checkValue(key, Number(raw.trim()), origin);
  }
  if (schema.type === "boolean") {
    const word = raw.trim().toLowerCase();
    if (TRUE.includes(word)) return true;
    if (FALSE.includes(word)) return false;
    throw refuse(key, raw, origin);
  }
  const items = raw
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
  if (schema.type === "array") return checkValue(key, items, origin);
  if (schema.type === "object") {
    const pairs = items.map((item): [string, string] => {
      const at = item.indexOf("=");
      if (at < 1) throw refuse(key, raw, origin, "name=value pairs separated by commas");
      return [item.slice(0, at).trim(), item.slice(at + 1).trim()];
    });
    return checkValue(key, Object.fromEntries(pairs), origin);
  }
  return checkValue(key, raw, origin);
}

function absolutePath(key: ConfigKey, value: string, origin: ValueOrigin): string {
  if (value === "") return value;
  if (value.includes("\0")) throw refuse(key, value, origin, "a path without NUL");
  if (value === "~" || value.startsWith("~/")) {
    if (origin.home === undefined) throw refuse(key, value, origin, "an absolute path, because HOME is not set");
    return join(origin.home, value.slice(1));
  }
  if (isAbsolute(value)) return resolve(value);
  if (origin.base === undefined) throw refuse(key, value, origin, "an absolute path, or one that begins with ~/");
  return resolve(origin.base, value);
}

/** Checks a typed value (from TOML, or parsed) and makes its paths absolute. Throws `invalid_request` naming its source. */
export function checkValue(key: ConfigKey, value: unknown, origin: ValueOrigin): ConfigValue {
  if (!Value.Check(key.schema, value)) throw refuse(key, value, origin);
  const { enum: choices } = key.schema;
  if (Array.isArray(choices) && !choices.includes(value)) throw refuse(key, value, origin);
  const checked = value as ConfigValue;
  if (!key.isPath) return checked;
  if (Array.isArray(checked)) return checked.map((item) => absolutePath(key, item, origin));
  return absolutePath(key, String(checked), origin);
}
