/** Pages of items. */
import type { JsonObject } from "../../turn/message.ts";
import { invalidField } from "../shared/validation.ts";

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;

/** One page: `limit`, `order` (newest first unless `asc`), `after` an id. Throws `invalid_request` naming a wrong one. */
export function toItemList(items: readonly JsonObject[], query: URLSearchParams): JsonObject {
  const limit = Number(query.get("limit") ?? DEFAULT_LIMIT);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw invalidField("limit", `must be a whole number from 1 to ${MAX_LIMIT}.`, "invalid_value");
  }
  const order = query.get("order") ?? "desc";
  if (order !== "asc" && order !== "desc") throw invalidField("order", "must be asc or desc.", "invalid_value");
  const ordered = order === "asc" ? items : items.toReversed();
  const after = query.get("after");
  const start = after === null ? 0 : ordered.findIndex((item) => item.id === after) + 1;
  if (after !== null && start === 0) throw invalidField("after", "is no item of this response.", "invalid_value");
  const data = ordered.slice(start, start + limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < ordered.length,
  };
}
