import { expect, test } from "bun:test";
import { createCallMatcher } from "../../../src/api/shared/calls.ts";

test("a result is matched by id, else by name, else by place", () => {
  const calls = createCallMatcher();
  calls.open([
    { id: "a", name: "f" },
    { id: "b", name: "g" },
    { id: "c", name: "f" },
  ]);
  expect(calls.match("b", undefined)).toBe("b");
  expect(calls.match(undefined, "f")).toBe("a");
  expect(calls.match("unheard-of", undefined)).toBe("c");
  expect(calls.match(undefined, undefined)).toBeUndefined();
});

test("calls of older messages are known by id alone", () => {
  const calls = createCallMatcher();
  calls.open([{ id: "a", name: "f" }]);
  calls.open([{ id: "b", name: "f" }]);
  expect(calls.match("a", undefined)).toBe("a");
  expect(calls.match(undefined, "f")).toBe("b");
  expect(calls.match(undefined, "f")).toBeUndefined();
});
