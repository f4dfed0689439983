/**
 * One scope's before-state: an index whose every entry was true at the snapshot. git finds the candidates by stat (scan.ts);
 * only those are read.
 *
 * git compares times by the second. What was changed in the second of the snapshot could change again unseen (same size,
 * restored mtime): such entries are compared by content, whatever their stat says.
 */
import { accessSync, constants, existsSync, lstatSync, type Stats } from "node:fs";
import { link, mkdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type DiskState, findObstacle, MAX_FILE_BYTES, readState, sameState, statOf, writeObject } from "./contents.ts";
import type { Git } from "./git.ts";
import { type IndexEntry, readIndex } from "./index-file.ts";
import { joinNul, onDisk, type RawPath, splitNul } from "./paths.ts";
import type { FileState } from "./records.ts";
import { type Dirty, hasYoungDirectory, modeOf, type ScanMode, scan, stateOf } from "./scan.ts";
import type { Scope } from "./scope.ts";

/** Paths in one `update-index`: progress is not lost where the time bound ends a first snapshot. */
const MAX_BATCH_PATHS = 5000;
/** Entries of the snapshot's own second that are compared by content; beyond, git's rule of equal times has to do. */
const MAX_RECENT = 2000;
/** So few differences are noted beside the index instead of rewriting it, which takes a process and the whole file. */
const MAX_NOTED_PATHS = 32;
/** Clock ticks of file systems lag behind, and the index is written after the files were read. */
const RECENT_SLACK_SECONDS = 2;

export interface ScopeSnapshot {
  scope: Scope;
  /** The directory looked at: the work tree or below. */
  cwd: string;
  /** Where `cwd` stands in the workspace: "" or `a/b/`. */
  at: RawPath;
  /** Paths below are relative to `cwd`. */
  index: string;
  /** States that the index does not hold, or holds otherwise: large and unreadable files, a few changed ones. */
  aside: Map<RawPath, FileState>;
  /** Files that the user tracks and that were not on disk. */
  missing: Set<RawPath>;
  /** How a later look finds what has changed since. */
  mode: ScanMode;
  /** Unix milliseconds, before the first look. */
  startedAt: number;
}

/** The entries of a snapshot's index below its `cwd`, with their paths made relative to it. */
export async function entriesOf(
  snapshot: Pick<ScopeSnapshot, "index" | "scope" | "cwd">,
  pick?: (ctimeSeconds: number) => boolean,
): Promise<IndexEntry[]> {
  if (!existsSync(snapshot.index)) return [];
  const prefix = snapshot.scope.prefixOf(snapshot.cwd);
  const entries: IndexEntry[] = [];
  const visit = (entry: IndexEntry) => {
    if (entry.path.startsWith(prefix)) entries.push({ ...entry, path: entry.path.slice(prefix.length) });
  };
  if (!readIndex(await readFile(snapshot.index), visit, pick)) throw new Error("a private index cannot be read");
  return entries;
}

/**
 * Entries that could have changed without a trace in their stat since they were last looked at (`verifiedAt`, Unix
 * milliseconds), compared by content: those that really differ.
 */
export async function findUnseen(
  snapshot: ScopeSnapshot,
  known: ReadonlySet<RawPath>,
  verifiedAt: number,
): Promise<Dirty[]> {
  const written = existsSync(snapshot.index) ? (await stat(snapshot.index)).mtimeMs : 0;
  const since = Math.floor(verifiedAt / 1000) - RECENT_SLACK_SECONDS;
  // No entry is younger than the index.
  if (Math.floor(written / 1000) < since) return [];
  const recent = await entriesOf(snapshot, (ctimeSeconds) => ctimeSeconds >= since);
  const unseen: Dirty[] = [];
  if (recent.length > MAX_RECENT) return unseen;
  for (const entry of recent) {
    const before = stateOf(entry.mode, entry.blob);
    if (before.kind === "absent" || known.has(entry.path)) continue;
    const { state } = await readState(onDisk(snapshot.cwd, entry.path));
    // Modes are in the stat that git compares; where it is told not to look at them, neither do we.
    const comparable =
      state.kind === "file" && before.kind === "file" ? { ...state, executable: before.executable } : state;
    if (!sameState(before, comparable)) unseen.push({ path: entry.path, status: "M", before });
  }
  return unseen;
}

export interface SnapshotDeps {
  git: Git;
  signal: AbortSignal;
}

/**
 * Takes the before-state of a scope. `index` is a path of the turn's own. Returns the directories with repositories of
 * their own, which are scopes of their own. Throws where git fails or the time is up.
 */
export async function takeSnapshot(
  deps: SnapshotDeps,
  place: Omit<ScopeSnapshot, "aside" | "missing" | "mode" | "startedAt">,
): Promise<{ snapshot: ScopeSnapshot; nested: RawPath[] }> {
  const { scope, index } = place;
  await scope.prepare();
  const mode = modeOf(place);
  const snapshot: ScopeSnapshot = { ...place, aside: new Map(), missing: new Set(), mode, startedAt: Date.now() };
  await mkdir(dirname(index), { recursive: true });
  const written = existsSync(scope.baseIndex) ? (await stat(scope.baseIndex)).mtimeMs : 0;
  // A hard link: git replaces an index, it never writes into one.
  if (written > 0) await link(scope.baseIndex, index);
  const found = await scan(deps.git, snapshot, { mode, refresh: true, signal: deps.signal });
  const known = new Set(found.dirty.map((entry) => entry.path));
  const unseen = await findUnseen(snapshot, known, Math.max(written, scope.verifiedAt));
  const prefix = scope.prefixOf(snapshot.cwd);
  if (scope.repository)
    for (const { path, status } of found.dirty) if (status === "D") scope.unnamed.add(prefix + path);
  const unnamed = [...scope.unnamed].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  const isThere = (path: RawPath) =>
    findObstacle(snapshot.cwd, path) === undefined && isFileOrLink(onDisk(snapshot.cwd, path));
  const [there, missing] = [unnamed.filter(isThere), unnamed.filter((path) => !isThere(path))];
  snapshot.missing = new Set(missing);
  const isRule = (path: RawPath) => path === ".gitignore" || path.endsWith("/.gitignore");
  const different = [...known, ...unseen.map(({ path }) => path), ...found.untracked, ...there];
  const rulesMoved = different.some(isRule) || scope.ignoreRulesChanged();
  if (!rulesMoved && different.length <= MAX_NOTED_PATHS) {
    await note(snapshot, different);
  } else {
    const stage = new Stage(deps, snapshot);
    for (const { path, status } of found.dirty) stage.add(path, status === "D" ? "remove" : "add");
    for (const path of [...unseen.map((entry) => entry.path), ...there]) stage.add(path, "renew");
    for (const path of found.untracked) stage.add(path, "add");
    if (rulesMoved) await stage.dropIgnored();
    await stage.run();
    for (const path of there) scope.unnamed.delete(prefix + path);
  }
  await publish(snapshot);
  if (mode !== "none") {
    const since = Math.floor(snapshot.startedAt / 1000) - RECENT_SLACK_SECONDS;
    scope.cacheSuspect = mode === "cached" && (await hasYoungDirectory(scope, since));
    // Nothing is cached yet, or nothing to be believed.
    if (mode === "uncached" || scope.cacheSuspect) snapshot.mode = "none";
  }
  scope.verifiedAt = snapshot.startedAt;
  const links = scope.gitlinks.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  return { snapshot, nested: [...found.nested, ...links] };
}

/** The states of a few paths, beside the index. */
async function note(snapshot: ScopeSnapshot, paths: readonly RawPath[]): Promise<void> {
  const { scope, cwd } = snapshot;
  for (const path of paths) {
    const obstacle = findObstacle(cwd, path);
    const { state, content } = obstacle === undefined ? await readState(onDisk(cwd, path)) : GONE;
    if (content !== undefined) await writeObject(scope.gitDir, content);
    snapshot.aside.set(path, state);
    scope.directories.add(dirname(scope.prefixOf(cwd) + path));
  }
}

const GONE: DiskState = { state: { kind: "absent" } };

function isFileOrLink(path: Buffer): boolean {
  const found = statOf(path);
  return found !== undefined && (found.isFile() || found.isSymbolicLink());
}

/** Makes the index of this snapshot the one that the next begins with. */
async function publish({ scope, index, startedAt }: ScopeSnapshot): Promise<void> {
  const own = statOf(Buffer.from(index));
  if (own === undefined || own.ino === statOf(Buffer.from(scope.baseIndex))?.ino) return;
  // It was written after the files were read. With the time of the reading, git looks again at whatever changed between.
  const seconds = Math.floor(startedAt / 1000);
  await utimes(index, seconds, seconds);
  const next = join(scope.home, `index.${crypto.randomUUID()}`);
  await link(index, next);
  await rename(next, scope.baseIndex);
}

/** What is to be written into a snapshot's index. */
class Stage {
  readonly #deps: SnapshotDeps;
  readonly #snapshot: ScopeSnapshot;
  #adds: RawPath[] = [];
  readonly #removes = new Set<RawPath>();

  constructor(deps: SnapshotDeps, snapshot: ScopeSnapshot) {
    this.#deps = deps;
    this.#snapshot = snapshot;
  }

  /** `renew`: git believes the entry to be up to date; it has to go before it is read again. */
  add(path: RawPath, action: "add" | "remove" | "renew"): void {
    if (action !== "add") this.#removes.add(path);
    if (action === "remove") return;
    const full = onDisk(this.#snapshot.cwd, path);
    let found: Stats | undefined;
    try {
      found = lstatSync(full, { throwIfNoEntry: false });
      if (found?.isFile() && found.size <= MAX_FILE_BYTES) accessSync(full, constants.R_OK);
    } catch {
      this.#setAside(path);
      return;
    }
    if (found?.isFile() && found.size > MAX_FILE_BYTES) this.#setAside(path);
    else if (found?.isFile() || found?.isSymbolicLink()) this.#adds.push(path);
    else this.#removes.add(path);
  }

  #aside: RawPath[] = [];
  #setAside(path: RawPath): void {
    this.#aside.push(path);
    this.#removes.add(path);
  }

  /** Entries of ours that are ignored by now, and not tracked by the user either, are no longer looked at. */
  async dropIgnored(): Promise<void> {
    const { scope, cwd, index } = this.#snapshot;
    const { git, signal } = this.#deps;
    const place = scope.place(cwd, index);
    const ignored = await git.run(place, ["ls-files", "-z", "-c", "-i", "--exclude-standard", "--", "."], { signal });
    const paths = splitNul(ignored.stdout);
    if (paths.length === 0) return;
    const tracked = new Set<RawPath>();
    if (scope.userIndex !== undefined && existsSync(scope.userIndex)) {
      const listed = await git.run(scope.place(cwd, scope.userIndex), ["ls-files", "-z", "--", "."], { signal });
      if (!listed.ok) return;
      for (const path of splitNul(listed.stdout)) tracked.add(path);
    }
    const dropped = new Set(paths.filter((path) => !tracked.has(path)));
    for (const path of dropped) this.#removes.add(path);
    this.#adds = this.#adds.filter((path) => !dropped.has(path));
    this.#aside = this.#aside.filter((path) => !dropped.has(path));
  }

  async run(): Promise<void> {
    for (const path of this.#aside) {
      const { state } = await readState(onDisk(this.#snapshot.cwd, path));
      if (state.kind !== "absent") this.#snapshot.aside.set(path, state);
    }
    const removes = [...this.#removes];
    for (let start = 0; start < removes.length; start += MAX_BATCH_PATHS) {
      const ok = await this.#update(["--force-remove"], removes.slice(start, start + MAX_BATCH_PATHS));
      if (!ok) throw new Error("git update-index failed");
    }
    for (let start = 0; start < this.#adds.length; start += MAX_BATCH_PATHS) {
      await this.#addBatch(this.#adds.slice(start, start + MAX_BATCH_PATHS));
      if (this.#deps.signal.aborted) throw new Error("the snapshot took too long");
    }
    const { scope, cwd } = this.#snapshot;
    for (const path of this.#adds) scope.directories.add(dirname(scope.prefixOf(cwd) + path));
  }

  async #update(flags: string[], paths: RawPath[]): Promise<boolean> {
    const place = this.#snapshot.scope.place(this.#snapshot.cwd, this.#snapshot.index);
    const options = { input: joinNul(paths), signal: this.#deps.signal };
    return (await this.#deps.git.run(place, ["update-index", "-z", ...flags, "--stdin"], options)).ok;
  }

  /** One path that git refuses (it became unreadable, a link on the way) fails its whole batch: halve until it is found. */
  async #addBatch(paths: RawPath[]): Promise<void> {
    if (await this.#update(["--add", "--remove", "--replace"], paths)) return;
    if (this.#deps.signal.aborted) throw new Error("the snapshot took too long");
    const [only] = paths;
    if (paths.length === 1 && only !== undefined) {
      const { state } = await readState(onDisk(this.#snapshot.cwd, only));
      if (state.kind !== "absent") this.#snapshot.aside.set(only, { kind: "unknown", reason: "git could not read it" });
      return;
    }
    const half = paths.length >> 1;
    await this.#addBatch(paths.slice(0, half));
    await this.#addBatch(paths.slice(half));
  }
}

/** Forgets a turn's indexes. */
export async function dropTurn(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}
