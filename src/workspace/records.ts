/** What the rest of the daemon knows of changes in a workspace: plain data that can be stored, and three calls. */
import type { FileChange } from "../turn/changes.ts";
import type { JsonObject } from "../turn/message.ts";

/**
 * One path as it was or is on disk. A `file` has the git blob id of its raw bytes; `large` files are known by their size
 * and stamp alone, and cannot be restored; `unknown` is there but could not be read or was not kept.
 */
export type FileState =
  | { kind: "absent" }
  | { kind: "file"; blob: string; executable: boolean }
  | { kind: "link"; blob: string }
  | { kind: "large"; bytes: number; stamp: string; executable: boolean }
  | { kind: "unknown"; reason: string; stamp?: string };

/** One path that a turn changed, relative to the workspace. */
export interface PathChange {
  path: string;
  /** File names are bytes: base64 of them, where they are no UTF-8 and `path` is only for showing. */
  rawPath?: string;
  before: FileState;
  after: FileState;
}

/** JSON that `sessions/` stores with the turn, and hands back for undo. The contents stay in the state directory. */
export interface ChangeRecord {
  turnId: string;
  /** Real path. */
  workspace: string;
  /** Unix milliseconds. */
  endedAt: number;
  /** What clients see; undefined where it could not be told (`notice` says why). */
  files: FileChange[] | undefined;
  /** For a person: git is missing, or only a part could be told. */
  notice?: string;
  /** What undo restores, a renamed file as two paths. */
  paths: PathChange[];
  /** Directories that the turn made (deepest first): undo removes those it leaves empty. */
  directories: { path: string; rawPath?: string }[];
}

/**
 * One turn's watch over its workspace. It satisfies `ChangeTracker` of sessions/contracts.ts. A turn whose `before` is
 * never called (it used no tool) costs nothing and has changed nothing.
 */
export interface TurnChanges {
  /**
   * Takes the before-state, once, however often it is called; never rejects. It need not have settled before the prompt
   * goes out, but must have before any tool can change a file: the CLI waits for the PreToolUse callback, so hook every
   * tool and let `beforeEdit` answer it.
   */
  before(): Promise<void>;
  /** A tool is about to run: waits for `before`, and keeps what Claude's own edit tools are about to change. */
  beforeEdit(tool: string, input: JsonObject): Promise<void>;
  /** What has changed since `before`; undefined where it could not be told. May be called again (pauses). Never rejects. */
  changes(): Promise<FileChange[] | undefined>;
  /** The last `changes()` as a record to store; undefined before the first. */
  readonly record: ChangeRecord | undefined;
  /** The turn is over: frees what was held for it. Idempotent. */
  close(): void;
}

export interface UndoOptions {
  /** Only these, relative to the workspace; a directory stands for all below it. Absent: everything. */
  paths?: readonly string[];
  /** Also what has changed since. */
  force?: boolean;
  /** Tell, but do nothing. */
  dryRun?: boolean;
  /** Names the record of the undo itself. */
  undoId: string;
}

export interface UndoConflict {
  path: string;
  /** `changed`: not as the turn left it (`force` overrides). `lost`: its before-state was not kept, or is gone. */
  reason: "changed" | "lost" | "unsafe";
  message: string;
}

export interface UndoResult {
  /** False: nothing was touched (a dry run, conflicts without `force`, or nothing left to undo). */
  applied: boolean;
  /** For a person, where there was nothing to do. */
  notice?: string;
  /** What the undo changes, as a turn's list would show it. */
  files: FileChange[];
  conflicts: UndoConflict[];
  /** Undoes the undo; set where it was applied. */
  record?: ChangeRecord;
}

export interface BeginOptions {
  turnId: string;
  /** Real path (`resolveWorkspace`). */
  workspace: string;
}

/** `createWorkspaceChanges` makes one for the daemon. */
export interface WorkspaceChanges {
  /** Costs nothing until `before` is called. */
  begin(options: BeginOptions): TurnChanges;
  /** Restores what a turn changed. Throws `invalid_request` for paths the turn did not change, `unsupported` without git. */
  undo(record: ChangeRecord, options: UndoOptions): Promise<UndoResult>;
  /** Ends git processes that still run. */
  close(): Promise<void>;
}
