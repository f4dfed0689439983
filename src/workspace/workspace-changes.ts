/**
 * files_changed and undo for the daemon (docs/files-changed.md): hands out a watch for each turn and keeps what they
 * share: git, the scopes with their stat caches, who else is in a workspace.
 *
 * Everything it writes lies in `<state>/changes`; removing that directory loses undo, and nothing else.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { sweepKept } from "./contents.ts";
import { findGit, Git } from "./git.ts";
import type { BeginOptions, ChangeRecord, TurnChanges, UndoOptions, UndoResult, WorkspaceChanges } from "./records.ts";
import { findRepository, keyOf, type UserHome } from "./repository.ts";
import { isWithin } from "./resolve.ts";
import { Scope } from "./scope.ts";
import { sweepObjects, sweepScopes } from "./sweep.ts";
import { WorkspaceTurn } from "./turn-changes.ts";
import { undo } from "./undo.ts";

/** Scopes kept in memory; with more, all are forgotten and found again. */
const MAX_SCOPES = 256;
/** After a workspace proved too large, its turns are not watched for this long. */
const MAX_UNABLE_MS = 5 * 60 * 1000;
/** Least time between two looks for what can be forgotten. */
const SWEEP_INTERVAL_MS = 60 * 60 * 1000;

export interface WorkspaceChangesOptions extends UserHome {
  stateDirectory: string;
  /** PATH to look for git in. */
  searchPath: string;
  log: Logger;
}

export const NO_GIT_NOTICE =
  "git was not found on the daemon's PATH, so what a turn changes cannot be told or undone. Install git.";

export function createWorkspaceChanges(options: WorkspaceChangesOptions): WorkspaceChanges {
  const path = findGit(options.searchPath);
  if (path === undefined) options.log.warn("git was not found: files_changed and undo are not available");
  return new TrackedWorkspaces(options, path === undefined ? undefined : new Git(path));
}

/** Turns in a workspace without git: it is said so, and nothing is made up. */
function untold(turnId: string, workspace: string, notice: string): TurnChanges {
  let record: ChangeRecord | undefined;
  return {
    before: async () => undefined,
    beforeEdit: async () => undefined,
    changes: async () => {
      record = { turnId, workspace, endedAt: Date.now(), files: undefined, notice, paths: [], directories: [] };
      return undefined;
    },
    get record() {
      return record;
    },
    close: () => undefined,
  };
}

interface ActiveTurn {
  turn: WorkspaceTurn;
  workspace: string;
  shared: boolean;
}

class TrackedWorkspaces implements WorkspaceChanges {
  readonly #options: WorkspaceChangesOptions;
  readonly #git: Git | undefined;
  readonly #directory: string;
  readonly #scopes = new Map<string, Promise<Scope>>();
  readonly #plain = new Set<string>();
  readonly #active = new Set<ActiveTurn>();
  readonly #unable = new Map<string, { until: number; notice: string }>();
  readonly #sweptAt = new Map<string, number>();
  readonly #endings = new Set<Promise<void>>();

  constructor(options: WorkspaceChangesOptions, git: Git | undefined) {
    this.#options = options;
    this.#git = git;
    this.#directory = join(options.stateDirectory, "changes");
  }

  begin({ turnId, workspace }: BeginOptions): TurnChanges {
    const git = this.#git;
    if (git === undefined) return untold(turnId, workspace, NO_GIT_NOTICE);
    const unable = this.#unable.get(workspace);
    if (unable !== undefined) {
      if (Date.now() < unable.until) return untold(turnId, workspace, unable.notice);
      this.#unable.delete(workspace);
    }
    this.#clearLeftovers();
    const turn: WorkspaceTurn = new WorkspaceTurn({
      git,
      turnId,
      workspace,
      turnDirectory: join(this.#turns, crypto.randomUUID()),
      keptDirectory: this.#keptDirectory(workspace),
      rootScope: (directory, signal) => this.#rootScope(git, directory, signal),
      scopeAt: (directory) => this.#scopeAt(git, directory),
      shared: () => active.shared,
      failed: (phase, error) => this.#failed(workspace, phase, error),
      ended: (forgotten) => this.#ended(active, forgotten),
    });
    const active: ActiveTurn = { turn, workspace, shared: false };
    for (const other of this.#active) {
      if (!isWithin(other.workspace, workspace) && !isWithin(workspace, other.workspace)) continue;
      other.shared = true;
      active.shared = true;
    }
    this.#active.add(active);
    return turn;
  }

  async undo(record: ChangeRecord, options: UndoOptions): Promise<UndoResult> {
    if (record.files === undefined) {
      throw new DaemonError(
        "unsupported",
        `This turn cannot be undone. ${record.notice ?? "What it changed is not known."}`,
      );
    }
    return undo({ keptDirectory: this.#keptDirectory(record.workspace) }, record, options);
  }

  async close(): Promise<void> {
    for (const { turn } of this.#active) turn.close();
    await this.#git?.close();
    await Promise.all(this.#endings);
  }

  get #turns(): string {
    return join(this.#directory, "turns");
  }

  #keptDirectory(workspace: string): string {
    return join(this.#directory, "kept", new Bun.CryptoHasher("sha256").update(workspace).digest("hex").slice(0, 32));
  }

  #clearedLeftovers = false;
  /** What a killed daemon left: indexes of turns that nobody will end. */
  #clearLeftovers(): void {
    if (this.#clearedLeftovers) return;
    this.#clearedLeftovers = true;
    if (!existsSync(this.#turns)) return;
    for (const name of readdirSync(this.#turns)) rmSync(join(this.#turns, name), { recursive: true, force: true });
  }

  async #scopeAt(git: Git, workTree: string): Promise<Scope> {
    const key = `${workTree}\n${existsSync(join(workTree, ".git"))}`;
    const known = this.#scopes.get(key);
    if (known !== undefined) return known;
    if (this.#scopes.size >= MAX_SCOPES) this.#scopes.clear();
    const { home, xdgConfigHome, log } = this.#options;
    const place: UserHome = xdgConfigHome === undefined ? { home } : { home, xdgConfigHome };
    const scope = Scope.open({ git, directory: join(this.#directory, "scopes"), place, log }, workTree);
    this.#scopes.set(key, scope);
    return scope;
  }

  /**
   * The repository that a workspace lies in, unless that repository ignores it (a HOME under version control): then the
   * workspace is a plain directory with its own rules.
   */
  async #rootScope(git: Git, workspace: string, signal: AbortSignal): Promise<Scope> {
    const top = findRepository(workspace)?.top;
    if (top === undefined || top === workspace || this.#plain.has(workspace)) return this.#scopeAt(git, workspace);
    const scope = await this.#scopeAt(git, top);
    await scope.exclusive(() => scope.prepare());
    const place = scope.place(top, scope.baseIndex);
    const ignored = await git.run(place, ["check-ignore", "--quiet", "--", `./${relative(top, workspace)}`], {
      signal,
    });
    if (!ignored.ok) return scope;
    this.#plain.add(workspace);
    return this.#scopeAt(git, workspace);
  }

  #failed(workspace: string, phase: "before" | "after", error: unknown): string {
    this.#options.log.warn("what a turn changes could not be told", { workspace, phase, error: String(error) });
    const late = error instanceof Error && /too long|not started|timed out/.test(error.message);
    const notice = late
      ? "The workspace is too large, or its disk too slow, to tell what the turn changed."
      : "What the turn changed could not be told; the daemon's log says why.";
    if (phase === "before") this.#unable.set(workspace, { until: Date.now() + MAX_UNABLE_MS, notice });
    return notice;
  }

  #ended(active: ActiveTurn, forgotten: Promise<void>): void {
    this.#active.delete(active);
    const { workspace } = active;
    const now = Date.now();
    const due = now - (this.#sweptAt.get(workspace) ?? 0) >= SWEEP_INTERVAL_MS;
    if (due) this.#sweptAt.set(workspace, now);
    const ending = forgotten
      .then(() => (due ? this.#sweep(workspace, now) : undefined))
      .catch((error) => this.#options.log.warn("what a turn left could not be removed", { error: String(error) }))
      .finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
  }

  async #sweep(workspace: string, now: number): Promise<void> {
    await sweepKept(this.#keptDirectory(workspace), now);
    // Objects of a turn that runs are not named by any base index yet.
    if (this.#active.size > 0) return;
    const scopes = join(this.#directory, "scopes");
    await sweepScopes(scopes, now);
    await sweepObjects(join(scopes, await keyOf(findRepository(workspace)?.top ?? workspace)), now);
  }
}
