/** What `status` shows of the last turns: today's numbers and first tokens. */

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { DailyUsage, dayOf } from "../../src/sessions/daily-usage.ts";
import { FirstTokenWindow } from "../../src/sessions/first-tokens.ts";
import { MetricsRecorder } from "../../src/sessions/metrics.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import { quietLogger as log } from "../claude/harness.ts";
import { text } from "../support/api-reply.ts";
import { createTmpDir } from "../support/tmp-dir.ts";
import { startEngine, user } from "./harness.ts";

test("today's turns and their cost survive a restart, and a new day begins with nothing", async () => {
  await using directory = await createTmpDir("usage-");
  const path = directory.join("daemon.sqlite");
  let now = new Date(2026, 0, 31, 23, 59).getTime();
  const first = openSqliteStore({ path, log });
  const usage = await DailyUsage.open(first.usage, () => now);
  usage.add(0.25);
  usage.add(undefined);
  expect(usage.current()).toEqual({ date: "2026-01-31", turns: 2, costUsd: 0.25 });
  usage.write();
  await first.close();

  const second = openSqliteStore({ path, log });
  const again = await DailyUsage.open(second.usage, () => now);
  again.add(0.5);
  expect(again.current()).toEqual({ date: "2026-01-31", turns: 3, costUsd: 0.75 });
  now += 2 * 60_000;
  expect(again.current()).toEqual({ date: "2026-02-01", turns: 0, costUsd: 0 });
  again.add(1);
  expect(again.current()).toEqual({ date: "2026-02-01", turns: 1, costUsd: 1 });
  expect(await second.usage.of("2026-01-31")).toEqual({ turns: 3, costUsd: 0.75 });
  await second.close();
});

test("a file of an older daemon gets the table, and an older daemon opens ours: its number is the same", async () => {
  await using directory = await createTmpDir("usage-");
  const path = directory.join("daemon.sqlite");
  await openSqliteStore({ path, log }).close();
  const older = new Database(path);
  const version = older.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version;
  older.run("DROP TABLE usage");
  older.close();
  const store = openSqliteStore({ path, log });
  store.usage.add({ date: "2026-01-31", turns: 1, costUsd: 1 });
  expect(await store.usage.of("2026-01-31")).toEqual({ turns: 1, costUsd: 1 });
  await store.close();
  const after = new Database(path);
  expect(after.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version).toBe(version ?? -1);
  after.close();
});

test("chat turns, agent turns of a stateless client and turns of sessions are all counted", async () => {
  const finished: (number | undefined)[] = [];
  const metrics = new MetricsRecorder((costUsd) => finished.push(costUsd));
  await using running = await startEngine({ deps: { metrics }, registry: { metrics } });
  running.api.always(text("hello"));
  await running.answer({ model: "sonnet", messages: [user("hi")] });
  expect(finished).toHaveLength(1);
  await running.answer({ model: "claude-code", messages: [user("hi")] });
  expect(finished).toHaveLength(2);
  const session = await running.engine.sessions.create({ workspace: undefined, model: "claude-code" });
  const signal = new AbortController().signal;
  const { done } = session.submit({ content: [{ type: "text", text: "hi" }], verbatim: true, signal });
  const { status, costUsd } = await done;
  expect(status).toBe("completed");
  expect(finished).toEqual([expect.any(Number), expect.any(Number), costUsd ?? 0]);
  expect(metrics.firstTokens().turns).toBe(3);
  expect(metrics.snapshot()).toMatchObject({ turnsRunning: 0, turnsEnded: { end: 3 } });
});

test("only conversations count for the pool's hit rate, not that claude is asked for its models", async () => {
  await using running = await startEngine();
  running.api.always(text("hello"));
  await running.engine.describe();
  expect(running.engine.status()).toMatchObject({ hits: 0, misses: 0 });
  await running.answer({ model: "claude-code", messages: [user("hi")] });
  expect(running.engine.status()).toMatchObject({ hits: 0, misses: 1 });
});

test("a bounded number of days is kept", async () => {
  const store = openSqliteStore({ path: ":memory:", log });
  const start = new Date(2024, 0, 1).getTime();
  const day = (index: number) => dayOf(start + index * 86_400_000 + 43_200_000);
  for (let index = 0; index < 410; index++) store.usage.add({ date: day(index), turns: 1, costUsd: 1 });
  await store.prune();
  expect((await store.usage.of(day(9))).turns).toBe(0);
  expect((await store.usage.of(day(10))).turns).toBe(1);
  await store.close();
});

test("the median of first tokens is exact, by kind of start, and of the last turns only", () => {
  const window = new FirstTokenWindow();
  expect(window.summary()).toEqual({ turns: 0, medianSeconds: undefined, byStart: {} });
  for (const seconds of [9, 1, 2]) window.add("cold", seconds);
  window.add("live", 4);
  expect(window.summary()).toEqual({
    turns: 4,
    medianSeconds: 3,
    byStart: { cold: { turns: 3, medianSeconds: 2 }, live: { turns: 1, medianSeconds: 4 } },
  });
  for (let index = 0; index < 512; index++) window.add("spare", 7);
  expect(window.summary()).toEqual({
    ...{ turns: 512, medianSeconds: 7 },
    byStart: { spare: { turns: 512, medianSeconds: 7 } },
  });
});
