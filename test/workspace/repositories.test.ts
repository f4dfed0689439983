/** Repositories of every form: what git calls special must not make a list wrong, or an undo lossy. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createPlace, git, newTurnId, type Place, readTree, write } from "./tree.ts";

const FILES: Record<string, string> = {
  "a.txt": "a\n",
  "dir/b.txt": "b\n",
  "dir/deep/c.txt": "c\n",
  "other/d.txt": "d\n",
};

function repository(workspace: string, ...flags: string[]): void {
  git(workspace, "init", "-q", ...flags, ".");
  for (const [path, content] of Object.entries(FILES)) write(workspace, path, content);
  git(workspace, "add", "-A");
  git(workspace, "commit", "-q", "-m", "initial");
}

/** Three turns in a row see exactly what is done in them, and each is taken back whole. */
async function holds(place: Place, workspace: string, present: string[]): Promise<void> {
  const skip = (name: string) => name === ".git";
  for (let round = 0; round < 3; round++) {
    const before = readTree(workspace, skip);
    const [first = "", second = ""] = present;
    const turn = await place.during(() => {
      write(workspace, first, `changed ${round}\n`);
      rmSync(`${workspace}/${second}`);
      write(workspace, `new/${round}.txt`, "new\n");
    }, workspace);
    const told = turn.record?.files?.map(({ status, path }) => `${status} ${path}`);
    expect(told?.sort()).toEqual([`added new/${round}.txt`, `deleted ${second}`, `modified ${first}`]);
    if (!turn.record) throw new Error("no record");
    expect(await place.changes.undo(turn.record, { undoId: newTurnId() })).toMatchObject({
      applied: true,
      conflicts: [],
    });
    expect([...readTree(workspace, skip)]).toEqual([...before]);
    turn.close();
    // The user works between the turns: another commit, another index.
    write(workspace, "between.txt", `${round}\n`);
    if (round === 1 && existsSync(`${workspace}/.git/HEAD`)) git(workspace, "add", "between.txt");
  }
}

test("an index of any form serves: version 4, split, with an untracked cache", async () => {
  for (const flags of [["--index-version", "4"], ["--split-index"], ["--untracked-cache"]]) {
    await using place = await createPlace();
    repository(place.workspace);
    git(place.workspace, "update-index", ...flags);
    await holds(place, place.workspace, ["a.txt", "dir/b.txt"]);
  }
});

test("a sparse checkout does not make its missing files deleted", async () => {
  for (const flags of [["--cone"], ["--cone", "--sparse-index"]]) {
    await using place = await createPlace();
    repository(place.workspace);
    git(place.workspace, "sparse-checkout", "set", ...flags, "dir");
    expect(readdirSync(place.workspace).sort()).toEqual([".git", "a.txt", "dir"]);
    await holds(place, place.workspace, ["a.txt", "dir/b.txt"]);
  }
});

test("linked worktrees, SHA-256 objects, and a repository without a commit serve as well", async () => {
  await using place = await createPlace();
  repository(place.workspace);
  const linked = place.directory.join("linked");
  git(place.workspace, "worktree", "add", "-q", linked);
  await holds(place, linked, ["a.txt", "dir/b.txt"]);
  const modern = place.directory.join("modern");
  mkdirSync(modern);
  repository(modern, "--object-format=sha256");
  await holds(place, modern, ["a.txt", "dir/b.txt"]);
  const unborn = place.directory.join("unborn");
  mkdirSync(unborn);
  git(unborn, "init", "-q", ".");
  write(unborn, "a.txt", "a\n");
  write(unborn, "dir/b.txt", "b\n");
  git(unborn, "add", "a.txt");
  await holds(place, unborn, ["a.txt", "dir/b.txt"]);
});

test("a directory named .git that is no repository, and a conflict in the middle of a merge, do no harm", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  mkdirSync(`${workspace}/.git`);
  write(workspace, "a.txt", "a\n");
  write(workspace, "b.txt", "b\n");
  await holds(place, workspace, ["a.txt", "b.txt"]);
  const merging = place.directory.join("merging");
  mkdirSync(merging);
  repository(merging);
  git(merging, "checkout", "-q", "-b", "side");
  write(merging, "a.txt", "side\n");
  git(merging, "commit", "-q", "-am", "side");
  git(merging, "checkout", "-q", "main");
  write(merging, "a.txt", "main\n");
  git(merging, "commit", "-q", "-am", "main");
  expect(() => git(merging, "merge", "side")).toThrow();
  await holds(place, merging, ["a.txt", "dir/b.txt"]);
});

test("the user's history may be rewritten and collected between turns", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  repository(workspace);
  await holds(place, workspace, ["a.txt", "dir/b.txt"]);
  git(workspace, "commit", "-q", "--amend", "-m", "another");
  git(workspace, "reflog", "expire", "--expire=now", "--all");
  git(workspace, "gc", "-q", "--prune=now");
  await holds(place, workspace, ["a.txt", "dir/b.txt"]);
});

test.if(process.getuid?.() === 0)("a directory that belongs to somebody else is watched like any other", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  repository(workspace);
  Bun.spawnSync(["chown", "-R", "12345:12345", workspace]);
  expect(() => git(workspace, "status")).toThrow("dubious ownership");
  const turn = await place.during(() => write(workspace, "a.txt", "changed\n"));
  expect(turn.record?.files?.map((file) => file.path)).toEqual(["a.txt"]);
});

test("the user's repository is as it was, down to the times of its files, through turns, undo and retention", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  repository(workspace);
  git(workspace, "gc", "-q");
  write(workspace, "a.txt", "stashed\n");
  git(workspace, "stash", "-q");
  write(workspace, "staged.txt", "staged\n");
  git(workspace, "add", "staged.txt");
  write(workspace, "dir/b.txt", "dirty\n");
  git(workspace, "status");
  const look = () => {
    const below = readdirSync(`${workspace}/.git`, { recursive: true }) as string[];
    return below.sort().map((path) => {
      const found = statSync(`${workspace}/.git/${path}`, { bigint: true });
      const content = found.isFile() ? Bun.hash(readFileSync(`${workspace}/.git/${path}`)) : "";
      return `${path} ${found.mtimeNs} ${found.ctimeNs} ${found.ino} ${content}`;
    });
  };
  const before = look();
  for (let round = 0; round < 3; round++) {
    const turn = await place.during(() => {
      write(workspace, "a.txt", `${round}\n`);
      // A content that the repository has already: git would freshen its object.
      write(workspace, "copy.txt", "d\n");
      rmSync(`${workspace}/dir/deep/c.txt`);
    });
    if (!turn.record) throw new Error("no record");
    const undone = await place.changes.undo(turn.record, { undoId: newTurnId() });
    expect(undone.conflicts).toEqual([]);
    turn.close();
    expect(look()).toEqual(before);
    writeFileSync(`${workspace}/round`, `${round}\n`);
  }
  rmSync(`${workspace}/round`);
  expect(look()).toEqual(before);
  const status = git(workspace, "--no-optional-locks", "status", "--porcelain").toString();
  expect(status).toBe(" M dir/b.txt\nA  staged.txt\n");
  expect(git(workspace, "stash", "list").toString()).toContain("stash@{0}");
});
