/** What tells a client's automatic retry from a new request (docs/conversations.md). */
import type { RetryInfo } from "../../turn/request.ts";

/** Longer keys are cut: they are only compared. */
const MAX_KEY_CHARS = 256;
const MAX_ATTEMPT = 100;

/** Reads the retry headers. `bodyDigest` is `JsonBody.digest`; the path keeps two formats' equal bodies apart. */
export function readRetry(request: Request, bodyDigest: string): RetryInfo {
  const key = request.headers.get("idempotency-key");
  const count = Number(request.headers.get("x-stainless-retry-count") ?? 0);
  return {
    ...(key ? { idempotencyKey: key.slice(0, MAX_KEY_CHARS) } : {}),
    attempt: Number.isInteger(count) && count > 0 ? Math.min(count, MAX_ATTEMPT) : 0,
    bodyDigest,
  };
}
