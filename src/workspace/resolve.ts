/**
 * Which directories an agent may work in (docs/security.md). Running claude in a directory can run what lies there, so
 * the decision is made on real paths, and the real path is what the caller must use from then on.
 */
import { readlink, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute, relative, sep } from "node:path";
import { DaemonError } from "../errors.ts";

/** Longest path taken from a request, in bytes (PATH_MAX on Linux). */
export const MAX_PATH_BYTES = 4096;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/** Whether `path` is `root` or below it. Both are real paths; a directory really called `..x` is below. */
export function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === "" || !(way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way));
}

/** The real paths of the roots that exist; one that is missing confines nothing and allows nothing. */
async function realRoots(roots: readonly string[]): Promise<string[]> {
  const found = await Promise.all(roots.map((root) => realpath(root).catch(() => undefined)));
  return found.filter((root) => root !== undefined);
}

function refuse(message: string, cause?: unknown): DaemonError {
  return new DaemonError("invalid_request", message, { detail: { param: "workspace" }, cause });
}

/** The real path of the deepest directory of `path` that exists. */
async function deepestExisting(path: string): Promise<string> {
  for (let current = dirname(path); ; current = dirname(current)) {
    const real = await realpath(current).catch(() => undefined);
    if (real !== undefined || current === dirname(current)) return real ?? current;
  }
}

/**
 * The real path of a workspace that lies in one of the roots, symlinks resolved on both sides. Throws `invalid_request`
 * for what is no usable directory and `forbidden` for what lies elsewhere, whether it exists or not: a client learns
 * nothing about directories outside the roots.
 */
export async function resolveWorkspace(path: string, roots: readonly string[]): Promise<string> {
  if (path === "") throw refuse("The workspace is empty. Send the absolute path of a directory.");
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw refuse(`The workspace path is longer than ${MAX_PATH_BYTES} bytes.`);
  if (CONTROL_CHARACTER.test(path)) throw refuse("The workspace path contains control characters.");
  if (!isAbsolute(path)) {
    const hint = path.startsWith("~") ? " (`~` is not expanded here)" : "";
    throw refuse(`The workspace must be an absolute path${hint}.`);
  }
  const allowed = await realRoots(roots);
  if (allowed.length === 0) {
    throw refuse(
      "No directory is open to agents yet. Run `claude-code-daemon workspace add DIRECTORY` for the one to work in.",
    );
  }
  const outside = () =>
    new DaemonError(
      "forbidden",
      "The workspace lies outside the directories that are open to agents. " +
        "`claude-code-daemon workspace add DIRECTORY` opens one.",
      { detail: { param: "workspace" } },
    );
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    const parent = await deepestExisting(path);
    if (!allowed.some((root) => isWithin(root, parent))) throw outside();
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ELOOP") throw refuse("The workspace path is a loop of symbolic links.", error);
    if (code === "EACCES") throw refuse("The daemon's user may not enter the workspace.", error);
    throw refuse("The workspace does not exist. Create the directory first.", error);
  }
  if (!allowed.some((root) => isWithin(root, real))) throw outside();
  const found = await stat(real).catch(() => undefined);
  if (!found?.isDirectory()) throw refuse("The workspace is not a directory.");
  return real;
}

/**
 * Whether a process that was started with `cwd: workspace` really stands there: between the check and the start somebody
 * could have put a symlink in its place (P4). Undefined where the system does not tell (no /proc) or it has exited.
 */
export async function standsIn(pid: number, workspace: string): Promise<boolean | undefined> {
  const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  return cwd === undefined ? undefined : cwd === workspace;
}
