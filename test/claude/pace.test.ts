/** How often a fast writer is read, and that a slow one never waits for it. */
import { expect, test } from "bun:test";
import { Pace } from "../../src/claude/pace.ts";

const KIB = 1024;

/** A writer that has so much ready after `gapMs`. */
function createWriter(writes: { gapMs: number; bytes: number }) {
  const pace = new Pace();
  let next = 0;
  /** The pauses before these reads. */
  return (reads: number): number[] => {
    const pauses: number[] = [];
    for (let index = 0; index < reads; index++) {
      if (next > 0) pauses.push(next);
      next = pace.afterRead(writes.bytes, writes.gapMs);
    }
    return pauses;
  };
}

test("the lines of an ordinary turn are read at once, however fast they come", () => {
  expect(createWriter({ gapMs: 0, bytes: 300 })(64)).toEqual([]);
});

test("lines at a model's pace are never waited for", () => {
  expect(createWriter({ gapMs: 3, bytes: 300 })(10_000)).toEqual([]);
});

test("lines that keep coming are read in batches: longer apart while these are small, to a bound", () => {
  const read = createWriter({ gapMs: 0, bytes: 10 * KIB });
  read(64);
  expect(read(5)).toEqual([2, 4, 8, 8, 8]);
});

test("large batches are fetched sooner: claude would wait for a reader", () => {
  const writes = { gapMs: 0, bytes: 10 * KIB };
  const read = createWriter(writes);
  read(66);
  writes.bytes = 40 * KIB;
  expect(read(5)).toEqual([8, 4, 2, 1, 1]);
  writes.bytes = 20 * KIB;
  expect(read(2)).toEqual([1, 1]);
});

test("after a quiet moment a burst is read at once again", () => {
  const writes = { gapMs: 0, bytes: 300 };
  const read = createWriter(writes);
  expect(read(70).length).toBe(6);
  writes.gapMs = 1000;
  read(1);
  writes.gapMs = 0;
  expect(read(64)).toEqual([]);
  expect(read(1).length).toBe(1);
});
