/** What holds a process back when its reader is slow, and lets it go again. */
import { expect, test } from "bun:test";
import { EventQueue } from "../../src/sessions/event-queue.ts";

const delta = (chars: number) => ({ type: "text-delta" as const, id: "a", text: "x".repeat(chars) });

function createQueue() {
  const flow: string[] = [];
  return { flow, queue: new EventQueue({ pause: () => flow.push("pause"), resume: () => flow.push("resume") }) };
}

test("a process is read no further while a quarter of a megabyte waits, and again once most is taken", () => {
  const { flow, queue } = createQueue();
  for (let pushed = 0; pushed < 200; pushed++) queue.push(delta(1000));
  expect(flow).toEqual([]);
  for (let pushed = 0; pushed < 100; pushed++) queue.push(delta(1000));
  expect(flow).toEqual(["pause"]);
  for (let taken = 0; taken < 200; taken++) queue.take();
  expect(flow).toEqual(["pause"]);
  for (let taken = 0; taken < 60; taken++) queue.take();
  expect(flow).toEqual(["pause", "resume"]);
});

test("a reader that leaves lets the process run on, and nothing more is kept", () => {
  const { flow, queue } = createQueue();
  queue.push(delta(300_000));
  queue.drop();
  queue.push(delta(300_000));
  expect(flow).toEqual(["pause", "resume"]);
  expect(queue.take()).toBeUndefined();
});

test("a failure comes after everything that was there before it", () => {
  const { queue } = createQueue();
  queue.push(delta(1));
  queue.fail(new Error("over"));
  expect(queue.take()).toEqual(delta(1));
  expect(() => queue.take()).toThrow("over");
});
