import { expect, test } from "bun:test";
import { type EventFrame, Hub, seqAfterCrash, type Watcher } from "../../src/sessions/hub.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { quietLogger } from "../claude/harness.ts";
import { emptyRegistry } from "./empty-registry.ts";

async function open(): Promise<{ hub: Hub; store: Store; sessionId: string }> {
  const store = openSqliteStore({ path: ":memory:", log: quietLogger });
  const { record } = await emptyRegistry().create({ workspace: undefined, model: "claude-code" });
  store.sessions.put(record);
  return { hub: new Hub({ sessionId: record.id, store, log: quietLogger, lastSeq: 0 }), store, sessionId: record.id };
}

const delta = (text: string) => ({ type: "code_delta" as const, turn_id: "trn_a", text });
const notice = (text: string) => ({ type: "notice" as const, code: "x", text });

interface Taking extends Watcher {
  frames: EventFrame[];
  reasons: string[];
  until(seq: number): Promise<void>;
}

/** Takes at most `room` frames before it is full. */
function taking(room = Number.POSITIVE_INFINITY): Taking {
  const waits: { seq: number; resolve(): void }[] = [];
  const self: Taking = {
    frames: [],
    reasons: [],
    deliver: (frame) => {
      if (self.frames.length >= room) return false;
      self.frames.push(frame);
      for (const wait of waits) if (frame.seq >= wait.seq) wait.resolve();
      return true;
    },
    ready: async () => undefined,
    dropped: (reason) => void self.reasons.push(reason),
    until: (seq) =>
      self.frames.some((frame) => frame.seq >= seq)
        ? Promise.resolve()
        : new Promise((resolve) => waits.push({ seq, resolve })),
  };
  return self;
}

const textOf = (frames: EventFrame[]) => frames.map((frame) => JSON.parse(frame.text).text ?? "").join("");

test("whoever comes back in the middle of a run of deltas gets exactly the rest of the text", async () => {
  for (let after = 0; after <= 12; after++) {
    const { hub } = await open();
    const live = taking();
    hub.subscribe(live, 0);
    for (let index = 1; index <= 10; index++) hub.publish(delta(`${index}é `));
    hub.publish(notice("end"));
    const seen = live.frames.filter((frame) => frame.seq <= after);
    const late = taking();
    hub.subscribe(late, after);
    hub.publish(delta("more"));
    await late.until(12);
    expect(textOf([...seen, ...late.frames])).toBe("1é 2é 3é 4é 5é 6é 7é 8é 9é 10é endmore");
  }
});

test("events that come while the past is read are neither lost nor doubled", async () => {
  const { hub } = await open();
  for (let index = 1; index <= 450; index++) hub.publish(notice(String(index)));
  const watcher = taking();
  hub.subscribe(watcher, 0);
  for (let index = 451; index <= 900; index++) {
    hub.publish(notice(String(index)));
    if (index % 50 === 0) await Promise.resolve();
  }
  await watcher.until(900);
  expect(watcher.frames.map((frame) => frame.seq)).toEqual(Array.from({ length: 900 }, (_, index) => index + 1));
});

test("a watcher without room is dropped, the others are not", async () => {
  const { hub } = await open();
  const [slow, quick] = [taking(3), taking()];
  hub.subscribe(slow, undefined);
  hub.subscribe(quick, undefined);
  for (let index = 1; index <= 10; index++) hub.publish(notice(String(index)));
  expect([slow.frames.length, slow.reasons]).toEqual([3, ["slow"]]);
  expect([quick.frames.length, quick.reasons]).toEqual([10, []]);
  expect(hub.watcherCount).toBe(1);
  hub.close();
  expect(quick.reasons).toEqual(["closed"]);
});

test("what must be durable is held back until it is, and nothing overtakes it", async () => {
  const { hub } = await open();
  const watcher = taking();
  hub.subscribe(watcher, undefined);
  const flushed = Promise.withResolvers<void>();
  const published = hub.publishDurably(notice("end"), () => flushed.promise);
  hub.publish(notice("after"));
  expect(watcher.frames).toEqual([]);
  const late = taking();
  hub.subscribe(late, 0);
  await late.until(2);
  flushed.resolve();
  await published;
  expect(textOf(watcher.frames)).toBe("endafter");
  // One who has read it from the store already does not get it again.
  expect(late.frames.map((frame) => frame.seq)).toEqual([1, 2]);
});

test("after a crash numbering goes on above everything that can have been sent", () => {
  expect(seqAfterCrash(0)).toBe(100_000);
  expect(seqAfterCrash(99_999)).toBeGreaterThan(99_999 + 512 * 128);
});
