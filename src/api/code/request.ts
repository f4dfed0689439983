/** From the body to what `exec/` runs. Pure but for the directory, which `resolveDirectory` confines. */
import { DaemonError } from "../../errors.ts";
import type { ExecutionLimits, ExecutionRequest } from "../../exec/contract.ts";
import { createValidator, invalidField } from "../shared/validation.ts";
import { ExecuteBody } from "./schema.ts";

export interface ExecuteRules {
  defaultTimeoutMs: number;
  maxTimeoutMs: number;
  allowNetwork: boolean;
  limits: Omit<ExecutionLimits, "timeoutMs">;
}

const validate = createValidator(ExecuteBody);
const text = new TextEncoder();

export type Translation = Omit<ExecutionRequest, "workspace" | "signal"> & {
  stream: boolean;
  place: { workspace?: string; sessionId?: string };
};

/** Throws `invalid_request` naming the field, `forbidden` where the network is asked for but not allowed. */
export function toExecution(value: Record<string, unknown>, rules: ExecuteRules): Translation {
  const body = validate(value);
  if (body.workspace !== undefined && body.session_id !== undefined) {
    throw invalidField("session_id", "give either session_id or workspace, not both.");
  }
  if (body.network === true && !rules.allowNetwork) {
    throw new DaemonError(
      "forbidden",
      "Executions have no network here. Set exec.allow_network = true in the daemon's config to allow requests to ask for it.",
      { detail: { param: "network" } },
    );
  }
  const timeoutMs = body.timeout_ms ?? rules.defaultTimeoutMs;
  if (timeoutMs > rules.maxTimeoutMs) {
    throw invalidField("timeout_ms", `must be at most ${rules.maxTimeoutMs} (exec.max_timeout_seconds in the config).`);
  }
  return {
    language: body.language,
    code: body.code,
    args: body.args ?? [],
    stdin: body.stdin === undefined ? undefined : text.encode(body.stdin),
    files: (body.files ?? []).map(({ path, content, encoding }, index) => ({
      path,
      content: encoding === "base64" ? fromBase64(content, `files[${index}].content`) : text.encode(content),
    })),
    limits: { ...rules.limits, timeoutMs },
    network: body.network ?? false,
    stream: body.stream ?? false,
    place: {
      ...(body.workspace === undefined ? {} : { workspace: body.workspace }),
      ...(body.session_id === undefined ? {} : { sessionId: body.session_id }),
    },
  };
}

function fromBase64(content: string, param: string): Uint8Array {
  const bytes = Buffer.from(content, "base64");
  // Buffer skips what is no base64: the length tells.
  const expected = Math.floor((content.replace(/[=\s]+/g, "").length * 3) / 4);
  if (bytes.byteLength !== expected) throw invalidField(param, "is not base64.");
  return bytes;
}
