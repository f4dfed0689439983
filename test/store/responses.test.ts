import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../src/log.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";

const log = createLogger({ level: "error", timestamps: false, write: () => {} });

test("responses are found again after a restart, until they are deleted", async () => {
  const directory = mkdtempSync(join(tmpdir(), "store-"));
  try {
    const path = join(directory, "state.db");
    const store = openSqliteStore({ path, log });
    store.responses.put({ id: "resp_a", json: '{"a":1}' });
    store.responses.put({ id: "resp_b", json: '{"b":1}' });
    store.responses.put({ id: "resp_b", json: '{"b":2}' });
    await store.close();
    const again = openSqliteStore({ path, log });
    expect(await again.responses.get("resp_a")).toEqual({ id: "resp_a", json: '{"a":1}' });
    expect(await again.responses.get("resp_b")).toEqual({ id: "resp_b", json: '{"b":2}' });
    again.responses.delete("resp_a");
    expect(await again.responses.get("resp_a")).toBeUndefined();
    await again.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("past their number or their size the oldest responses go, and only as many as must", async () => {
  const store = openSqliteStore({ path: ":memory:", log, retention: { responses: 250, responseBytes: 200_000 } });
  const kept = async () => {
    const found: number[] = [];
    for (let index = 0; index < 300; index++) if (await store.responses.get(`resp_${index}`)) found.push(index);
    return found;
  };
  for (let index = 0; index < 300; index++) store.responses.put({ id: `resp_${index}`, json: "x".repeat(10) });
  while (await store.prune());
  expect(await kept()).toEqual(Array.from({ length: 250 }, (_, index) => index + 50));
  // The newest 250 rows now hold 250 KB; what is over goes a tenth at a time.
  for (let index = 50; index < 300; index++) store.responses.put({ id: `resp_${index}`, json: "x".repeat(1000) });
  while (await store.prune());
  const left = await kept();
  expect(left.at(-1)).toBe(299);
  expect(left.length).toBeLessThanOrEqual(200);
  expect(left.length).toBeGreaterThan(170);
  await store.close();
});
