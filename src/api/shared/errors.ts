/** Errors of our own endpoints, and of paths that belong to no format: OpenAI's shape, which most callers here know. */
import { type DaemonError, ERRORS } from "../../errors.ts";

export function renderError(error: DaemonError): { status: number; body: unknown } {
  const status = ERRORS[error.code].http;
  return {
    status,
    body: {
      error: {
        message: error.message,
        type: status < 500 ? "invalid_request_error" : "server_error",
        param: error.detail.param ?? null,
        code: error.detail.reason ?? error.code,
      },
    },
  };
}
