/**
 * A scope is a directory tree with rules of its own about what is ignored: a repository (the workspace's or one nested in
 * it, submodules too), or a plain directory. Each has a private git directory under the state directory, with our config,
 * our attributes (contents are taken raw) and an index that is kept between turns as the stat cache.
 *
 * The user's repository is read: its index is copied, its objects are alternates for reading. Nothing is written to it.
 */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import type { Logger } from "../log.ts";
import { stampOf } from "./claude-config.ts";
import { findConverted } from "./conversions.ts";
import type { Git, GitPlace } from "./git.ts";
import { type IndexEntry, readIndex } from "./index-file.ts";
import { joinNul, type RawPath, toRaw } from "./paths.ts";
import {
  keyOf,
  readUserSettings,
  repositoryAt,
  settingsFiles,
  type UserHome,
  type UserRepository,
  type UserSettings,
} from "./repository.ts";

/** Entries written in the same second as their index that are read again instead of believed. */
const MAX_RECHECKED = 2000;

/** In-tree attributes are overruled: bytes are what is on disk, whatever git would make of them. */
const ATTRIBUTES = "* -text -eol -crlf -ident -filter -working-tree-encoding !diff\n";
const MARK = "# claude-code-daemon\n";

export interface ScopeDeps {
  git: Git;
  /** `changes` under the state directory; made when needed. */
  directory: string;
  place: UserHome;
  log: Logger;
}

const quoteValue = (path: string) => `"${path.replace(/["\\]/g, "\\$&").replace(/\n/g, "\\n")}"`;

/** What our private git directory is told beside what `git init` found out about the file system. */
function configText(settings: UserSettings): string {
  const lines = [
    "[core]",
    "bare = false",
    "autocrlf = false",
    "safecrlf = false",
    "fsmonitor = false",
    // Commands that rewrite an index leave it as it is; scan.ts decides.
    "untrackedCache = keep",
    "splitIndex = false",
    "preloadIndex = true",
    "trustctime = true",
    "checkStat = default",
    "sparseCheckout = false",
    "hooksPath = /dev/null",
    "looseCompression = 0",
    // Blobs are written once, by us alone: the link-and-unlink dance only costs time.
    "createObject = rename",
    `excludesFile = ${quoteValue(settings.excludesFile)}`,
    "attributesFile = /dev/null",
  ];
  if (settings.ignoreCase !== undefined) lines.push(`ignoreCase = ${settings.ignoreCase}`);
  if (settings.fileMode === false) lines.push("fileMode = false");
  lines.push("[index]", "version = 2", "sparse = false", "[gc]", "auto = 0", "[maintenance]", "auto = false");
  return `${MARK}${lines.join("\n")}\n`;
}

export class Scope {
  readonly workTree: string;
  readonly repository: UserRepository | undefined;
  readonly #deps: ScopeDeps;
  readonly #key: string;
  #settings: { stamp: string; value: UserSettings } | undefined;
  #seededFrom: string | undefined;
  #ignoreStamp: string | undefined;
  /** Submodules: directories that the index names, and git does not look into. */
  gitlinks: RawPath[] = [];
  /**
   * Paths (from the work tree) that the user tracks and our index does not name: to be read again, or not on disk. Were
   * they ignored, git would not tell of them.
   */
  readonly unnamed = new Set<RawPath>();
  /** The user's commit that the base index began with: with it, one `git status` finds all there is. */
  head: string | undefined;
  /** Directories of the index. git remembers of each what it holds that is not in the index (its untracked cache). */
  readonly directories = new Set<RawPath>();
  /** The untracked cache may not be believed: it is the user's, or a directory could have changed unseen. */
  cacheSuspect = false;
  /** When the last snapshot began, Unix milliseconds: the base index was true then. */
  verifiedAt = 0;

  #queue: Promise<unknown> = Promise.resolve();

  private constructor(deps: ScopeDeps, workTree: string, repository: UserRepository | undefined, key: string) {
    this.#deps = deps;
    this.workTree = workTree;
    this.repository = repository;
    this.#key = key;
  }

  /** For a directory that is a repository's top, or is to be taken as a plain one. */
  static async open(deps: ScopeDeps, workTree: string): Promise<Scope> {
    return new Scope(deps, workTree, repositoryAt(workTree), await keyOf(workTree));
  }

  get home(): string {
    return join(this.#deps.directory, this.#key);
  }

  get gitDir(): string {
    return join(this.home, "git");
  }

  /** False where the user's git is told that modes mean nothing here. */
  get tracksModes(): boolean {
    return this.#settings?.value.fileMode !== false;
  }

  /** The index as the last snapshot left it. */
  get baseIndex(): string {
    return join(this.home, "index");
  }

  get userIndex(): string | undefined {
    return this.repository && join(this.repository.gitDir, "index");
  }

  place(cwd: string, indexFile: string): GitPlace {
    return { gitDir: this.gitDir, workTree: this.workTree, cwd, indexFile };
  }

  /** The user's objects. */
  get alternates(): string[] {
    return this.repository ? [join(this.repository.commonDir, "objects")] : [];
  }

  /** With the user's objects, for reading blobs. */
  readingPlace(): GitPlace {
    return { gitDir: this.gitDir, workTree: this.home, cwd: this.home, alternates: this.alternates };
  }

  /** Snapshots of one scope are taken one after the other: they share the base index. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work, work);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  /** Where a directory stands in the work tree: "" or `a/b/`. */
  prefixOf(cwd: string): RawPath {
    const way = relative(this.workTree, cwd);
    return way === "" ? "" : `${toRaw(way)}/`;
  }

  /** Brings the private git directory and its index up to date. Throws where that fails. */
  async prepare(): Promise<void> {
    const settings = await this.#readSettings();
    if (!existsSync(join(this.gitDir, "HEAD"))) await this.#create();
    await this.#configure(settings);
    await this.#seed(settings);
  }

  /** True once after the files outside the tree that say what is ignored have changed, or nothing is known of them. */
  ignoreRulesChanged(): boolean {
    const files = [this.#settings?.value.excludesFile ?? "", join(this.gitDir, "info", "exclude")];
    const stamp = files.map(stampOf).join("\n");
    const changed = stamp !== this.#ignoreStamp;
    this.#ignoreStamp = stamp;
    return changed;
  }

  async #readSettings(): Promise<UserSettings> {
    const { git, place } = this.#deps;
    const stamp = settingsFiles(place, this.repository).map(stampOf).join("\n");
    if (this.#settings?.stamp !== stamp) {
      this.#settings = { stamp, value: await readUserSettings(git, place, this.repository) };
      this.#seededFrom = undefined;
    }
    return this.#settings.value;
  }

  async #create(): Promise<void> {
    await rm(this.home, { recursive: true, force: true });
    await mkdir(this.gitDir, { recursive: true, mode: 0o700 });
    const made = await this.#deps.git.init(this.gitDir);
    if (!made.ok) throw new Error(`git init failed: ${made.stderr}`);
    await mkdir(join(this.gitDir, "info"), { recursive: true });
    await writeFile(join(this.gitDir, "info", "attributes"), ATTRIBUTES);
    if (this.repository) {
      // A link, so that git always reads the user's present file.
      await symlink(join(this.repository.commonDir, "info", "exclude"), join(this.gitDir, "info", "exclude"));
    }
    await writeFile(join(this.home, "workspace"), `${this.workTree}\n`, { mode: 0o600 });
  }

  async #configure(settings: UserSettings): Promise<void> {
    const path = join(this.gitDir, "config");
    const present = await readFile(path, "utf8");
    const wanted = (present.split(MARK)[0] ?? "") + configText(settings);
    if (wanted === present) return;
    await writeFile(`${path}.new`, wanted);
    await rename(`${path}.new`, path);
  }

  /** Takes the user's index as the stat cache whenever it is another than the one taken last. */
  async #seed(settings: UserSettings): Promise<void> {
    const userIndex = this.userIndex;
    const stamp = userIndex === undefined ? "none" : stampOf(userIndex);
    if (stamp === this.#seededFrom) return;
    this.gitlinks = [];
    this.unnamed.clear();
    this.directories.clear();
    this.head = undefined;
    if (userIndex !== undefined) {
      await rm(this.baseIndex, { force: true });
      // Objects of another format cannot be alternates: everything is then read once.
      if (settings.objectFormat === "sha1" && existsSync(userIndex)) await this.#copyIndex(userIndex, settings);
    }
    this.#seededFrom = stamp;
  }

  async #copyIndex(userIndex: string, settings: UserSettings): Promise<void> {
    const copy = join(this.gitDir, "index");
    const written = await stat(userIndex);
    await copyFile(userIndex, copy);
    // git knows entries that may have changed unseen by the index's own time: it must not become younger.
    const seconds = Math.floor(written.mtimeMs / 1000);
    await utimes(copy, seconds, seconds);
    const drop: IndexEntry[] = [];
    const all: IndexEntry[] = [];
    let last = "";
    const visit = (entry: IndexEntry) => {
      const directory = dirname(entry.path);
      if (directory !== last) this.directories.add(directory);
      last = directory;
      if (entry.mode === 0o160000) this.gitlinks.push(entry.path);
      else if (entry.odd || entry.ctimeSeconds >= seconds - 1) drop.push(entry);
      else all.push(entry);
    };
    const read = async () => {
      this.gitlinks.length = drop.length = all.length = 0;
      return readIndex(await readFile(copy), visit);
    };
    if (!(await read())) {
      await this.#normalise(userIndex, copy);
      if (!(await read())) {
        this.#deps.log.warn("the index of a repository cannot be used as stat cache: reading all files");
        this.gitlinks = [];
        await rm(copy, { force: true });
        return;
      }
    }
    const recent = drop.filter((entry) => !entry.odd);
    // Right after a clone all is recent: git's own rule about equal times has to do then.
    if (recent.length > MAX_RECHECKED) {
      drop.splice(0, drop.length, ...drop.filter((entry) => entry.odd));
      all.push(...recent);
    }
    drop.push(...(await findConverted(this.#deps.git, this, settings, all)));
    if (drop.length > 0) {
      for (const entry of drop) this.unnamed.add(entry.path);
      const input = joinNul(new Set(drop.map((entry) => entry.path)));
      const place = this.place(this.workTree, copy);
      const result = await this.#deps.git.run(place, ["update-index", "-z", "--force-remove", "--stdin"], { input });
      if (!result.ok) throw new Error(`git update-index failed: ${result.stderr}`);
    }
    await this.#takeHead();
    this.cacheSuspect = true;
    await rename(copy, this.baseIndex);
  }

  /** Our HEAD is the user's commit, so that `git status` has little to tell of the index. */
  async #takeHead(): Promise<void> {
    const head = this.repository && (await this.#deps.git.headOf(this.repository.gitDir));
    if (head !== undefined) await writeFile(join(this.gitDir, "HEAD"), `${head}\n`);
    this.head = head;
  }

  /** Rewrites a split, sparse, version 4 or otherwise special index as a plain one. */
  async #normalise(userIndex: string, copy: string): Promise<void> {
    const directory = dirname(userIndex);
    const shared = (await readdir(directory)).filter((name) => name.startsWith("sharedindex."));
    for (const name of shared) await copyFile(join(directory, name), join(this.gitDir, basename(name)));
    const flags = ["--no-split-index", "--no-untracked-cache", "--no-fsmonitor", "--index-version", "2"];
    const place = { ...this.readingPlace(), workTree: this.workTree, cwd: this.workTree, indexFile: copy };
    const result = await this.#deps.git.run(place, ["update-index", ...flags, "--force-write-index"]);
    if (!result.ok) this.#deps.log.debug("an index could not be rewritten", { stderr: result.stderr });
    for (const name of shared) await rm(join(this.gitDir, name), { force: true });
  }
}
