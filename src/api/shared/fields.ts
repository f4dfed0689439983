/**
 * Pieces of body schemas. Open everywhere: what is not listed passes, and null counts as absent. A `description`
 * completes the sentence "<field>: …" of an error.
 */
import { type TSchema, Type } from "@sinclair/typebox";

export const open = { additionalProperties: true };

export const optional = <Schema extends TSchema>(schema: Schema, description: string) =>
  Type.Optional(Type.Union([schema, Type.Null()], { description }));

export const flag = (description = "must be true or false") => optional(Type.Boolean(), description);
export const text = (description = "must be a string") => optional(Type.String(), description);
export const count = (description = "must be a whole number of at least 1") =>
  optional(Type.Integer({ minimum: 1 }), description);
export const number = (description = "must be a number") => optional(Type.Number(), description);
export const object = (description = "must be an object") => optional(Type.Object({}, open), description);
export const list = (description = "must be an array of objects") =>
  optional(Type.Array(Type.Object({}, open)), description);

export const modelName = () =>
  Type.String({ minLength: 1, maxLength: 200, description: "must be the name of a model" });
