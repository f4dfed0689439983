/** A typo in a field of our own bodies and frames is told in words that help. */
import { describe, expect, test } from "bun:test";
import { ExecuteBody } from "../../../src/api/code/schema.ts";
import { CreateSessionBody, TurnBody, UndoBody } from "../../../src/api/sessions/schema.ts";
import { nearest } from "../../../src/api/shared/nearest.ts";
import { createValidator } from "../../../src/api/shared/validation.ts";
import { parseFrame } from "../../../src/api/ws/protocol.ts";
import { DaemonError } from "../../../src/errors.ts";

function refusal(work: () => unknown): { message: string; param: string | undefined } {
  try {
    work();
  } catch (error) {
    if (error instanceof DaemonError) return { message: error.message, param: error.detail.param };
    throw error;
  }
  throw new Error("it was accepted");
}

const frame = (fields: object) => () => parseFrame(JSON.stringify({ type: "code_request", code: "x", ...fields }));
const bodies: [string, () => unknown, string][] = [
  ["a turn", () => createValidator(TurnBody)({ promt: "x" }), "promt: there is no such field. Did you mean prompt?"],
  [
    "camel case",
    () => createValidator(CreateSessionBody)({ permissionMode: "plan" }),
    "permissionMode: there is no such field. Did you mean permission_mode?",
  ],
  [
    "a nested field",
    () => createValidator(TurnBody)({ prompt: "x", context: { file: [] } }),
    "context.file: there is no such field. Did you mean files?",
  ],
  [
    "nothing like it",
    () => createValidator(UndoBody)({ everything: true }),
    "everything: there is no such field. There are: dry_run, force, paths.",
  ],
  [
    "running code",
    () => createValidator(ExecuteBody)({ language: "sh", code: "", timeout: 1 }),
    "timeout: there is no such field. Did you mean timeout_ms?",
  ],
  [
    "a frame",
    frame({ permision_mode: "plan" }),
    "permision_mode: there is no such field. Did you mean permission_mode?",
  ],
  ["a frame's context", frame({ context: { fils: [] } }), "context.fils: there is no such field. Did you mean files?"],
];

describe("an unknown field of a closed body is named, with the one that was probably meant", () => {
  test.each(bodies)("%s", (_, work, message) => {
    expect(refusal(work)).toEqual({ message, param: message.slice(0, message.indexOf(":")) });
  });

  test("a name of a megabyte is not sent back", () => {
    const { message } = refusal(() => createValidator(UndoBody)({ ["x".repeat(1_000_000)]: 1 }));
    expect(message.length).toBeLessThan(300);
  });
});

test.each([
  ["extraArgs", undefined],
  ["", undefined],
  ["MAX-TURNS", "max_turns"],
  ["disalowed_tools", "disallowed_tools"],
  ["allowedtool", "allowed_tools"],
])("the nearest to %p is %p", (name, expected) => {
  expect(nearest(name, ["max_turns", "allowed_tools", "disallowed_tools", "model"])).toBe(expected as string);
});
