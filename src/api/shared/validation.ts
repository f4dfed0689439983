/**
 * Checks bodies against TypeBox schemas and names the first wrong field in the client's path form. Client formats are
 * open (`additionalProperties: true`): only fields that are used are checked, and nothing is ever stripped or coerced.
 */
import type { Static, TSchema } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import { DaemonError } from "../../errors.ts";

/** `/messages/2/content` as `messages[2].content`. */
export function toClientPath(pointer: string): string {
  let path = "";
  for (const part of pointer.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (/^\d+$/.test(key)) path += `[${key}]`;
    else path += path === "" ? key : `.${key}`;
  }
  return path;
}

/** A 400 that names the field. */
export function invalidField(param: string, problem: string, reason?: string): DaemonError {
  return new DaemonError("invalid_request", `${param}: ${problem}`, {
    detail: { param, ...(reason === undefined ? {} : { reason }) },
  });
}

/**
 * A check of `schema`, compiled at its first use (compiling costs about a millisecond, checking microseconds). The check
 * returns the same value, typed, or throws `invalid_request` with the field in `detail.param`; a missing field has the
 * reason `missing_required_parameter`.
 */
export function createValidator<Schema extends TSchema>(schema: Schema): (value: unknown) => Static<Schema> {
  let compiled: ReturnType<typeof TypeCompiler.Compile<Schema>> | undefined;
  return (value) => {
    compiled ??= TypeCompiler.Compile(schema);
    if (compiled.Check(value)) return value;
    const error = compiled.Errors(value).First();
    const param = toClientPath(error?.path ?? "");
    if (error && error.value === undefined) {
      throw invalidField(param, "this field is required.", "missing_required_parameter");
    }
    const wanted = error?.schema.description ?? error?.message ?? "is not valid";
    throw invalidField(param === "" ? "body" : param, `${wanted}.`);
  };
}
