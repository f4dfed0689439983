/** How often a fast writer is read, and that a slow one never waits for it. */
import { expect, test } from "bun:test";
import { paced } from "../../src/claude/pace.ts";

/** A writer that is ready after `gapMs`, read by a clock of its own. */
function writer(gapMs: () => number) {
  let clock = 1000;
  let pausedMs = 0;
  const read = paced(
    async () => {
      clock += gapMs();
      return "line";
    },
    {
      now: () => clock,
      sleep: async (ms) => {
        clock += ms;
        pausedMs += ms;
      },
    },
  );
  return {
    async pauses(reads: number): Promise<number> {
      const before = pausedMs;
      for (let index = 0; index < reads; index++) expect(await read()).toBe("line");
      return pausedMs - before;
    },
  };
}

test("the lines of an ordinary turn are read at once, however fast they come", async () => {
  expect(await writer(() => 0).pauses(64)).toBe(0);
});

test("lines that keep coming are read in batches", async () => {
  const fast = writer(() => 0);
  await fast.pauses(64);
  expect(await fast.pauses(100)).toBe(400);
});

test("lines at a model's pace are never waited for", async () => {
  expect(await writer(() => 3).pauses(10_000)).toBe(0);
});

test("after a quiet moment a burst is read at once again", async () => {
  let gapMs = 0;
  const changing = writer(() => gapMs);
  expect(await changing.pauses(70)).toBeGreaterThan(0);
  gapMs = 1000;
  await changing.pauses(1);
  gapMs = 0;
  expect(await changing.pauses(64)).toBe(0);
  expect(await changing.pauses(1)).toBeGreaterThan(0);
});
