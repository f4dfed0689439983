/**
 * The lists that commands manage (`origin allow`, `workspace add`). A running daemon sees a change at the next use: one
 * `stat`, and the file is read again only when that differs.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DaemonError } from "../errors.ts";
import { writeFileAtomic } from "./files.ts";

export interface ListFile {
  /** The entries now. Never throws: a file that cannot be read counts as empty, and `problem` says why. */
  entries(): readonly string[];
  /** Why the file could not be used at the last look; undefined when all is well. */
  problem(): string | undefined;
  /** False when it was there already. Throws `internal` where the file cannot be written or is not ours to rewrite. */
  add(entry: string): boolean;
  /** False when it was not there. Throws like `add`. */
  remove(entry: string): boolean;
}

/** Bounds a list, and so each look-up in it. */
const MAX_ENTRIES = 10_000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

function parseEntries(text: string): string[] {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed) || !parsed.every((entry) => typeof entry === "string")) {
    throw new Error("it must be a JSON list of texts");
  }
  return parsed.slice(0, MAX_ENTRIES);
}

/** Opens nothing yet: the file may appear later, and a missing one is an empty list. */
export function openListFile(path: string): ListFile {
  let seen = "";
  let current: readonly string[] = [];
  let trouble: string | undefined;

  const refresh = () => {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    const stamp = stats ? `${stats.ino} ${stats.mtimeNs} ${stats.ctimeNs} ${stats.size}` : "none";
    if (stamp === seen) return;
    seen = stamp;
    current = [];
    trouble = undefined;
    if (stats) {
      if ((stats.mode & 0o022n) !== 0n) throw new Error("others may write it; correct it with chmod 600");
      if (stats.size > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`);
      current = parseEntries(readFileSync(path, "utf8"));
    }
  };
  const entries = () => {
    try {
      refresh();
    } catch (error) {
      current = [];
      trouble = `${path} is not used: ${error instanceof Error ? error.message : String(error)}`;
    }
    return current;
  };
  const write = (next: readonly string[]) => {
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileAtomic(path, `${JSON.stringify(next, undefined, 2)}\n`);
    } catch (error) {
      throw new DaemonError(
        "internal",
        `${path} cannot be written: ${error instanceof Error ? error.message : error}`,
        {
          cause: error,
          detail: { exit: 73 },
        },
      );
    }
  };
  const mustBeUsable = (): readonly string[] => {
    const now = entries();
    if (trouble !== undefined) throw new DaemonError("internal", trouble, { detail: { exit: 78 } });
    return now;
  };

  return {
    entries,
    problem: () => {
      entries();
      return trouble;
    },
    add: (entry) => {
      const now = mustBeUsable();
      if (now.includes(entry)) return false;
      if (now.length >= MAX_ENTRIES) {
        throw new DaemonError("invalid_request", `${path} already has ${MAX_ENTRIES} entries. Remove some first.`);
      }
      write([...now, entry]);
      return true;
    },
    remove: (entry) => {
      const now = mustBeUsable();
      if (!now.includes(entry)) return false;
      write(now.filter((other) => other !== entry));
      return true;
    },
  };
}
