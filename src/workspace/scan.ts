/**
 * What git finds by stat: how the disk differs from a snapshot's index. Two ways: one `git status`, which uses git's
 * untracked cache and so reads only directories that have changed; or `diff-files` beside `ls-files -o`, which believe
 * nothing about directories.
 *
 * git compares a directory's times by the second, too: a file that came in the second of a look, into a directory that
 * had changed in that second, and whose directory got its old mtime back (`tar`, `rsync -a`), would stay unseen. Where
 * that could have been, the cache is not used, and dropped.
 */
import { setImmediate } from "node:timers/promises";
import { statOf } from "./contents.ts";
import type { Git, GitResult } from "./git.ts";
import { onDisk, type RawPath, splitNul } from "./paths.ts";
import type { FileState } from "./records.ts";
import type { Scope } from "./scope.ts";

/** One line of `diff-files`. */
export interface Dirty {
  path: RawPath;
  status: string;
  before: FileState;
}

export interface Scan {
  dirty: Dirty[];
  /** Files that the index does not hold, ignored ones left out. */
  untracked: RawPath[];
  /** Directories with a repository of their own. */
  nested: RawPath[];
}

export function stateOf(mode: number, blob: string): FileState {
  if (mode === 0o120000) return { kind: "link", blob };
  // A submodule's directory is no file.
  if (mode === 0o160000) return { kind: "absent" };
  return { kind: "file", blob, executable: (mode & 0o100) !== 0 };
}

export interface Place {
  scope: Scope;
  cwd: string;
  index: string;
}

/** `cache`: how `git status` treats its untracked cache; `none` is the way without it. */
export type ScanMode = "cached" | "uncached" | "none";

/** How the before-state of a place is best scanned: only a whole work tree with a commit has a cache. */
export function modeOf({ scope, cwd }: Place): ScanMode {
  if (scope.head === undefined || cwd !== scope.workTree) return "none";
  return scope.cacheSuspect ? "uncached" : "cached";
}

/** Differences between an index and the disk. `refresh`: the index may be rewritten. Throws where git fails. */
export async function scan(
  git: Git,
  place: Place,
  options: { mode: ScanMode; refresh: boolean; signal: AbortSignal },
): Promise<Scan> {
  if (options.mode === "none") return scanApart(git, place, options.signal);
  const result = await runStatus(git, place, options);
  if (result.ok) return parseStatus(result.stdout);
  // The user's commit is gone (a rewritten history, collected): until the next seed the other way has to do.
  place.scope.head = undefined;
  return scanApart(git, place, options.signal);
}

function runStatus(
  git: Git,
  { scope, cwd, index }: Place,
  { mode, refresh, signal }: { mode: ScanMode; refresh: boolean; signal: AbortSignal },
): Promise<GitResult> {
  const settings = ["-c", `core.untrackedCache=${mode === "cached"}`, "-c", "status.showUntrackedFiles=all"];
  const flags = ["--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=all"];
  const place = { ...scope.place(cwd, index), alternates: scope.alternates };
  return git.run(place, [...settings, "status", ...flags], { signal, refreshIndex: refresh });
}

/** `1 XY sub mH mI mW hH hI path`: only Y, the disk's side, matters. `? path`: in no index. */
function parseStatus(output: Buffer): Scan {
  const found: Scan = { dirty: [], untracked: [], nested: [] };
  for (const line of splitNul(output)) {
    if (line.startsWith("? ")) addOther(found, line.slice(2));
    else if (line.startsWith("1 ") && line[3] !== ".") {
      const fields = line.split(" ");
      const [, status = "", , , mode = "", , , blob = ""] = fields;
      const path = fields.slice(8).join(" ");
      found.dirty.push({ path, status: status[1] ?? "", before: stateOf(Number.parseInt(mode, 8), blob) });
    }
  }
  return found;
}

function addOther(found: Scan, path: RawPath): void {
  if (path.endsWith("/")) found.nested.push(path.slice(0, -1));
  else found.untracked.push(path);
}

async function scanApart(git: Git, { scope, cwd, index }: Place, signal: AbortSignal): Promise<Scan> {
  const place = scope.place(cwd, index);
  const raw = ["diff-files", "-z", "--raw", "--no-renames", "--relative", "--ignore-submodules=all", "--", "."];
  const [changed, others] = await Promise.all([
    git.run(place, raw, { signal }),
    git.run(place, ["ls-files", "-z", "--others", "--exclude-standard", "--", "."], { signal }),
  ]);
  for (const result of [changed, others]) if (!result.ok) throw new Error(`git failed: ${result.stderr}`);
  const found: Scan = { dirty: [], untracked: [], nested: [] };
  const fields = splitNul(changed.stdout);
  for (let position = 0; position + 1 < fields.length; position += 2) {
    const [mode = "", , blob = "", , status = ""] = (fields[position] ?? "").slice(1).split(" ");
    const path = fields[position + 1] ?? "";
    found.dirty.push({ path, status, before: stateOf(Number.parseInt(mode, 8), blob) });
  }
  for (const path of splitNul(others.stdout)) addOther(found, path);
  return found;
}

/** Directories looked at before others get their turn. */
const DIRECTORIES_AT_ONCE = 1000;

/** Whether a directory has changed in or after this second: its further changes could go unseen. */
export async function hasYoungDirectory(scope: Scope, sinceSeconds: number): Promise<boolean> {
  let looked = 0;
  for (const path of scope.directories) {
    const found = statOf(onDisk(scope.workTree, path));
    if (found !== undefined && Math.floor(found.ctimeMs / 1000) >= sinceSeconds) return true;
    if (++looked % DIRECTORIES_AT_ONCE === 0) await setImmediate();
  }
  return false;
}
