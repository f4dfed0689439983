/** The models in Anthropic's shape. */
import type { ModelEntry } from "../../turn/models.ts";
import { invalidField } from "../shared/validation.ts";

/** The CLI tells no dates; every model carries this one. */
const MODELS_CREATED = "2025-01-01T00:00:00Z";
const DEFAULT_PAGE = 20;
const MAX_PAGE = 1000;

export function toWireModel(entry: ModelEntry, id: string) {
  return {
    type: "model",
    id,
    display_name: entry.displayName,
    created_at: MODELS_CREATED,
    max_input_tokens: entry.contextWindow ?? null,
    max_tokens: null,
  };
}

/** One page, by `limit`, `after_id` and `before_id`. Throws `invalid_request` for a wrong limit or an unknown id. */
export function toModelPage(entries: readonly ModelEntry[], query: URLSearchParams) {
  const limit = toLimit(query.get("limit"));
  const after = placeOf(entries, query, "after_id");
  const before = placeOf(entries, query, "before_id");
  const begin = before === undefined ? (after === undefined ? 0 : after + 1) : Math.max(0, before - limit);
  const end = before ?? begin + limit;
  const data = entries.slice(begin, end).map((entry) => toWireModel(entry, entry.id));
  return {
    data,
    has_more: before === undefined ? end < entries.length : begin > 0,
    first_id: data.at(0)?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}

function toLimit(text: string | null): number {
  if (text === null) return DEFAULT_PAGE;
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE) return limit;
  throw invalidField("limit", `must be a whole number from 1 to ${MAX_PAGE}.`);
}

function placeOf(entries: readonly ModelEntry[], query: URLSearchParams, name: string): number | undefined {
  const id = query.get(name);
  if (id === null || id === "") return undefined;
  const place = entries.findIndex((entry) => entry.id === id);
  if (place < 0) throw invalidField(name, "names no model of the list.");
  return place;
}
