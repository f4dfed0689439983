import { expect, test } from "bun:test";
import { ControlAnswers, ControlRequests } from "../../src/claude/control.ts";
import { DaemonError } from "../../src/errors.ts";
import type { JsonObject } from "../../src/turn/message.ts";

test("a request of the CLI is answered once, or cancelled, and never again", () => {
  const written: JsonObject[] = [];
  const answers = new ControlAnswers((line) => void written.push(line));
  expect([answers.open("a"), answers.open("a")]).toEqual([true, false]);
  expect([answers.succeed("a", {}), answers.succeed("a", {}), answers.fail("a", "x")]).toEqual([true, false, false]);
  answers.open("b");
  expect([answers.cancel("b"), answers.cancel("b"), answers.succeed("b", {})]).toEqual([true, false, false]);
  expect(answers.fail("never asked", "x")).toBe(false);
  expect(written).toEqual([
    { type: "control_response", response: { subtype: "success", request_id: "a", response: {} } },
  ]);
});

test("our requests have ids of their own, take one answer each, and fail together with the process", async () => {
  const written: JsonObject[] = [];
  const requests = new ControlRequests((line) => void written.push(line));
  const [first, second] = [requests.send("one", { subtype: "other", a: 1 }), requests.send("two", {})];
  const [idOfFirst, idOfSecond] = written.map((line) => String(line.request_id));
  expect(idOfFirst).not.toBe(idOfSecond);
  expect(written[0]?.request).toEqual({ subtype: "one", a: 1 });
  expect(requests.settle(idOfFirst ?? "", { response: { b: 2 } })).toBe(true);
  expect(requests.settle(idOfFirst ?? "", { response: { b: 3 } })).toBe(false);
  expect(await first).toEqual({ b: 2 });
  requests.close(new DaemonError("claude_crashed", "gone"));
  await expect(second).rejects.toMatchObject({ code: "claude_crashed" });
  await expect(requests.send("three", {})).rejects.toMatchObject({ code: "claude_crashed" });
});
