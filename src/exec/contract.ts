/** What an execution is asked for and what it leaves behind (docs/running-code.md), in no wire format's words. */
import type { FileChange } from "../turn/changes.ts";

/** Everything a run may use. All of it is enforced, sandboxed or not. */
export interface ExecutionLimits {
  timeoutMs: number;
  /** Resident memory of the whole process tree. */
  memoryBytes: number;
  /** Processes and threads together. */
  processes: number;
  /** Largest file that can be written. */
  fileBytes: number;
  /** Kept of stdout and of stderr, each. */
  outputBytes: number;
}

export interface ExecutionFile {
  /** Relative to the working directory. */
  path: string;
  content: Uint8Array;
}

export interface ExecutionRequest {
  /** A language id or one of its other names. */
  language: string;
  code: string;
  args: string[];
  stdin: Uint8Array | undefined;
  files: ExecutionFile[];
  /** A confined, real directory to work in; undefined: a scratch directory that is deleted afterwards. */
  workspace: string | undefined;
  limits: ExecutionLimits;
  /** Reach the network. The caller has checked that the config allows it. */
  network: boolean;
  /** Fires when nobody waits for the result: the run is ended. */
  signal: AbortSignal;
}

/** Tells what changed in a directory between two moments; `workspace/` offers it. Never rejects. */
export interface ChangesWatch {
  before(): Promise<void>;
  changes(): Promise<FileChange[] | undefined>;
  /** Frees what was kept for it. */
  close(): Promise<void> | void;
}

/** Which bound ended a run. */
export type LimitHit = "time" | "memory" | "processes" | "output";

export type ExecutionEvent =
  | { type: "start"; id: string; language: string; sandboxed: boolean }
  | { type: "stdout" | "stderr"; text: string }
  | { type: "end"; result: ExecutionResult };

export interface ExecutionResult {
  id: string;
  language: string;
  /** Null where a signal ended it. */
  exitCode: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  stdoutTruncated: boolean;
  stderrTruncated: boolean;
  durationMs: number;
  limitHit: LimitHit | undefined;
  /** What the run changed in its working directory; undefined where it could not be told. */
  filesChanged: FileChange[] | undefined;
  /** Settings files that the run tried to plant for other programs (`.claude`, git hooks …): removed again. */
  blockedPaths: string[];
}

/** A language that this machine can run. */
export interface Language {
  id: string;
  aliases: readonly string[];
  /** What runs it, e.g. `Python 3.11.2`; undefined where it did not tell. */
  version: string | undefined;
}
