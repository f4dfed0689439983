/** The private directories of a run: made 0700 under the state directory, gone afterwards whatever the run left there. */
import { chmod, lstat, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize } from "node:path";
import { DaemonError } from "../errors.ts";
import type { ExecutionFile } from "./contract.ts";

const MAX_PATH_CHARS = 1024;

/** A relative path that stays inside; throws `invalid_request` otherwise. */
function checkedPath(path: string): string {
  const plain = normalize(path);
  const outside = plain === ".." || plain.startsWith("../") || isAbsolute(path);
  if (
    path === "" ||
    path.length > MAX_PATH_CHARS ||
    path.includes("\0") ||
    outside ||
    plain.endsWith("/") ||
    plain === "."
  ) {
    throw new DaemonError("invalid_request", "Each file needs a relative path inside the working directory.", {
      detail: { param: "files" },
    });
  }
  return plain;
}

/**
 * Writes the client's files. Never over an existing one and never through a link: a workspace is the user's, and its
 * links may point anywhere.
 */
export async function placeFiles(directory: string, files: readonly ExecutionFile[]): Promise<void> {
  for (const { path, content } of files) {
    const relative = checkedPath(path);
    let folder = directory;
    for (const part of dirname(relative).split("/")) {
      if (part === ".") continue;
      folder = join(folder, part);
      await mkdir(folder).catch(() => undefined);
      if (!(await lstat(folder)).isDirectory()) throw refused(relative);
    }
    await writeFile(join(directory, relative), content, { flag: "wx" }).catch((cause) => {
      throw refused(relative, cause);
    });
  }
}

function refused(path: string, cause?: unknown): DaemonError {
  const options = { detail: { param: "files" }, cause };
  return new DaemonError(
    "invalid_request",
    `${JSON.stringify(path)} exists already or cannot be written there.`,
    options,
  );
}

/** Removes a tree that hostile code has filled: directories without permissions are opened first. */
export async function removeTree(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true });
  } catch {
    await openUp(directory);
    await rm(directory, { recursive: true, force: true });
  }
}

async function openUp(directory: string): Promise<void> {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await openUp(join(directory, entry.name));
  }
}
