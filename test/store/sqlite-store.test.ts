import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DaemonError } from "../../src/errors.ts";
import { createLogger } from "../../src/log.ts";
import type { SessionRecord, TurnRecord } from "../../src/store/records.ts";
import { openSqliteStore, type SqliteStoreOptions } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";

const lines: string[] = [];
const log = createLogger({ level: "debug", timestamps: false, write: (line) => void lines.push(line) });
const cleanups: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  lines.length = 0;
});

function temporaryFile(): string {
  const directory = mkdtempSync(join(tmpdir(), "store-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "state", "state.db");
}

function open(path: string, options: Partial<SqliteStoreOptions> = {}): Store {
  const store = openSqliteStore({ path, log, ...options });
  let closed = false;
  const close = store.close;
  store.close = async () => {
    if (!closed) await close();
    closed = true;
  };
  cleanups.push(store.close);
  return store;
}

const usage = { inputTokens: 1, outputTokens: 2, cacheReadTokens: undefined, cacheWriteTokens: undefined };

function session(id: string, lastActiveAt = 1, more: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id,
    workspace: "/w",
    model: "claude-code",
    permissionMode: "acceptEdits",
    origin: "code",
    claudeSessionId: undefined,
    forkPending: false,
    title: undefined,
    createdAt: 1,
    lastActiveAt,
    closedAt: undefined,
    turns: 0,
    usage,
    costUsd: 0,
    options: {},
    ...more,
  };
}

function turn(sessionId: string, number: number, status: TurnRecord["status"]): TurnRecord {
  return {
    id: `trn_${sessionId}_${number}`,
    sessionId,
    number,
    status,
    prompt: "p",
    content: "c",
    model: undefined,
    createdAt: 1,
    startedAt: 1,
    endedAt: undefined,
    reason: undefined,
    rawReason: undefined,
    usage: undefined,
    costUsd: undefined,
    numTurns: undefined,
    filesChanged: [{ path: "a", status: "added", additions: 1, deletions: 0, binary: false }],
    permissionDenials: [],
    error: undefined,
  };
}

const event = (seq: number) => ({ seq, firstSeq: seq, at: seq, event: { type: "x", n: seq }, cuts: undefined });

test("what was written is there after closing and opening again", async () => {
  const path = temporaryFile();
  const first = open(path);
  first.sessions.put(session("ses_a", 5, { claudeSessionId: "c-1", title: "naïve 🎉" }));
  first.turns.put(turn("ses_a", 1, "completed"));
  first.events.append("ses_a", { ...event(3), firstSeq: 1, cuts: [1, 4, 9] });
  first.prefixes.put({ hash: "h", owner: "ses_a", data: { at: 1 }, usedAt: 2 });
  first.changes.put({ id: "trn_ses_a_1", sessionId: "ses_a", workspace: "/w", at: 1, data: { tree: "t" } });
  await first.close();
  const second = open(path);
  expect(await second.sessions.get("ses_a")).toMatchObject({
    title: "naïve 🎉",
    claudeSessionId: "c-1",
    usage: { outputTokens: 2 },
  });
  expect((await second.sessions.byClaudeSession("c-1"))?.id).toBe("ses_a");
  expect((await second.turns.get("ses_a", "trn_ses_a_1"))?.filesChanged?.[0]?.path).toBe("a");
  expect(await second.turns.get("ses_other", "trn_ses_a_1")).toBeUndefined();
  expect(await second.events.read("ses_a", { after: 2, limit: 10 })).toEqual([
    { ...event(3), firstSeq: 1, cuts: [1, 4, 9] },
  ]);
  expect(await second.events.bounds("ses_a")).toEqual({ first: 1, last: 3 });
  expect((await second.prefixes.get("h"))?.data).toEqual({ at: 1 });
  expect((await second.changes.get("trn_ses_a_1"))?.data).toEqual({ tree: "t" });
});

test("sessions come most recently active first, in pages, closed ones only when asked", async () => {
  const store = open(":memory:");
  for (let index = 1; index <= 5; index++) store.sessions.put(session(`ses_${index}`, Math.ceil(index / 2)));
  store.sessions.put(session("ses_6", 9, { closedAt: 9 }));
  const first = await store.sessions.list({ limit: 2 });
  expect(first.items.map((item) => item.id)).toEqual(["ses_5", "ses_4"]);
  store.sessions.put(session("ses_7", 10));
  const second = await store.sessions.list({ limit: 9, ...(first.next ? { before: first.next } : {}) });
  expect(second.items.map((item) => item.id)).toEqual(["ses_3", "ses_2", "ses_1"]);
  expect(second.next).toBeUndefined();
  expect((await store.sessions.list({ limit: 1, closed: true })).items[0]?.id).toBe("ses_7");
  expect((await store.sessions.list({ limit: 9, workspace: "/elsewhere" })).items).toEqual([]);
  expect((await store.sessions.list({ limit: 1, before: "nonsense" })).items).toHaveLength(1);
});

test("a session that is deleted takes its rows with it, and late writes to it harm nothing else", async () => {
  const store = open(":memory:");
  store.sessions.put(session("ses_a"));
  store.events.append("ses_a", event(1));
  store.turns.put(turn("ses_a", 1, "running"));
  store.sessions.delete("ses_a");
  store.events.append("ses_a", event(2));
  store.sessions.put(session("ses_b"));
  await store.flush();
  expect(await store.turns.unfinished()).toEqual([]);
  expect(await store.events.read("ses_a", { after: 0, limit: 9 })).toEqual([]);
  expect((await store.sessions.get("ses_b"))?.id).toBe("ses_b");
});

test("turns without an end are found", async () => {
  const store = open(":memory:");
  store.sessions.put(session("ses_a"));
  for (const [number, status] of (["completed", "running", "queued"] as const).entries()) {
    store.turns.put(turn("ses_a", number + 1, status));
  }
  expect((await store.turns.unfinished()).map((item) => item.number)).toEqual([2, 3]);
  store.turns.put(turn("ses_a", 2, "interrupted"));
  expect((await store.turns.unfinished()).map((item) => item.number)).toEqual([3]);
  expect((await store.turns.list("ses_a", { limit: 2 })).items.map((item) => item.number)).toEqual([3, 2]);
});

test("the file and its directory are the user's alone, whatever the umask", async () => {
  const path = temporaryFile();
  const umask = process.umask(0);
  try {
    open(path).sessions.put(session("ses_a"));
  } finally {
    process.umask(umask);
  }
  const directory = join(path, "..");
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(directory)) {
    expect([name, statSync(join(directory, name)).mode & 0o777]).toEqual([name, 0o600]);
  }
});

test("a file of a newer version is refused and left as it was, unless it says that this one can go on with it", async () => {
  const path = temporaryFile();
  await open(path).close();
  const { Database } = await import("bun:sqlite");
  const change = (statement: string) => {
    const raw = new Database(path);
    raw.run(statement);
    raw.close();
  };
  change("PRAGMA user_version = 999");
  const newer = open(path);
  await newer.close();

  change("PRAGMA application_id = 999");
  const refused = () => open(path);
  expect(refused).toThrow(/newer version \(schema 999/);
  expect(refused).toThrow(expect.objectContaining({ detail: { exit: 78 } }));
  expect(readdirSync(join(path, "..")).filter((name) => name.includes("damaged"))).toEqual([]);
});

for (const [kind, damage] of [
  ["is no database", (path: string) => writeFileSync(path, Buffer.alloc(8192, 1))],
  ["was cut short", (path: string) => truncateSync(path, 8192)],
  ["has a zeroed header", (path: string) => writeFileSync(path, Buffer.alloc(100), { flag: "r+" })],
] as const) {
  test(`a file that ${kind} is moved aside, said so, and a fresh one started`, async () => {
    const path = temporaryFile();
    const first = open(path);
    first.sessions.put(session("ses_a"));
    await first.close();
    damage(path);
    const second = open(path);
    expect(await second.sessions.get("ses_a")).toBeUndefined();
    second.sessions.put(session("ses_b"));
    await second.flush();
    expect(readdirSync(join(path, "..")).filter((name) => /damaged-\d+$/.test(name))).toHaveLength(1);
    expect(lines.join("")).toContain("was moved aside");
  });
}

test("an empty file is a fresh start, not damage", async () => {
  const path = temporaryFile();
  await open(path).close();
  truncateSync(path, 0);
  expect(await open(path).sessions.get("ses_a")).toBeUndefined();
  expect(lines.join("")).not.toContain("damaged");
});

test("a second daemon on the same state is told so", async () => {
  const path = temporaryFile();
  open(path).sessions.put(session("ses_a"));
  expect(() => open(path)).toThrow(/Another claude-code-daemon uses this state directory/);
});

test("a full disk is said, reads go on, and what waited is stored once there is room", async () => {
  const path = temporaryFile();
  const store = open(path, { maxFileBytes: 400_000 });
  store.sessions.put(session("ses_a"));
  await store.flush();
  const bulk = "x".repeat(20_000);
  let failure: unknown;
  for (let seq = 1; seq <= 40 && failure === undefined; seq++) {
    store.events.append("ses_a", { ...event(seq), event: { bulk } });
    await store.flush().catch((error: unknown) => {
      failure = error;
    });
  }
  expect(failure).toBeInstanceOf(DaemonError);
  expect((failure as DaemonError).code).toBe("overloaded");
  expect((failure as DaemonError).detail.reason).toBe("storage_full");
  expect(store.problem()).toContain("disk is full");
  expect((await store.sessions.get("ses_a"))?.id).toBe("ses_a");
  const { first } = await store.events.bounds("ses_a");
  expect(first).toBe(1);
});

test("retention drops the oldest first, in bounded passes", async () => {
  const store = open(":memory:", {
    retention: { sessions: 3, prefixes: 2, changes: 1 },
  });
  for (let index = 1; index <= 5; index++) {
    store.sessions.put(session(`ses_${index}`, index));
    store.prefixes.put({ hash: `h${index}`, owner: "o", data: null, usedAt: index });
    store.changes.put({ id: `c${index}`, sessionId: `ses_${index}`, workspace: "/w", at: index, data: null });
    for (let seq = 1; seq <= 5; seq++) store.events.append(`ses_${index}`, event(seq));
  }
  while (await store.prune());
  expect((await store.sessions.list({ limit: 9 })).items.map((item) => item.id)).toEqual(["ses_5", "ses_4", "ses_3"]);
  expect(await store.events.bounds("ses_3")).toEqual({ first: 1, last: 5 });
  expect(await store.prefixes.get("h3")).toBeUndefined();
  expect(await store.prefixes.get("h4")).toBeDefined();
  expect((await store.changes.get("c5"))?.id).toBe("c5");
});

test("past the bound of the file the longest silent sessions lose their events, nobody their record", async () => {
  const store = open(":memory:", { retention: { fileBytes: 1_500_000 } });
  const text = "x".repeat(1000);
  for (let index = 1; index <= 5; index++) {
    store.sessions.put(session(`ses_${index}`, index));
    for (let seq = 1; seq <= 500; seq++) store.events.append(`ses_${index}`, { ...event(seq), event: { text } });
  }
  while (await store.prune());
  expect((await store.events.bounds("ses_1")).last).toBe(0);
  expect(await store.events.bounds("ses_5")).toEqual({ first: 1, last: 500 });
  expect((await store.sessions.list({ limit: 9 })).items).toHaveLength(5);
});

test("a session's own events are bounded while it runs", async () => {
  const store = open(":memory:", { retention: { eventsPerSession: 2000 } });
  store.sessions.put(session("ses_a"));
  for (let seq = 1; seq <= 10_000; seq++) store.events.append("ses_a", event(seq));
  const { first, last } = await store.events.bounds("ses_a");
  expect(last).toBe(10_000);
  expect(last - first).toBeLessThan(2000 + 4096);
  // Numbers jump after a crash: that is no reason to forget.
  store.events.append("ses_a", event(100_000));
  expect((await store.events.bounds("ses_a")).first).toBeGreaterThan(6000);
  expect((await store.events.read("ses_a", { after: 9_998, limit: 9 })).map((row) => row.seq)).toEqual([
    9_999, 10_000, 100_000,
  ]);
});

test("everything that was flushed survives a kill -9", async () => {
  const path = temporaryFile();
  const script = `
    import { openSqliteStore } from ${JSON.stringify(new URL("../../src/store/sqlite-store.ts", import.meta.url).pathname)};
    const quiet = { error() {}, warn() {}, info() {}, debug() {}, child: () => quiet, enabled: () => false };
    const store = openSqliteStore({ path: process.argv[1], log: quiet });
    const session = ${JSON.stringify(session("ses_a"))};
    store.sessions.put(session);
    for (let seq = 1; ; seq++) {
      store.events.append("ses_a", { seq, firstSeq: seq, at: 1, event: {} });
      await store.flush();
      await Bun.write(Bun.stdout, seq + "\\n");
    }`;
  const child = Bun.spawn([process.execPath, "-e", script, path], { stdout: "pipe", stderr: "inherit" });
  let said = "";
  for await (const chunk of child.stdout) {
    said += Buffer.from(chunk).toString();
    if (said.length > 2000) child.kill("SIGKILL");
  }
  await child.exited;
  const last = Number(said.trimEnd().split("\n").at(-1));
  expect(last).toBeGreaterThan(100);
  expect((await open(path).events.bounds("ses_a")).last).toBeGreaterThanOrEqual(last);
});
