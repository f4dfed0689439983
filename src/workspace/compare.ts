/** What differs between a before-state and the disk: the truth about a turn, before it is dressed for anybody. */
import { existsSync, lstatSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { findObstacle, readState, sameState } from "./contents.ts";
import type { Git } from "./git.ts";
import { joinNul, onDisk, type RawPath, splitNul } from "./paths.ts";
import type { FileState } from "./records.ts";
import { scan, stateOf } from "./scan.ts";
import type { Scope } from "./scope.ts";
import { entriesOf, findUnseen, type ScopeSnapshot } from "./snapshot.ts";

export interface RawChange {
  /** Relative to the workspace. */
  path: RawPath;
  before: FileState;
  after: FileState;
  /** Whose objects hold the before-content; undefined where it is kept already. */
  scope: Scope | undefined;
  ignored: boolean;
}

export interface Comparison {
  changes: RawChange[];
  /** Directories with a repository of their own, relative to the workspace. */
  nested: RawPath[];
}

/** Of a file that is there now and was not in the before-state although it may have been on disk: it was ignored. */
const HIDDEN: FileState = {
  kind: "unknown",
  reason: "it was ignored before the turn, so its content was not kept",
};

const isRule = (path: RawPath) => path === ".gitignore" || path.endsWith("/.gitignore");

/**
 * Compares one scope. `scratch` is a path of the turn's own, for a moment. A scope that is `late` was not there (or not
 * seen) at the before-state. Throws where git fails.
 */
export async function compare(
  git: Git,
  snapshot: ScopeSnapshot,
  { late, scratch }: { late: boolean; scratch: string },
  signal: AbortSignal,
): Promise<Comparison> {
  const changes: RawChange[] = [];
  const report = (path: RawPath, before: FileState, after: FileState) => {
    if (sameState(before, after)) return;
    changes.push({ path: snapshot.at + path, before, after, scope: snapshot.scope, ignored: false });
  };
  const here = async (path: RawPath, before: FileState) => {
    const { state } = await readState(onDisk(snapshot.cwd, path));
    // Where git is told not to look at modes, neither do we.
    const modeless = !snapshot.scope.tracksModes && state.kind === "file" && before.kind === "file";
    report(path, before, modeless ? { ...state, executable: before.executable } : state);
  };
  if (!existsSync(snapshot.cwd)) {
    for (const entry of await entriesOf(snapshot)) {
      if (snapshot.aside.has(entry.path)) continue;
      report(entry.path, stateOf(entry.mode, entry.blob), { kind: "absent" });
    }
    for (const [path, before] of snapshot.aside) report(path, before, { kind: "absent" });
    return { changes, nested: [] };
  }
  const found = await scan(git, snapshot, { mode: snapshot.mode, refresh: false, signal });
  const obstacles = new Set<RawPath>();
  // Beyond a link, or a directory now: whatever stands at that name is not this file.
  const gone = (path: RawPath, before: FileState) => {
    report(path, before, { kind: "absent" });
    const obstacle = before.kind === "absent" ? undefined : findObstacle(snapshot.cwd, path);
    if (obstacle !== undefined) obstacles.add(obstacle);
  };
  const known = new Set(found.dirty.map((entry) => entry.path));
  for (const { path, status, before } of found.dirty) {
    if (snapshot.aside.has(path)) continue;
    if (status === "D") gone(path, before);
    else await here(path, before);
  }
  for (const { path, before } of await findUnseen(snapshot, known, snapshot.startedAt)) {
    if (!snapshot.aside.has(path)) await here(path, before);
  }
  for (const [path, before] of snapshot.aside) {
    if (findObstacle(snapshot.cwd, path) === undefined) await here(path, before);
    else gone(path, before);
  }
  const listed = new Set([...known, ...found.untracked]);
  for (const path of obstacles) {
    // What replaced a directory is told even when it is ignored: undo has to remove it.
    if (listed.has(path) || snapshot.aside.has(path)) continue;
    const { state } = await readState(onDisk(snapshot.cwd, path));
    changes.push({
      path: snapshot.at + path,
      before: { kind: "absent" },
      after: state,
      scope: undefined,
      ignored: true,
    });
  }
  const rulesMoved = [...known, ...found.untracked].some(isRule);
  const old = late || rulesMoved ? found.untracked.filter((path) => ageOf(snapshot, path) !== "new") : [];
  const hidden = new Set(late ? old : await ignoredBefore(git, snapshot, old, scratch, signal));
  for (const path of found.untracked) {
    if (snapshot.aside.has(path)) continue;
    if (!hidden.has(path)) await here(path, { kind: "absent" });
    else if (ageOf(snapshot, path) === "touched") await here(path, HIDDEN);
  }
  for (const path of snapshot.missing) {
    if (listed.has(path) || snapshot.aside.has(path)) continue;
    if (findObstacle(snapshot.cwd, path) === undefined) await here(path, { kind: "absent" });
  }
  return { changes, nested: found.nested.map((path) => snapshot.at + path) };
}

/** What a file's own times say: made since the snapshot, older but changed (or moved) since, or not touched. */
function ageOf({ cwd, startedAt }: ScopeSnapshot, path: RawPath): "new" | "touched" | "untouched" {
  const found = lstatSync(onDisk(cwd, path), { throwIfNoEntry: false });
  if (found === undefined) return "new";
  if (found.ctimeMs < startedAt) return "untouched";
  return found.birthtimeMs > 0 && found.birthtimeMs < startedAt ? "touched" : "new";
}

/**
 * Those of the paths that the rules of the before-state ignored: files that were on disk all the time, and are only now
 * to be seen. Asks git about a tree that holds nothing but the `.gitignore` files as they were.
 */
async function ignoredBefore(
  git: Git,
  snapshot: ScopeSnapshot,
  paths: readonly RawPath[],
  scratch: string,
  signal: AbortSignal,
): Promise<RawPath[]> {
  if (paths.length === 0) return [];
  const { scope } = snapshot;
  const prefix = scope.prefixOf(snapshot.cwd);
  const rules = (await entriesOf(snapshot)).filter(({ path, mode }) => isRule(path) && mode !== 0o120000);
  const contents = await readBlobs(
    git,
    scope,
    rules.map((rule) => rule.blob),
    signal,
  );
  const put = async (path: RawPath, content: Buffer | undefined) => {
    if (content === undefined) return;
    await mkdir(onDisk(scratch, dirname(path)), { recursive: true });
    await writeFile(onDisk(scratch, path), content);
  };
  await mkdir(scratch, { recursive: true });
  try {
    for (const { path, blob } of rules) await put(prefix + path, contents.get(blob));
    // Those above the workspace are not the turn's to change.
    for (let end = prefix.indexOf("/"); end >= 0; end = prefix.indexOf("/", end + 1)) {
      const path = `${prefix.slice(0, prefix.lastIndexOf("/", end - 1) + 1)}.gitignore`;
      await put(path, (await readState(onDisk(scope.workTree, path))).content);
    }
    const place = { ...scope.place(scratch, snapshot.index), workTree: scratch };
    // `./`, because a name that begins with a colon would be taken for pathspec magic.
    const input = joinNul(paths.map((path) => `./${prefix}${path}`));
    const result = await git.run(place, ["check-ignore", "-z", "--stdin", "--no-index"], { input, signal });
    if (result.exitCode !== 0 && result.exitCode !== 1) throw new Error(`git check-ignore failed: ${result.stderr}`);
    return splitNul(result.stdout).map((path) => path.slice(prefix.length + 2));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Most bytes of blobs asked for at once is git.ts's output bound; most blobs at once is this. */
const MAX_BLOBS_AT_ONCE = 64;

/** Contents of blobs by name; those that are gone, or too large to be read together with any other, are left out. */
export async function readBlobs(
  git: Git,
  scope: Scope,
  blobs: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  const wanted = [...new Set(blobs)];
  for (let start = 0; start < wanted.length; start += MAX_BLOBS_AT_ONCE) {
    await readBatch(git, scope, wanted.slice(start, start + MAX_BLOBS_AT_ONCE), signal, contents);
  }
  return contents;
}

async function readBatch(
  git: Git,
  scope: Scope,
  blobs: readonly string[],
  signal: AbortSignal,
  contents: Map<string, Buffer>,
): Promise<void> {
  const input = Buffer.from(blobs.map((blob) => `${blob}\n`).join(""), "latin1");
  const { ok, stdout } = await git.run(scope.readingPlace(), ["cat-file", "--batch", "--buffer"], { input, signal });
  if (!ok) {
    if (blobs.length === 1 || signal.aborted) return;
    const half = blobs.length >> 1;
    await readBatch(git, scope, blobs.slice(0, half), signal, contents);
    return readBatch(git, scope, blobs.slice(half), signal, contents);
  }
  for (let offset = 0; offset < stdout.length; ) {
    const end = stdout.indexOf(0x0a, offset);
    if (end < 0) return;
    const [name = "", type, length] = stdout.toString("latin1", offset, end).split(" ");
    offset = end + 1;
    if (type === "missing" || length === undefined) continue;
    const bytes = Number(length);
    if (type === "blob") contents.set(name, stdout.subarray(offset, offset + bytes));
    offset += bytes + 1;
  }
}
