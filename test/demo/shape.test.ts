import { expect, test } from "bun:test";
import { argumentsFor, shapedBy } from "../../src/demo/shape.ts";

test("arguments hold what the schema requires, of the right types", () => {
  const schema = {
    type: "object",
    properties: {
      city: { type: "string" },
      unit: { type: "string", enum: ["celsius", "fahrenheit"] },
      days: { type: "integer", minimum: 3 },
      share: { type: "number", exclusiveMaximum: 1 },
      when: { type: "string", format: "date" },
      tags: { type: "array", items: { type: "string", minLength: 12 }, minItems: 2 },
      place: { $ref: "#/$defs/place" },
      maybe: { type: ["string", "null"] },
      either: { anyOf: [{ type: "boolean" }, { type: "string" }] },
      fixed: { const: 7 },
      optional: { type: "string" },
    },
    required: ["city", "unit", "days", "share", "when", "tags", "place", "maybe", "either", "fixed"],
    $defs: { place: { allOf: [{ properties: { x: { type: "number" } }, required: ["x"] }] } },
  };
  expect(argumentsFor(schema)).toEqual({
    city: "stand-in",
    unit: "celsius",
    days: 3,
    share: 0,
    when: "2025-01-01",
    tags: ["stand-in....", "stand-in...."],
    place: { x: 1 },
    maybe: "stand-in",
    either: true,
    fixed: 7,
  });
});

test("where nothing is required every property is shown", () => {
  expect(argumentsFor({ type: "object", properties: { a: { type: "string" }, b: { type: "boolean" } } })).toEqual({
    a: "stand-in",
    b: true,
  });
  expect(argumentsFor({})).toEqual({});
});

test("a schema that refers to itself at every level ends", () => {
  const node = { type: "object", properties: {} as Record<string, { $ref: string }>, required: [] as string[] };
  for (const name of ["a", "b", "c", "d", "e", "f"]) {
    node.properties[name] = { $ref: "#" };
    node.required.push(name);
  }
  expect(JSON.stringify(shapedBy(node)).length).toBeLessThan(50_000);
});
