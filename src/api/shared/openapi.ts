import type { TSchema } from "@sinclair/typebox";

/** A TypeBox schema as a route's `detail` takes it: the framework's types want plain OpenAPI. */
export function documented(schema: TSchema): { type: "object" } {
  return { ...schema, type: "object" };
}
