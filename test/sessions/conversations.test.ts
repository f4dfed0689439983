/** Which process is handed out for a history, among several: on processes that only say whether they can be taken. */
import { expect, test } from "bun:test";
import type { ExitReport } from "../../src/claude/transport.ts";
import type { Lease } from "../../src/sessions/contracts.ts";
import { Conversations, type Trail } from "../../src/sessions/conversations.ts";

interface Stub {
  lease: Lease;
  exit(): Promise<void>;
  /** Asked for by `take`. */
  asked: number;
}

function createLease(): Stub {
  const { promise: exited, resolve } = Promise.withResolvers<ExitReport>();
  const stub: Stub = {
    asked: 0,
    exit: async () => {
      resolve({ code: 0, signal: null, endedBy: undefined, stderrTail: "", failure: undefined });
      await exited;
    },
    lease: {
      process: { exited },
      take: () => {
        stub.asked += 1;
        return true;
      },
      rest: () => undefined,
    } as unknown as Lease,
  };
  return stub;
}

/** A process that was prompted at "root", and rests at `key`. */
function standing(conversations: Conversations, key: string, prompt: string): Stub & { trail: Trail } {
  const stub = createLease();
  const trail = conversations.follow(stub.lease);
  conversations.note(trail, "root", prompt);
  conversations.put(trail, key);
  return Object.assign(stub, { trail });
}

test("a process is taken back to before the prompt that followed, and then knows nothing of what came later", () => {
  const conversations = new Conversations();
  const { trail } = standing(conversations, "one", "p1");
  expect(conversations.take("one")).toBe(trail);
  conversations.note(trail, "one", "p2");
  conversations.note(trail, "one", "p2");
  conversations.put(trail, "two");
  expect(conversations.takeBack("root")).toEqual({ trail, target: "p1", last: "p2" });
  expect(conversations.takeBack("one")).toBeUndefined();
  expect(conversations.take("two")).toBeUndefined();
});

test("of several that stood there, first those that stand nowhere, the newest; then the one that rested longest", () => {
  const conversations = new Conversations();
  const oldest = standing(conversations, "a", "pa");
  const middle = standing(conversations, "b", "pb");
  const [stopped, latest] = [createLease(), createLease()].map(({ lease }, index) => {
    const trail = conversations.follow(lease);
    conversations.note(trail, "root", `stopped ${index}`);
    expect(conversations.putBack(trail)).toBe(true);
    return trail;
  });
  const order = [1, 2, 3, 4, 5].map(() => conversations.takeBack("root")?.trail);
  expect(order).toEqual([latest, stopped, oldest.trail, middle.trail, undefined]);
});

test("a process that is busy, or waits for results, is not taken back", () => {
  const conversations = new Conversations();
  const { trail } = standing(conversations, "a", "p");
  conversations.take("a");
  expect(conversations.takeBack("root")).toBeUndefined();
  conversations.put(trail, "b", { turn: {} as never, callIds: [] });
  expect(conversations.takeBack("root")).toBeUndefined();
});

test("one that stands at no history, and never stood at any, is not kept", () => {
  const conversations = new Conversations();
  expect(conversations.putBack(conversations.follow(createLease().lease))).toBe(false);
});

test("a process that has exited is asked for no more, whatever is told of it afterwards", async () => {
  const conversations = new Conversations();
  const stub = standing(conversations, "a", "p");
  const { trail } = stub;
  await stub.exit();
  conversations.note(trail, "a", "p2");
  conversations.put(trail, "b");
  expect(conversations.putBack(trail)).toBe(false);
  for (const key of ["a", "b"]) expect(conversations.take(key)).toBeUndefined();
  for (const key of ["root", "a"]) expect(conversations.takeBack(key)).toBeUndefined();
  expect(stub.asked).toBe(0);
  expect(trail.past).toEqual([]);
});

test("of a long conversation the oldest histories are forgotten", () => {
  const conversations = new Conversations();
  const trail = conversations.follow(createLease().lease);
  for (let turn = 0; turn < 150; turn++) conversations.note(trail, `history ${turn}`, `prompt ${turn}`);
  conversations.put(trail, "now");
  expect(conversations.takeBack("history 49")).toBeUndefined();
  expect(conversations.takeBack("history 50")).toMatchObject({ target: "prompt 50", last: "prompt 149" });
});
