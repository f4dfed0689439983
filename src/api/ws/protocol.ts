/** Frames as text, both ways. Pure: what a client sent wrong becomes an error frame, never a closed socket. */
import { DaemonError, toDaemonError } from "../../errors.ts";
import type { JsonObject } from "../../turn/message.ts";
import { isDeeperThan, MAX_DEPTH } from "../shared/body.ts";
import { createValidator, invalidField } from "../shared/validation.ts";
import { CLIENT_FRAMES, type ClientFrame, type ClientFrameType } from "./schema.ts";

const TYPES = Object.keys(CLIENT_FRAMES) as ClientFrameType[];
const validators = Object.fromEntries(
  TYPES.map((type) => [type, createValidator(CLIENT_FRAMES[type])]),
) as unknown as Record<ClientFrameType, (value: unknown) => ClientFrame>;

/** What can be told of a frame that is wrong, so that its error reaches the right request. */
export class FrameError extends DaemonError {
  readonly requestId: string | undefined;

  constructor(error: DaemonError, requestId: string | undefined) {
    super(error.code, error.message, { detail: error.detail, cause: error.cause });
    this.requestId = requestId;
  }
}

/** Throws `FrameError` (`invalid_request`). */
export function parseFrame(text: string): ClientFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FrameError(new DaemonError("invalid_request", "The frame is not valid JSON.", { cause }), undefined);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FrameError(new DaemonError("invalid_request", "A frame is a JSON object with a type."), undefined);
  }
  const { type, id } = value as { type?: unknown; id?: unknown };
  const requestId = typeof id === "string" && id.length <= 200 ? id : undefined;
  try {
    const known = TYPES.find((candidate) => candidate === type);
    if (!known) throw invalidField("type", `must be one of ${TYPES.join(", ")}.`);
    if (isDeeperThan(value, MAX_DEPTH)) {
      throw new DaemonError("invalid_request", `The frame nests deeper than ${MAX_DEPTH} levels.`);
    }
    return validators[known](value);
  } catch (error) {
    throw new FrameError(toDaemonError(error), requestId);
  }
}

export function toErrorFrame(error: DaemonError, requestId?: string): JsonObject {
  const id = error instanceof FrameError ? error.requestId : requestId;
  return {
    type: "error",
    code: error.detail.reason ?? error.code,
    message: error.message,
    ...(error.detail.param === undefined ? {} : { param: error.detail.param }),
    ...(id === undefined ? {} : { request_id: id }),
  };
}
