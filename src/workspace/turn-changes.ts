/** One turn's watch over its workspace: the before-state, what Claude's own edit tools announce, and what has changed. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { FileChange } from "../turn/changes.ts";
import type { JsonObject } from "../turn/message.ts";
import { compare, type RawChange, readBlobs } from "./compare.ts";
import { KeptContents, readState, sameState } from "./contents.ts";
import type { Git } from "./git.ts";
import { listChanges, madeDirectories, readFrom } from "./listing.ts";
import { onDisk, type RawPath, toRaw } from "./paths.ts";
import type { ChangeRecord, FileState, TurnChanges } from "./records.ts";
import { isWithin } from "./resolve.ts";
import type { Scope } from "./scope.ts";
import { dropTurn, type ScopeSnapshot, takeSnapshot } from "./snapshot.ts";

/** Longest a before-state may take: tools wait for it. What takes longer is told as "could not be told". */
export const MAX_BEFORE_MS = 30_000;
/** Longest a comparison may take at the end of a turn. */
export const MAX_COMPARE_MS = 60_000;
/** Repositories inside one workspace, submodules included. */
export const MAX_NESTED_SCOPES = 64;
/** Files announced by edit tools in one turn; later ones count only if git sees them. */
const MAX_NOTED = 10_000;

/** Claude's own edit tools, and the input field that names the file. */
const EDIT_TOOLS: Readonly<Record<string, string>> = {
  Edit: "file_path",
  MultiEdit: "file_path",
  Write: "file_path",
  NotebookEdit: "notebook_path",
};

/** Tools of Claude's that change nothing need not wait. */
const READING_TOOLS = new Set(["Read", "Glob", "Grep", "LS", "WebFetch", "WebSearch", "TodoWrite", "ToolSearch"]);

export interface TurnDeps {
  git: Git;
  turnId: string;
  /** Real path. */
  workspace: string;
  /** Private directory of this turn, for its indexes; removed at its end. */
  turnDirectory: string;
  keptDirectory: string;
  /** The scope that a directory belongs to, or is. */
  rootScope(workspace: string, signal: AbortSignal): Promise<Scope>;
  scopeAt(directory: string): Promise<Scope>;
  /** Whether another turn was in this workspace while this one was. */
  shared(): boolean;
  /** Tells of a failure: what to say to a person. */
  failed(phase: "before" | "after", error: unknown): string;
  /** The turn is closed; `forgotten` settles when nothing of it is left. */
  ended(forgotten: Promise<void>): void;
}

export class WorkspaceTurn implements TurnChanges {
  readonly #deps: TurnDeps;
  readonly #kept: KeptContents;
  readonly #closing = new AbortController();
  readonly #snapshots: ScopeSnapshot[] = [];
  /** Before-states of what edit tools announced. */
  readonly #noted = new Map<RawPath, FileState>();
  #before: Promise<void> | undefined;
  #after: Promise<unknown> = Promise.resolve();
  #failure: string | undefined;
  #tooManyNested = false;
  #startedAt = 0;
  #record: ChangeRecord | undefined;

  constructor(deps: TurnDeps) {
    this.#deps = deps;
    this.#kept = new KeptContents(deps.keptDirectory, deps.turnId);
  }

  get record(): ChangeRecord | undefined {
    return this.#record;
  }

  before(): Promise<void> {
    this.#before ??= this.#take().catch((error) => {
      this.#failure = this.#deps.failed("before", error);
    });
    return this.#before;
  }

  async #take(): Promise<void> {
    const { git, workspace, rootScope } = this.#deps;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(MAX_BEFORE_MS)]);
    this.#startedAt = Date.now();
    const root = await rootScope(workspace, signal);
    const waiting: { scope: Scope; cwd: string; at: RawPath }[] = [{ scope: root, cwd: workspace, at: "" }];
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { scope, cwd, at } = next;
      const index = join(this.#deps.turnDirectory, `${this.#snapshots.length}.index`);
      const { snapshot, nested } = await scope.exclusive(() =>
        takeSnapshot({ git, signal }, { scope, cwd, at, index }),
      );
      this.#snapshots.push(snapshot);
      for (const path of nested) {
        const directory = onDisk(cwd, path).toString();
        if (!isFilledDirectory(directory)) continue;
        if (this.#snapshots.length + waiting.length > MAX_NESTED_SCOPES) {
          this.#tooManyNested = true;
          break;
        }
        waiting.push({ scope: await this.#deps.scopeAt(directory), cwd: directory, at: `${at}${path}/` });
      }
    }
  }

  async beforeEdit(tool: string, input: JsonObject): Promise<void> {
    if (READING_TOOLS.has(tool)) return;
    await this.before();
    const field = EDIT_TOOLS[tool];
    const named = field === undefined ? undefined : input[field];
    if (typeof named !== "string" || named === "" || named.includes("\0")) return;
    const { workspace } = this.#deps;
    const asked = resolve(workspace, named);
    // Claude's tools write through links: the file that is meant is where they lead.
    const targets = new Set([asked, await realpath(asked).catch(() => asked)]);
    for (const target of targets) {
      if (target === workspace || !isWithin(workspace, target)) continue;
      await this.#note(toRaw(relative(workspace, target))).catch(() => undefined);
    }
  }

  async #note(path: RawPath): Promise<void> {
    if (this.#noted.has(path) || this.#noted.size >= MAX_NOTED) return;
    const { state, content } = await readState(onDisk(this.#deps.workspace, path));
    this.#noted.set(path, state);
    if ((state.kind === "file" || state.kind === "link") && content !== undefined) {
      await this.#kept.put(state.blob, content);
    }
  }

  changes(): Promise<FileChange[] | undefined> {
    const next = this.#after.then(() => this.#compare());
    this.#after = next;
    return next;
  }

  async #compare(): Promise<FileChange[] | undefined> {
    const { turnId, workspace } = this.#deps;
    const base = { turnId, workspace, paths: [], directories: [] };
    if (this.#before === undefined) {
      this.#record = { ...base, endedAt: Date.now(), files: [] };
      return [];
    }
    await this.#before;
    if (this.#failure === undefined) {
      try {
        this.#record = await this.#collect();
        return this.#record.files;
      } catch (error) {
        this.#record = { ...base, endedAt: Date.now(), files: undefined, notice: this.#deps.failed("after", error) };
        return undefined;
      }
    }
    this.#record = { ...base, endedAt: Date.now(), files: undefined, notice: this.#failure };
    return undefined;
  }

  async #collect(): Promise<ChangeRecord> {
    const { git, turnId, workspace } = this.#deps;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(MAX_COMPARE_MS)]);
    const found = new Map<RawPath, RawChange>();
    const seen = new Set(this.#snapshots.map((snapshot) => snapshot.at));
    const waiting = [...this.#snapshots];
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { at } = next;
      const late = !this.#snapshots.includes(next);
      const scratch = join(this.#deps.turnDirectory, "rules");
      const result = await compare(git, next, { late, scratch }, signal);
      for (const change of result.changes) {
        // A nested repository that lost its `.git` shows in the outer one too: its own before-state is the true one.
        const inner = this.#snapshots.some((other) => other.at.length > at.length && change.path.startsWith(other.at));
        if (!inner) found.set(change.path, change);
      }
      for (const path of result.nested) {
        if (seen.has(`${path}/`)) continue;
        seen.add(`${path}/`);
        if (waiting.length > MAX_NESTED_SCOPES) {
          this.#tooManyNested = true;
          break;
        }
        const cwd = onDisk(workspace, path).toString();
        const scope = await this.#deps.scopeAt(cwd);
        await scope.exclusive(() => scope.prepare());
        const index = join(this.#deps.turnDirectory, "none.index");
        waiting.push({
          mode: "none",
          scope,
          cwd,
          at: `${path}/`,
          index,
          aside: new Map(),
          missing: new Set(),
          startedAt: this.#startedAt,
        });
      }
    }
    for (const [path, before] of this.#noted) {
      if (found.has(path)) continue;
      const { state } = await readState(onDisk(workspace, path));
      // git would have seen it, were it not ignored.
      if (!sameState(before, state)) {
        found.set(path, { path, before, after: state, scope: undefined, ignored: true });
      }
    }
    const changes = [...found.values()];
    const shared = this.#deps.shared();
    const { omitted, ...listing } = await listChanges(
      {
        kept: this.#kept,
        readAfter: readFrom(workspace),
        readBefore: (wanted) => this.#readBefore(wanted, signal),
        attributionOf: (path) => (shared ? (this.#noted.has(path) ? "own" : "during") : undefined),
      },
      changes,
    );
    const notices: string[] = [];
    if (omitted > 0) notices.push(`${omitted} more files have changed than are listed; undo leaves those as they are.`);
    if (this.#tooManyNested) {
      notices.push(`Only ${MAX_NESTED_SCOPES} of the repositories inside the workspace are looked at.`);
    }
    const directories = madeDirectories(workspace, changes, this.#startedAt);
    const record: ChangeRecord = { turnId, workspace, endedAt: Date.now(), ...listing, directories };
    return notices.length > 0 ? { ...record, notice: notices.join(" ") } : record;
  }

  async #readBefore(wanted: readonly RawChange[], signal: AbortSignal): Promise<Map<string, Buffer>> {
    const byScope = new Map<Scope | undefined, string[]>();
    for (const { scope, before } of wanted) {
      if (before.kind !== "file" && before.kind !== "link") continue;
      byScope.set(scope, [...(byScope.get(scope) ?? []), before.blob]);
    }
    const contents = new Map<string, Buffer>();
    for (const [scope, blobs] of byScope) {
      const read = scope ? await readBlobs(this.#deps.git, scope, blobs, signal) : await this.#kept.read(blobs);
      for (const [blob, content] of read) contents.set(blob, content);
    }
    return contents;
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#deps.ended(this.#forget());
  }

  async #forget(): Promise<void> {
    await Promise.all([this.#before, this.#after]);
    await this.#kept.close();
    await dropTurn(this.#deps.turnDirectory);
  }
}

/** An empty directory has nothing to look at: a submodule that was not checked out. */
function isFilledDirectory(path: string): boolean {
  try {
    return existsSync(path) && statSync(path).isDirectory() && readdirSync(path).length > 0;
  } catch {
    return false;
  }
}
