/** The error table, written out: clients' retries, scripts' exit codes and systemd's restarts hang on it. */
import { expect, test } from "bun:test";
import { ERRORS } from "../../src/errors.ts";

test("status, retry and exit code of every error", () => {
  const table = Object.entries(ERRORS).map(
    ([code, { http, retryable, exit }]) => `${code} ${http} ${retryable} ${exit}`,
  );
  expect(table).toEqual([
    "invalid_request 400 false 64",
    "context_length_exceeded 400 false 1",
    "unauthenticated 401 false 77",
    "claude_logged_out 401 false 77",
    "forbidden 403 false 77",
    "not_found 404 false 1",
    "model_not_found 404 false 1",
    "method_not_allowed 405 false 64",
    "request_timeout 408 true 75",
    "session_busy 409 false 75",
    "payload_too_large 413 false 65",
    "unsupported_media_type 415 false 65",
    "misdirected 421 false 64",
    "queue_full 429 true 75",
    "rate_limited 429 true 75",
    "usage_limit 429 false 75",
    "interrupted 499 false 130",
    "internal 500 true 70",
    "unsupported 501 false 64",
    "claude_failed 502 true 69",
    "claude_crashed 502 true 69",
    "claude_missing 503 false 78",
    "overloaded 503 true 75",
    "timed_out 504 true 75",
  ]);
});
