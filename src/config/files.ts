/** How our own files come to be: private, whole or not at all, and never through somebody else's symlink. */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DaemonError } from "../errors.ts";

function directoryError(path: string, why: string, remedy: string): DaemonError {
  return new DaemonError("forbidden", `${path} ${why}. ${remedy}`, { detail: { exit: 78 } });
}

/**
 * Makes sure that `path` is a directory of this user with mode 0700. Throws `forbidden` (exit 78) where it is a symlink,
 * a file, or somebody else's: state must not be planted or read by others.
 */
export function ensurePrivateDirectory(path: string, uid: number): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "EEXIST") {
      throw new DaemonError(
        "internal",
        `${path} cannot be created: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error, detail: { exit: 73 } },
      );
    }
  }
  const stats = lstatSync(path);
  if (stats.isSymbolicLink()) {
    throw directoryError(path, "is a symbolic link", "Remove it, or point XDG_STATE_HOME at the real directory.");
  }
  if (!stats.isDirectory()) throw directoryError(path, "is not a directory", "Move it away.");
  if (stats.uid !== uid) {
    throw directoryError(
      path,
      `belongs to another user (uid ${stats.uid})`,
      "Run the daemon as its owner, or move it away.",
    );
  }
  if ((stats.mode & 0o777) !== 0o700) chmodSync(path, 0o700);
}

/** Writes `text` so that a reader, or a crash at any instant, sees the old or the new file, never a part. Mode 0600. */
export function writeFileAtomic(path: string, text: string): void {
  const temporary = join(dirname(path), `.${crypto.randomUUID()}.tmp`);
  const descriptor = openSync(temporary, "wx", 0o600);
  try {
    try {
      let written = 0;
      const bytes = Buffer.from(text);
      while (written < bytes.length) written += writeSync(descriptor, bytes, written);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
