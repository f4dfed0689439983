/** Every failure in Ollama's shape: one string. */
import { type DaemonError, ERRORS } from "../../errors.ts";
import type { JsonObject } from "../../turn/message.ts";
import { NO_BODY } from "../shared/body.ts";
import type { RenderedError } from "../shared/format.ts";

function toMessage(error: DaemonError, model: string | undefined): string {
  const { code, message, detail } = error;
  if (code === "model_not_found") return model === undefined ? message : `model '${model}' not found. ${message}`;
  if (code === "context_length_exceeded") return `the input length exceeds the context length. ${message}`;
  if (code === "queue_full") return `server busy, please try again.  maximum pending requests exceeded. ${message}`;
  if (message === NO_BODY) return "missing request body";
  if (detail.reason === "missing_required_parameter" && detail.param) return `${detail.param} is required`;
  return message;
}

/** An error before the first byte. `model` is the one that was asked for, where the request names one. */
export function renderError(error: DaemonError, model?: string): RenderedError {
  return { status: ERRORS[error.code].http, body: { error: toMessage(error, model) } };
}

/** The same as the last line of a stream. */
export function renderFailure(error: DaemonError): JsonObject {
  return { error: toMessage(error, undefined) };
}
