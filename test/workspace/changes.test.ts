import { expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import type { FileChange } from "../../src/turn/changes.ts";
import { MAX_FILE_BYTES } from "../../src/workspace/contents.ts";
import type { TurnChanges } from "../../src/workspace/records.ts";
import { bytes, createPlace, git, linkTo, newTurnId, type Place, readTree, write } from "./tree.ts";

const files = (turn: TurnChanges): FileChange[] => {
  if (turn.record?.files === undefined) throw new Error(turn.record?.notice);
  return turn.record.files;
};
/** `status path`, one each. */
const told = (turn: TurnChanges) =>
  files(turn).map(({ status, path, previousPath }) => `${status} ${previousPath ? `${previousPath} > ` : ""}${path}`);

const undo = (
  place: Place,
  turn: TurnChanges,
  options: { force?: boolean; paths?: string[]; dryRun?: boolean } = {},
) => {
  if (!turn.record) throw new Error("no record");
  return place.changes.undo(turn.record, { undoId: newTurnId(), ...options });
};

function repository(workspace: string, tracked: Record<string, string>): void {
  git(workspace, "init", "-q", ".");
  for (const [path, content] of Object.entries(tracked)) write(workspace, path, content);
  git(workspace, "add", "-A");
  git(workspace, "commit", "-q", "-m", "initial");
}

test("a change is told with its diff, in git's own form", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  repository(workspace, { "a.txt": "one\ntwo\nthree\n", "old.txt": "gone\n", "same.txt": "same\n" });
  const turn = await place.during(() => {
    write(workspace, "a.txt", "one\n2\nthree\nfour");
    write(workspace, "dir/new.txt", "new\n");
    rmSync(`${workspace}/old.txt`);
    write(workspace, "same.txt", "other\n");
    write(workspace, "same.txt", "same\n");
  });
  expect(files(turn)).toEqual([
    {
      path: "a.txt",
      status: "modified",
      additions: 2,
      deletions: 1,
      binary: false,
      diff: "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,4 @@\n one\n-two\n+2\n three\n+four\n\\ No newline at end of file\n",
    },
    {
      path: "dir/new.txt",
      status: "added",
      additions: 1,
      deletions: 0,
      binary: false,
      diff: "diff --git a/dir/new.txt b/dir/new.txt\nnew file mode 100644\n--- /dev/null\n+++ b/dir/new.txt\n@@ -0,0 +1 @@\n+new\n",
    },
    {
      path: "old.txt",
      status: "deleted",
      additions: 0,
      deletions: 1,
      binary: false,
      diff: "diff --git a/old.txt b/old.txt\ndeleted file mode 100644\n--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n",
    },
  ]);
  // git itself takes it: the diffs turn the old tree into the new one.
  await undo(place, turn);
  const patch = place.directory.join("patch");
  writeFileSync(
    patch,
    files(turn)
      .map((file) => file.diff)
      .join(""),
  );
  git(workspace, "apply", patch);
  expect(readTree(workspace).get("a.txt")).toBe("- one\n2\nthree\nfour");
});

test("renames, modes, links and binaries are told as what they are", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  const text = Array.from({ length: 20 }, (_, line) => `line ${line}\n`).join("");
  repository(workspace, {
    "moved.txt": text,
    "edited.txt": `${text}own\n`,
    "run.sh": "echo\n",
    "image.bin": "\0\x01",
    "to-link": "x\n",
  });
  linkTo(workspace, "link", "run.sh");
  const turn = await place.during(() => {
    mkdirSync(`${workspace}/sub`);
    renameSync(`${workspace}/moved.txt`, `${workspace}/sub/moved.txt`);
    renameSync(`${workspace}/edited.txt`, `${workspace}/sub/changed.txt`);
    appendFileSync(`${workspace}/sub/changed.txt`, "more\n");
    chmodSync(`${workspace}/run.sh`, 0o755);
    write(workspace, "image.bin", "\0\x02");
    rmSync(`${workspace}/link`);
    linkTo(workspace, "link", "moved.txt");
    rmSync(`${workspace}/to-link`);
    linkTo(workspace, "to-link", "/etc/passwd");
  });
  expect(told(turn)).toEqual([
    "modified image.bin",
    "modified link",
    "modified run.sh",
    "renamed edited.txt > sub/changed.txt",
    "renamed moved.txt > sub/moved.txt",
    "modified to-link",
  ]);
  const of = (path: string) => files(turn).find((file) => file.path === path);
  expect(of("image.bin")).toMatchObject({ binary: true, additions: 0, deletions: 0 });
  expect(of("image.bin")?.diff).toBeUndefined();
  expect(of("run.sh")?.diff).toBe("diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n");
  expect(of("sub/changed.txt")).toMatchObject({ additions: 1, deletions: 0 });
  expect(of("sub/moved.txt")).toMatchObject({ additions: 0, deletions: 0 });
  expect(of("to-link")?.diff).toContain("+/etc/passwd\n\\ No newline at end of file");
  await undo(place, turn);
  expect(existsSync(`${workspace}/sub`)).toBe(false);
  expect(git(workspace, "status", "--porcelain").toString()).toBe("?? link\n");
});

test("ignored files do not count, wherever the rule stands, unless an edit tool changed them", async () => {
  await using place = await createPlace();
  const { workspace, home } = place;
  repository(workspace, { ".gitignore": "*.log\n", "sub/.gitignore": "out/\n", "kept.log.txt": "x\n" });
  mkdirSync(`${home}/.config/git`, { recursive: true });
  writeFileSync(`${home}/.config/git/ignore`, "*.global\n");
  writeFileSync(`${workspace}/.git/info/exclude`, "*.mine\n");
  write(workspace, "secret.log", "old\n");
  const turn = await place.turn();
  for (const path of ["a.log", "sub/out/x", "b.global", "c.mine", "seen.txt"]) write(workspace, path, "x\n");
  await turn.beforeEdit("Write", { file_path: `${workspace}/secret.log`, content: "new\n" });
  write(workspace, "secret.log", "new\n");
  await turn.beforeEdit("Edit", { file_path: "sub/out/made" });
  write(workspace, "sub/out/made", "made\n");
  await turn.beforeEdit("Write", { file_path: "/etc/hostname" });
  await turn.beforeEdit("Bash", { file_path: `${workspace}/a.log` });
  await turn.changes();
  expect(told(turn)).toEqual(["modified secret.log", "added seen.txt", "added sub/out/made"]);
  expect(files(turn).map((file) => file.ignored)).toEqual([true, undefined, true]);
  expect(files(turn)[0]?.diff).toContain("-old\n+new\n");
  await undo(place, turn);
  expect(readFileSync(`${workspace}/secret.log`, "utf8")).toBe("old\n");
  expect(existsSync(`${workspace}/sub/out/made`)).toBe(false);
  expect(existsSync(`${workspace}/sub/out/x`)).toBe(true);
});

test("core.excludesFile of the user's own config is heard", async () => {
  await using place = await createPlace();
  repository(place.workspace, { "a.txt": "x\n" });
  writeFileSync(`${place.home}/.gitconfig`, "[include]\n\tpath = more\n");
  writeFileSync(`${place.home}/more`, "[core]\n\texcludesFile = ~/rules\n");
  writeFileSync(`${place.home}/rules`, "*.skip\n");
  const turn = await place.during(() => {
    write(place.workspace, "b.skip", "x\n");
    write(place.workspace, "b.txt", "x\n");
  });
  expect(told(turn)).toEqual(["added b.txt"]);
});

test("a change of the same size in the same second with its time put back is seen, before and during a turn", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  for (const kind of ["plain", "repository"]) {
    const directory = `${workspace}/${kind}`;
    mkdirSync(directory);
    if (kind === "repository") repository(directory, { "a.txt": "one\n" });
    else write(directory, "a.txt", "one\n");
    const sneak = (content: string) => {
      const { atime, mtime } = statSync(`${directory}/a.txt`);
      writeFileSync(`${directory}/a.txt`, content);
      utimesSync(`${directory}/a.txt`, atime, mtime);
    };
    const old = new Date(Date.now() - 3_600_000);
    utimesSync(`${directory}/a.txt`, old, old);
    const first = await place.during(() => sneak("two\n"), directory);
    expect(files(first)[0]?.diff).toContain("-one\n+two\n");
    sneak("six\n");
    const second = await place.during(() => sneak("ten\n"), directory);
    expect(files(second)[0]?.diff).toContain("-six\n+ten\n");
    await undo(place, second);
    expect(readFileSync(`${directory}/a.txt`, "utf8")).toBe("six\n");
  }
});

test("contents are taken raw: line ends, LFS pointers, filters and hidden index flags change nothing", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  git(workspace, "init", "-q", ".");
  const ran = place.directory.join("ran");
  git(workspace, "config", "filter.evil.clean", `sh -c 'touch ${ran}; tr a-z A-Z'`);
  git(workspace, "config", "filter.lfs.clean", "sh -c 'cat >/dev/null; echo pointer'");
  write(
    workspace,
    ".gitattributes",
    "*.crlf text eol=crlf\n*.up filter=evil\n*.big filter=lfs\n*.id ident\n*.mixed text\n",
  );
  const contents: Record<string, string> = {
    "a.crlf": "one\r\ntwo\r\n",
    "b.mixed": "one\r\ntwo\nthree\r\n",
    "c.up": "lower\n",
    "d.big": `${"data ".repeat(100)}\n`,
    "e.id": "$Id$ x\n",
    "f.hidden": "hidden\n",
    "g.skipped": "skipped\n",
  };
  for (const [path, content] of Object.entries(contents)) write(workspace, path, content);
  git(workspace, "add", "-A");
  git(workspace, "commit", "-q", "-m", "initial");
  git(workspace, "update-index", "--assume-unchanged", "f.hidden");
  git(workspace, "update-index", "--skip-worktree", "g.skipped");
  // Older than the index: nothing is read again only because it is recent.
  rmSync(ran);
  const before = readTree(workspace);
  const turn = await place.during(() => {
    for (const path of Object.keys(contents)) appendFileSync(`${workspace}/${path}`, "more\n");
  });
  expect(told(turn)).toEqual(Object.keys(contents).map((path) => `modified ${path}`));
  expect(files(turn).map((file) => file.additions)).toEqual(Object.keys(contents).map(() => 1));
  await undo(place, turn);
  expect([...readTree(workspace)]).toEqual([...before]);
  expect(existsSync(ran)).toBe(false);
});

test("raw contents survive also where the index has been quiet for long", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  git(workspace, "init", "-q", ".");
  git(workspace, "config", "core.autocrlf", "input");
  write(workspace, "a.txt", "one\r\ntwo\nthree\r\n");
  write(workspace, "b.txt", "plain\n");
  git(workspace, "add", "-A");
  git(workspace, "commit", "-q", "-m", "initial");
  const old = new Date(Date.now() - 3_600_000);
  for (const path of ["a.txt", "b.txt"]) utimesSync(`${workspace}/${path}`, old, old);
  git(workspace, "add", "-A");
  const future = new Date(Date.now() + 10_000);
  utimesSync(`${workspace}/.git/index`, future, future);
  const turn = await place.during(() => {
    writeFileSync(`${workspace}/a.txt`, "other\n");
    writeFileSync(`${workspace}/b.txt`, "other\n");
  });
  await undo(place, turn);
  expect(readTree(workspace).get("a.txt")).toBe("- one\r\ntwo\nthree\r\n");
  expect(readTree(workspace).get("b.txt")).toBe("- plain\n");
});

test("nothing that a hostile repository configures is run", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  repository(workspace, { "a.txt": "one\n", ".gitattributes": "*.txt diff=evil filter=evil merge=evil\n" });
  const ran = place.directory.join("ran");
  const evil = place.directory.join("evil.sh");
  writeFileSync(evil, `#!/bin/sh\ntouch ${ran}\ncat\n`, { mode: 0o755 });
  for (const key of [
    "core.fsmonitor",
    "core.pager",
    "core.editor",
    "core.sshCommand",
    "diff.external",
    "diff.evil.textconv",
    "diff.evil.command",
    "filter.evil.clean",
    "filter.evil.smudge",
    "filter.evil.process",
    "alias.diff-files",
  ]) {
    git(workspace, "config", key, key.startsWith("alias") ? `!${evil}` : evil);
  }
  mkdirSync(`${workspace}/.git/hooks`, { recursive: true });
  for (const hook of ["post-index-change", "pre-commit", "post-checkout"]) {
    writeFileSync(`${workspace}/.git/hooks/${hook}`, `#!/bin/sh\ntouch ${ran}\n`, { mode: 0o755 });
  }
  write(workspace, "b.txt", "two\n");
  const turn = await place.during(() => {
    write(workspace, "a.txt", "1\n");
    write(workspace, "c.txt", "3\n");
  });
  expect(told(turn)).toEqual(["modified a.txt", "added c.txt"]);
  await undo(place, turn);
  expect(existsSync(ran)).toBe(false);
});

test("repositories inside the workspace are looked into, submodules and new ones too", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  const origin = place.directory.join("origin");
  mkdirSync(origin);
  repository(origin, { "lib.txt": "lib\n", "gone.txt": "gone\n" });
  repository(workspace, { "a.txt": "a\n", ".gitignore": "vendor/\n" });
  git(workspace, "submodule", "--quiet", "add", origin, "module");
  git(workspace, "commit", "-q", "-m", "module");
  mkdirSync(`${workspace}/nested/deep`, { recursive: true });
  repository(`${workspace}/nested`, { "n.txt": "n\n", ".gitignore": "*.tmp\n" });
  repository(`${workspace}/nested/deep`, { "d.txt": "d\n" });
  mkdirSync(`${workspace}/vendor/ignored`, { recursive: true });
  repository(`${workspace}/vendor/ignored`, { "v.txt": "v\n" });
  const before = readTree(workspace);
  const turn = await place.during(() => {
    write(workspace, "module/lib.txt", "changed\n");
    rmSync(`${workspace}/module/gone.txt`);
    write(workspace, "nested/n.txt", "changed\n");
    write(workspace, "nested/x.tmp", "ignored\n");
    write(workspace, "nested/deep/e.txt", "new\n");
    write(workspace, "vendor/ignored/v.txt", "changed\n");
    git(workspace, "clone", "-q", origin, "cloned");
  });
  expect(told(turn)).toEqual([
    "renamed module/gone.txt > cloned/gone.txt",
    "added cloned/lib.txt",
    "modified module/lib.txt",
    "added nested/deep/e.txt",
    "modified nested/n.txt",
  ]);
  await undo(place, turn);
  const expected = new Map([...before, ["nested/x.tmp", "- ignored\n"], ["vendor/ignored/v.txt", "- changed\n"]]);
  expect([...readTree(workspace)].sort()).toEqual([...expected].sort());
  const wiped = await place.during(() => rmSync(`${workspace}/nested`, { recursive: true }));
  expect(told(wiped)).toEqual(["deleted nested/.gitignore", "deleted nested/deep/d.txt", "deleted nested/n.txt"]);
});

test("a plain directory is watched the same, and becoming a repository changes nothing", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  write(workspace, "a.txt", "a\n");
  write(workspace, ".gitignore", "*.log\n");
  const turn = await place.during(() => {
    git(workspace, "init", "-q", ".");
    write(workspace, "a.txt", "b\n");
    write(workspace, "x.log", "x\n");
    git(workspace, "add", "-A");
    git(workspace, "commit", "-q", "-m", "by the agent");
  });
  expect(told(turn)).toEqual(["modified a.txt"]);
  turn.close();
  const next = await place.during(() => write(workspace, "b.txt", "b\n"));
  expect(told(next)).toEqual(["added b.txt"]);
});

test("commits, resets and a thrown away repository lose no before-state that was read", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  repository(workspace, { "a.txt": "committed\n", "b.txt": "b\n" });
  write(workspace, "a.txt", "work in progress\n");
  const turn = await place.during(() => git(workspace, "reset", "-q", "--hard"));
  expect(told(turn)).toEqual(["modified a.txt"]);
  await undo(place, turn);
  expect(readFileSync(`${workspace}/a.txt`, "utf8")).toBe("work in progress\n");
  git(workspace, "checkout", "-q", "--orphan", "other");
  const kept = await place.during(() => write(workspace, "b.txt", "changed\n"));
  rmSync(`${workspace}/.git`, { recursive: true });
  await undo(place, kept);
  expect(readFileSync(`${workspace}/b.txt`, "utf8")).toBe("b\n");
});

test("the workspace may be a part of a repository, or a directory that its repository ignores", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  repository(workspace, { ".gitignore": "private/\n*.log\n", "app/a.txt": "a\n", "lib/b.txt": "b\n" });
  mkdirSync(`${workspace}/private/work`, { recursive: true });
  const part = await place.during(() => {
    write(workspace, "app/a.txt", "changed\n");
    write(workspace, "app/x.log", "ignored\n");
    write(workspace, "lib/b.txt", "changed\n");
  }, `${workspace}/app`);
  expect(told(part)).toEqual(["modified a.txt"]);
  const ignored = await place.during(
    () => write(workspace, "private/work/new.log", "x\n"),
    `${workspace}/private/work`,
  );
  expect(told(ignored)).toEqual(["added new.log"]);
});

test("large files are listed without diff and not restored, and say so", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  write(workspace, "large.bin", "x");
  truncateSync(`${workspace}/large.bin`, MAX_FILE_BYTES + 1);
  write(workspace, "still.bin", "x");
  truncateSync(`${workspace}/still.bin`, 1024 ** 4);
  write(workspace, "small.txt", "small\n");
  const turn = await place.during(() => {
    appendFileSync(`${workspace}/large.bin`, "more");
    write(workspace, "small.txt", "changed\n");
  });
  expect(files(turn)).toMatchObject([
    { path: "large.bin", status: "modified", binary: true },
    { path: "small.txt", status: "modified" },
  ]);
  expect(await undo(place, turn)).toMatchObject({ applied: false, conflicts: [{ path: "large.bin", reason: "lost" }] });
  expect(readFileSync(`${workspace}/small.txt`, "utf8")).toBe("changed\n");
  expect(await undo(place, turn, { paths: ["small.txt"] })).toMatchObject({ applied: true, conflicts: [] });
  expect(readFileSync(`${workspace}/small.txt`, "utf8")).toBe("small\n");
});

test("a workspace that the turn removes is told as deleted, and comes back", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  write(workspace, "sub/a.txt", "a\n");
  write(workspace, "sub/dir/b.sh", "b\n", 0o755);
  const before = readTree(workspace);
  const turn = await place.during(() => rmSync(workspace, { recursive: true }));
  expect(told(turn)).toEqual(["deleted sub/a.txt", "deleted sub/dir/b.sh"]);
  mkdirSync(workspace);
  await undo(place, turn);
  expect([...readTree(workspace)]).toEqual([...before]);
});

test("a long diff is cut at a line and says so; a long list of diffs too", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  const turn = await place.during(() => {
    write(workspace, "long.txt", "a line of some length, again and again\n".repeat(5000));
    for (let index = 0; index < 30; index++)
      write(workspace, `more/${index}`, `${index} is a line of text\n`.repeat(2500));
  });
  const long = files(turn)[0];
  expect(long).toMatchObject({ path: "long.txt", additions: 5000, diffTruncated: true });
  expect(long?.diff?.endsWith("again and again\n")).toBe(true);
  expect(long?.diff?.length).toBeLessThanOrEqual(64 * 1024);
  const total = files(turn).reduce((sum, file) => sum + (file.diff?.length ?? 0), 0);
  expect(total).toBeLessThanOrEqual(1024 * 1024);
  expect(files(turn).at(-1)).toMatchObject({ additions: 2500, diffTruncated: true });
});

test("two turns in one workspace know what is surely theirs", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  write(workspace, "a.txt", "a\n");
  const one = await place.turn();
  await one.beforeEdit("Edit", { file_path: `${workspace}/a.txt` });
  write(workspace, "a.txt", "by one\n");
  const two = await place.turn();
  write(workspace, "b.txt", "by somebody\n");
  await one.changes();
  await two.changes();
  expect(files(one).map(({ path, attribution }) => `${path} ${attribution}`)).toEqual(["a.txt own", "b.txt during"]);
  expect(files(two).map(({ path, attribution }) => `${path} ${attribution}`)).toEqual(["b.txt during"]);
  one.close();
  two.close();
  const alone = await place.during(() => write(workspace, "c.txt", "c\n"));
  expect(files(alone)[0]?.attribution).toBeUndefined();
});

test("changes can be told at every pause, each time since the beginning", async () => {
  await using place = await createPlace();
  const turn = await place.turn();
  write(place.workspace, "a.txt", "1\n");
  expect((await turn.changes())?.map((file) => file.path)).toEqual(["a.txt"]);
  write(place.workspace, "b.txt", "1\n");
  rmSync(`${place.workspace}/a.txt`);
  expect((await turn.changes())?.map((file) => file.path)).toEqual(["b.txt"]);
});

test("a turn that never asked for its before-state costs nothing and has changed nothing", async () => {
  await using place = await createPlace();
  const turn = place.changes.begin({ turnId: newTurnId(), workspace: place.workspace });
  expect(await turn.changes()).toEqual([]);
  expect(existsSync(`${place.state}/changes`)).toBe(false);
});

test("without git it is said, and no list is made up", async () => {
  await using place = await createPlace({ searchPath: "relative::/nonexistent" });
  const turn = await place.during(() => write(place.workspace, "a.txt", "x\n"));
  expect(await turn.changes()).toBeUndefined();
  expect(turn.record?.notice).toContain("Install git");
  await expect(undo(place, turn)).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringContaining("Install git"),
  });
});

test("a git that fails is told as such, not as an empty list", async () => {
  await using place = await createPlace();
  const bin = place.directory.join("bin");
  mkdirSync(bin);
  writeFileSync(`${bin}/git`, "#!/bin/sh\nexit 7\n", { mode: 0o755 });
  await using broken = await createPlace({ searchPath: bin });
  const turn = await broken.during(() => write(broken.workspace, "a.txt", "x\n"));
  expect(await turn.changes()).toBeUndefined();
  expect(turn.record?.notice).toContain("could not be told");
});

test("nothing of a turn is left in the state directory but what undo needs, and its files are private", async () => {
  await using place = await createPlace();
  const turn = await place.during(() => write(place.workspace, "a.txt", "x\n"));
  turn.close();
  const idle = await place.during(() => undefined);
  idle.close();
  await place.changes.close();
  expect(readdirSync(`${place.state}/changes/turns`)).toEqual([]);
  expect(statSync(`${place.state}/changes/scopes`).mode & 0o077).toBe(0);
});

test("unreadable names and contents do no harm", async () => {
  await using place = await createPlace();
  const { workspace } = place;
  const names = ["-rf", "--", "new\nline", "tab\t", 'quo"te', "back\\slash", "\xff\xfe", ":(exclude)x", "sp ace "];
  for (const name of names) write(workspace, name, "caf\xe9\n");
  const before = readTree(workspace);
  const turn = await place.during(() => {
    for (const name of names) appendFileSync(bytes(`${workspace}/${name}`), "more\n");
  });
  expect(files(turn)).toHaveLength(names.length);
  expect(files(turn).every((file) => file.status === "modified" && file.additions === 1)).toBe(true);
  await undo(place, turn);
  expect([...readTree(workspace)].sort()).toEqual([...before].sort());
});
