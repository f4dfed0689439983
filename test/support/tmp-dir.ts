/** A private directory that goes away with its scope: `await using directory = await createTmpDir()`. */
import { chmod, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TmpDir extends AsyncDisposable {
  /** Real path (no symlink in it), mode 0700. */
  readonly path: string;
  /** A path inside. */
  join(...parts: string[]): string;
}

export async function createTmpDir(prefix = "claude-code-daemon-test-"): Promise<TmpDir> {
  const path = await realpath(await mkdtemp(join(tmpdir(), prefix)));
  await chmod(path, 0o700);
  return {
    path,
    join: (...parts) => join(path, ...parts),
    // Processes that were just ended may still write: retry a few times.
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  };
}

/** All files below a directory, relative, sorted: for "nothing is left" assertions. */
export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1)).sort();
}
