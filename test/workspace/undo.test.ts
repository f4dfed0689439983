import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createLogger } from "../../src/log.ts";
import {
  blobId,
  KeptContents,
  MAX_KEPT_AGE_MS,
  MAX_KEPT_TURNS,
  openKeptContents,
  sweepKept,
} from "../../src/workspace/contents.ts";
import type { ChangeRecord, TurnChanges, UndoOptions } from "../../src/workspace/records.ts";
import { createWorkspaceChanges } from "../../src/workspace/workspace-changes.ts";
import { createTmpDir } from "../support/tmp-dir.ts";
import { createPlace, newTurnId, type Place, readTree, write } from "./tree.ts";

function recordOf(turn: TurnChanges): ChangeRecord {
  if (!turn.record) throw new Error("no record");
  return turn.record;
}

const undo = (place: Place, record: ChangeRecord, options: Omit<UndoOptions, "undoId"> = {}) =>
  place.changes.undo(record, { undoId: newTurnId(), ...options });

/** Three files changed, one made in a new directory. */
async function worked(place: Place): Promise<ChangeRecord> {
  for (const name of ["a", "b", "c"]) write(place.workspace, name, `old ${name}\n`);
  const turn = await place.during(() => {
    write(place.workspace, "a", "new a\n");
    write(place.workspace, "b", "new b\n", 0o755);
    rmSync(`${place.workspace}/c`);
    write(place.workspace, "made/here/d", "new d\n");
  });
  turn.close();
  return recordOf(turn);
}

test("a dry run tells what would change and touches nothing", async () => {
  await using place = await createPlace();
  const record = await worked(place);
  const before = readTree(place.workspace);
  const result = await undo(place, record, { dryRun: true });
  expect(result.applied).toBe(false);
  expect(result.record).toBeUndefined();
  expect(result.files.map(({ status, path }) => `${status} ${path}`)).toEqual([
    "modified a",
    "modified b",
    "added c",
    "deleted made/here/d",
  ]);
  expect(result.files[0]?.diff).toContain("-new a\n+old a\n");
  expect([...readTree(place.workspace)]).toEqual([...before]);
});

test("an undo is undone, and that too", async () => {
  await using place = await createPlace();
  const record = await worked(place);
  const after = readTree(place.workspace);
  const undone = await undo(place, record);
  const before = readTree(place.workspace);
  expect([...before.keys()]).toEqual(["a", "b", "c"]);
  expect(existsSync(`${place.workspace}/made`)).toBe(false);
  if (!undone.record) throw new Error("no record");
  const redone = await undo(place, undone.record);
  expect([...readTree(place.workspace)]).toEqual([...after]);
  if (!redone.record) throw new Error("no record");
  await undo(place, redone.record);
  expect([...readTree(place.workspace)]).toEqual([...before]);
});

test("a file that has changed since refuses the whole undo, unless forced or left out", async () => {
  await using place = await createPlace();
  const record = await worked(place);
  write(place.workspace, "a", "the user's own\n");
  const before = readTree(place.workspace);
  const refused = await undo(place, record);
  expect(refused).toMatchObject({ applied: false, conflicts: [{ path: "a", reason: "changed" }] });
  expect([...readTree(place.workspace)]).toEqual([...before]);
  const part = await undo(place, record, { paths: ["b", "made"] });
  expect(part).toMatchObject({ applied: true, conflicts: [] });
  expect(readFileSync(`${place.workspace}/b`, "utf8")).toBe("old b\n");
  expect(statSync(`${place.workspace}/b`).mode & 0o111).toBe(0);
  expect(existsSync(`${place.workspace}/made`)).toBe(false);
  const forced = await undo(place, record, { force: true });
  expect(forced.applied).toBe(true);
  expect(readFileSync(`${place.workspace}/a`, "utf8")).toBe("old a\n");
  if (!forced.record) throw new Error("no record");
  await undo(place, forced.record);
  expect(readFileSync(`${place.workspace}/a`, "utf8")).toBe("the user's own\n");
});

test("a path that the turn did not change is refused by name", async () => {
  await using place = await createPlace();
  const record = await worked(place);
  for (const path of ["other", "../a", "", "made/here/d/e"]) {
    await expect(undo(place, record, { paths: ["a", path] })).rejects.toMatchObject({
      code: "invalid_request",
      detail: { param: "paths[1]" },
    });
  }
});

test("what is restored already is no conflict", async () => {
  await using place = await createPlace();
  const record = await worked(place);
  await undo(place, record);
  const again = await undo(place, record);
  expect(again).toMatchObject({ applied: false, conflicts: [], files: [] });
  expect(again.notice).toContain("Nothing is left to undo");
  expect(again.record).toBeUndefined();
});

test("nothing is written or removed outside the workspace through a link", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  const outside = place.directory.join("outside");
  mkdirSync(outside);
  writeFileSync(`${outside}/victim`, "safe\n");
  writeFileSync(`${outside}/added`, "safe\n");
  write(workspace, "dir/victim", "old\n");
  write(workspace, "dir/stays", "stays\n");
  const turn = await place.during(() => {
    rmSync(`${workspace}/dir/victim`);
    write(workspace, "dir/added", "new\n");
  });
  rmSync(`${workspace}/dir`, { recursive: true });
  symlinkSync(outside, `${workspace}/dir`);
  for (const force of [false, true]) {
    const result = await undo(place, recordOf(turn), { force });
    expect(result.conflicts).toContainEqual(expect.objectContaining({ path: "dir/victim", reason: "unsafe" }));
    expect(readdirSync(outside).sort()).toEqual(["added", "victim"]);
    expect(readFileSync(`${outside}/victim`, "utf8")).toBe("safe\n");
    expect(readFileSync(`${outside}/added`, "utf8")).toBe("safe\n");
  }
});

test("a link that the turn put in a file's place is replaced, not written through", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  writeFileSync(place.directory.join("victim"), "safe\n");
  write(workspace, "file", "old\n");
  const turn = await place.during(() => {
    rmSync(`${workspace}/file`);
    symlinkSync(place.directory.join("victim"), `${workspace}/file`);
  });
  expect(await undo(place, recordOf(turn))).toMatchObject({ applied: true, conflicts: [] });
  expect(readTree(workspace).get("file")).toBe("- old\n");
  expect(readFileSync(place.directory.join("victim"), "utf8")).toBe("safe\n");
});

test("a record that was tampered with leads nowhere", async () => {
  await using place = await createPlace();
  const record = await worked(place);
  for (const path of ["../escape", "a/../../escape", "/etc/escape", "a//b", "./a", "x\0y"]) {
    const damaged = { ...record, paths: [{ path, before: record.paths[0]?.before, after: { kind: "absent" } }] };
    await expect(undo(place, damaged as ChangeRecord)).rejects.toMatchObject({ code: "invalid_request" });
  }
});

test("permissions of a file that is still there are kept, and no temporary file is left", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  write(workspace, "secret", "old\n", 0o600);
  const turn = await place.during(() => writeFileSync(`${workspace}/secret`, "new\n"));
  await undo(place, recordOf(turn));
  expect(statSync(`${workspace}/secret`).mode & 0o777).toBe(0o600);
  expect(readdirSync(workspace)).toEqual(["secret"]);
  const bits = await place.during(() => chmodSync(`${workspace}/secret`, 0o700));
  await undo(place, recordOf(bits));
  expect(statSync(`${workspace}/secret`).mode & 0o777).toBe(0o600);
});

test("a record outlives the daemon, as JSON", async () => {
  await using place = await createPlace();
  const record = await worked(place);
  await place.changes.close();
  const next = createWorkspaceChanges({
    stateDirectory: place.state,
    home: place.home,
    searchPath: process.env.PATH ?? "",
    log: createLogger({ level: "warn", timestamps: false }),
  });
  const stored = JSON.parse(JSON.stringify(record)) as ChangeRecord;
  expect(await next.undo(stored, { undoId: "trn_later" })).toMatchObject({ applied: true, conflicts: [] });
  expect([...readTree(place.workspace)].map(([path, content]) => `${path} ${content}`)).toEqual([
    "a - old a\n",
    "b - old b\n",
    "c - old c\n",
  ]);
  await next.close();
});

test("what retention has dropped is said to be lost", async () => {
  await using place = await createPlace();
  const record = await worked(place);
  rmSync(`${place.state}/changes/kept`, { recursive: true });
  const result = await undo(place, record);
  expect(result.applied).toBe(false);
  expect(result.conflicts.map(({ path, reason }) => `${path} ${reason}`)).toEqual(["a lost", "b lost", "c lost"]);
});

test("kept contents survive a cut at any byte, up to the cut", async () => {
  await using directory = await createTmpDir("kept-");
  const contents = ["", "short", "long ".repeat(1000), "\0binary\xff"].map((text) => Buffer.from(text, "latin1"));
  const kept = new KeptContents(directory.path, "trn_x");
  for (const content of contents) expect(await kept.put(blobId(content), content)).toBe(true);
  await kept.close();
  const [name = ""] = readdirSync(directory.path);
  const whole = readFileSync(directory.join(name));
  expect(whole.length).toBeLessThan(1000);
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(directory.join(name), whole.subarray(0, length));
    const reader = await openKeptContents(directory.path, "trn_x");
    for (const content of contents) {
      const found = await reader.get(blobId(content));
      if (found !== undefined || length === whole.length) expect(found).toEqual(content);
    }
    await reader.close();
  }
});

test("retention drops the oldest turns first: by number and by age", async () => {
  await using directory = await createTmpDir("kept-");
  const now = Date.now();
  const put = (name: string, ageMs: number) => {
    writeFileSync(directory.join(name), "x");
    utimesSync(directory.join(name), new Date(now - ageMs), new Date(now - ageMs));
  };
  for (let index = 0; index < MAX_KEPT_TURNS + 3; index++) put(`${index}`, index * 1000);
  put("ancient", MAX_KEPT_AGE_MS + 1000);
  await sweepKept(directory.path, now);
  const left = readdirSync(directory.path);
  expect(left).toHaveLength(MAX_KEPT_TURNS);
  expect(left).not.toContain(`${MAX_KEPT_TURNS}`);
  expect(left).not.toContain("ancient");
});
