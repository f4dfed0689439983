/** How often a fast writer is read, and that a slow one never waits for it. */
import { expect, test } from "bun:test";
import { paced } from "../../src/claude/pace.ts";

const KIB = 1024;

/** A writer that has so much ready after `gapMs`, read by a clock of its own. */
function createWriter(writes: { gapMs: number; bytes: number }) {
  let clock = 1000;
  const pauses: number[] = [];
  const read = paced(
    async () => {
      clock += writes.gapMs;
      return { value: new Uint8Array(writes.bytes) };
    },
    {
      now: () => clock,
      sleep: async (ms) => {
        clock += ms;
        pauses.push(ms);
      },
    },
  );
  /** The pauses before these reads. */
  return async (reads: number): Promise<number[]> => {
    pauses.length = 0;
    for (let index = 0; index < reads; index++) expect((await read()).value).toHaveLength(writes.bytes);
    return [...pauses];
  };
}

test("the lines of an ordinary turn are read at once, however fast they come", async () => {
  expect(await createWriter({ gapMs: 0, bytes: 300 })(64)).toEqual([]);
});

test("lines at a model's pace are never waited for", async () => {
  expect(await createWriter({ gapMs: 3, bytes: 300 })(10_000)).toEqual([]);
});

test("lines that keep coming are read in batches: longer apart while these are small, to a bound", async () => {
  const read = createWriter({ gapMs: 0, bytes: 10 * KIB });
  await read(64);
  expect(await read(5)).toEqual([2, 4, 8, 8, 8]);
});

test("large batches are fetched sooner: claude would wait for a reader", async () => {
  const writes = { gapMs: 0, bytes: 10 * KIB };
  const read = createWriter(writes);
  await read(66);
  writes.bytes = 40 * KIB;
  expect(await read(5)).toEqual([8, 4, 2, 1, 1]);
  writes.bytes = 20 * KIB;
  expect(await read(2)).toEqual([1, 1]);
});

test("after a quiet moment a burst is read at once again", async () => {
  const writes = { gapMs: 0, bytes: 300 };
  const read = createWriter(writes);
  expect((await read(70)).length).toBe(6);
  writes.gapMs = 1000;
  await read(1);
  writes.gapMs = 0;
  expect(await read(64)).toEqual([]);
  expect((await read(1)).length).toBe(1);
});
