/**
 * Checks bodies against TypeBox schemas and names the first wrong field in the client's path form. Client formats are
 * open (`additionalProperties: true`): only fields that are used are checked, and nothing is ever stripped or coerced.
 */
import type { Static, TObject, TSchema } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import type { ValueError } from "@sinclair/typebox/errors";
import { DaemonError } from "../../errors.ts";
import { nearest } from "./nearest.ts";

/** Of the errors of one value, how many are looked at for a field that does not exist. */
const MAX_ERRORS = 50;
/** Names listed where none is near. */
const MAX_LISTED = 20;
/** Longest part of a client's own name that is repeated to it. */
const MAX_NAME_CHARS = 100;

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

/** TypeBox says so of a field that a closed object does not have; its schema is then the object's. */
function isUnknownField({ message, schema }: ValueError): boolean {
  return schema.type === "object" && message === "Unexpected property";
}

/** A field that does not exist before all others: what is missing is often what it was meant to be. */
function mostTelling(errors: Iterable<ValueError>): ValueError | undefined {
  let first: ValueError | undefined;
  let seen = 0;
  for (const error of errors) {
    if (isUnknownField(error)) return error;
    first ??= error;
    seen += 1;
    if (seen >= MAX_ERRORS) break;
  }
  return first;
}

function describeUnknown({ path, schema }: ValueError): string {
  const known = Object.keys((schema as TObject).properties);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const meant = nearest(name, known);
  if (meant !== undefined) return `there is no such field. Did you mean ${meant}?`;
  if (known.length === 0) return "there is no such field.";
  return `there is no such field. There are: ${known.slice(0, MAX_LISTED).join(", ")}.`;
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
    const error = mostTelling(compiled.Errors(value));
    const param = toClientPath(error?.path ?? "").slice(0, MAX_NAME_CHARS);
    if (error && isUnknownField(error)) throw invalidField(param, describeUnknown(error));
    if (error && error.value === undefined) {
      throw invalidField(param, "this field is required.", "missing_required_parameter");
    }
    const wanted = error?.schema.description ?? error?.message ?? "is not valid";
    throw invalidField(param === "" ? "body" : param, `${wanted}.`);
  };
}
