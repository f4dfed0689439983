import { expect, test } from "bun:test";
import { killRepeatedly } from "../support/kill-daemon.ts";

/** `bun test/support/kill-daemon.ts 100` is the long run. */
const KILLS = 10;

test("a kill -9 of the daemon in the middle of turns loses no finished turn and tells the others as interrupted", async () => {
  const report = await killRepeatedly(KILLS);
  expect(report.problems).toEqual([]);
  expect(report.kills).toBe(KILLS);
  // Else the kills fell where nothing was to be lost.
  expect(report.finished + report.interrupted).toBeGreaterThan(0);
}, 180_000);
