import type { JsonObject } from "./message.ts";

/** One file that a turn changed: true of the disk, whatever made the change (docs/files-changed.md). */
export interface FileChange {
  /** Relative to the workspace, with `/`. */
  path: string;
  status: "added" | "modified" | "deleted" | "renamed";
  /** Where a renamed file was. */
  previousPath?: string;
  /** Lines; 0 for binaries. */
  additions: number;
  deletions: number;
  binary: boolean;
  /** Unified diff, bounded; absent for binaries. */
  diff?: string;
  diffTruncated?: boolean;
  /** The path is ignored by git; it is listed because Claude's own edit tools changed it. */
  ignored?: boolean;
  /** Set where another session shares the workspace: `own` was surely made by this turn, `during` only while it ran. */
  attribution?: "own" | "during";
}

/** A changed file as every endpoint shows it. */
export function changeToWire(change: FileChange): JsonObject {
  return {
    path: change.path,
    status: change.status,
    ...(change.previousPath === undefined ? {} : { previous_path: change.previousPath }),
    additions: change.additions,
    deletions: change.deletions,
    binary: change.binary,
    ...(change.diff === undefined ? {} : { diff: change.diff }),
    ...(change.diffTruncated === undefined ? {} : { diff_truncated: change.diffTruncated }),
    ...(change.ignored === undefined ? {} : { ignored: change.ignored }),
    ...(change.attribution === undefined ? {} : { attribution: change.attribution }),
  };
}
