/** Token counts of a turn: what the API counts per message, added up. Unknown stays undefined, never 0. */
import type { Usage } from "../turn/events.ts";
import type { Json } from "../turn/message.ts";
import { isObject } from "./json.ts";

const FIELDS = [
  ["inputTokens", "input_tokens"],
  ["outputTokens", "output_tokens"],
  ["cacheReadTokens", "cache_read_input_tokens"],
  ["cacheWriteTokens", "cache_creation_input_tokens"],
] as const;

/** Nothing known yet. */
export function zero(): Usage {
  return {
    inputTokens: undefined,
    outputTokens: undefined,
    cacheReadTokens: undefined,
    cacheWriteTokens: undefined,
  };
}

/** The API's counters of one message. */
export function usageOf(usage: Json | undefined): Usage {
  return merge(zero(), usage);
}

/** Later numbers of one message replace earlier ones (`message_delta` is cumulative). */
export function merge(base: Usage, usage: Json | undefined): Usage {
  const merged = { ...base };
  if (!isObject(usage)) return merged;
  for (const [name, field] of FIELDS) {
    const value = usage[field];
    if (typeof value === "number") merged[name] = value;
  }
  return merged;
}

function combine(left: Usage, right: Usage, sign: 1 | -1): Usage {
  const result = zero();
  for (const [name] of FIELDS) {
    const [a, b] = [left[name], right[name]];
    if (a !== undefined || (b !== undefined && sign === 1)) result[name] = Math.max(0, (a ?? 0) + sign * (b ?? 0));
  }
  return result;
}

export const add = (left: Usage, right: Usage): Usage => combine(left, right, 1);
export const subtract = (whole: Usage, part: Usage): Usage => combine(whole, part, -1);
