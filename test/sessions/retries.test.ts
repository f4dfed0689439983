import { expect, test } from "bun:test";
import { DaemonError } from "../../src/errors.ts";
import { RetryJoiner } from "../../src/sessions/retries.ts";
import type { TurnEvent } from "../../src/turn/events.ts";
import type { TurnRequest } from "../../src/turn/request.ts";
import { turnRequest, user } from "./harness.ts";

const delta = (text: string): TurnEvent => ({ type: "text-delta", id: "t", text });

/** A turn whose events the test gives out one by one. */
function scripted() {
  const doors: PromiseWithResolvers<TurnEvent | Error | undefined>[] = [];
  const door = (index: number) => {
    for (let next = doors.length; next <= index; next++) doors.push(Promise.withResolvers());
    return doors[index] ?? Promise.withResolvers();
  };
  let given = 0;
  const started: TurnRequest[] = [];
  const interrupted = Promise.withResolvers<void>();
  return {
    started,
    interrupted: interrupted.promise,
    give: (event: TurnEvent | Error | undefined) => door(given++).resolve(event),
    async *start(request: TurnRequest): AsyncGenerator<TurnEvent> {
      started.push(request);
      request.signal.addEventListener("abort", () => interrupted.resolve());
      for (let index = 0; ; index++) {
        const event = await door(index).promise;
        if (event === undefined) return;
        if (event instanceof Error) throw event;
        yield event;
      }
    },
  };
}

const request = (attempt: number, more: Partial<TurnRequest["retry"]> = {}, signal?: AbortSignal) =>
  turnRequest({ messages: [user("go")], retry: { attempt, bodyDigest: "b", ...more }, ...(signal ? { signal } : {}) });

async function textOf(events: AsyncIterable<TurnEvent>): Promise<string> {
  let text = "";
  for await (const event of events) if (event.type === "text-delta") text += event.text;
  return text;
}

test("a retry joins the running turn and gets everything from the start; a new request does not", async () => {
  let joined = 0;
  const joiner = new RetryJoiner(() => void joined++);
  const turn = scripted();
  const client = new AbortController();
  const first = joiner.run(request(0, {}, client.signal), turn.start)[Symbol.asyncIterator]();
  turn.give(delta("one "));
  await first.next();
  client.abort();
  await first.next().catch(() => undefined);
  const retry = textOf(joiner.run(request(1), turn.start));
  turn.give(delta("two"));
  turn.give(undefined);
  expect(await retry).toBe("one two");
  expect([turn.started.length, joined]).toEqual([1, 1]);
  // Finished, it can still be joined.
  expect(await textOf(joiner.run(request(2), turn.start))).toBe("one two");
  const other = scripted();
  other.give(undefined);
  await textOf(joiner.run(request(0), other.start));
  expect(other.started).toHaveLength(1);
});

test("a turn that nobody comes back for is interrupted", async () => {
  const joiner = new RetryJoiner(() => undefined);
  const turn = scripted();
  const events = joiner.run(request(0), turn.start)[Symbol.asyncIterator]();
  turn.give(delta("one"));
  await events.next();
  await events.return?.();
  await turn.interrupted;
  turn.give(undefined);
  const next = scripted();
  next.give(delta("anew"));
  next.give(undefined);
  expect(await textOf(joiner.run(request(1), next.start))).toBe("anew");
});

test("a failure may be tried again, but not once the agent has begun", async () => {
  for (const agentStarted of [false, true]) {
    const joiner = new RetryJoiner(() => undefined);
    const turn = scripted();
    turn.give(new DaemonError("claude_failed", "no", { detail: { agentStarted } }));
    await textOf(joiner.run(request(0), turn.start)).catch(() => undefined);
    const again = scripted();
    again.give(delta("fine"));
    again.give(undefined);
    const outcome = await textOf(joiner.run(request(1), again.start)).catch((error: DaemonError) => error.code);
    expect(outcome).toBe(agentStarted ? "claude_failed" : "fine");
  }
});

test("an Idempotency-Key joins whatever the attempt, and belongs to one body", async () => {
  const joiner = new RetryJoiner(() => undefined);
  const turn = scripted();
  turn.give(delta("once"));
  turn.give(undefined);
  expect(await textOf(joiner.run(request(0, { idempotencyKey: "k" }), turn.start))).toBe("once");
  expect(await textOf(joiner.run(request(0, { idempotencyKey: "k" }), turn.start))).toBe("once");
  expect(turn.started).toHaveLength(1);
  expect(() => joiner.run(request(0, { idempotencyKey: "k", bodyDigest: "other" }), turn.start)).toThrow(
    "used with another body",
  );
});
