/**
 * Putting files back. Each path is replaced by a rename, so a reader sees the old file or the new one; a path whose
 * directories lead out of the workspace by a link is left alone.
 *
 * Node has no `openat`: between looking at the directories and the rename somebody of the same user could swap one for a
 * link. The directory is therefore looked at again after the new file is in it, and before it takes its name.
 */
import { readdirSync, realpathSync, type Stats } from "node:fs";
import { chmod, mkdir, open, rename, rmdir, symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { DaemonError } from "../errors.ts";
import { findObstacle, type openKeptContents, statOf } from "./contents.ts";
import { onDisk, type RawPath, toRaw, toShown } from "./paths.ts";
import type { ChangeRecord, FileState, UndoConflict } from "./records.ts";

export type KeptReader = Awaited<ReturnType<typeof openKeptContents>>;

/** Most entries looked through where a directory stands in a file's place. */
const MAX_ENTRIES = 10_000;

export interface Step {
  path: RawPath;
  /** As the turn found it, and as it shall be again. */
  goal: FileState;
  /** As it is now. */
  now: FileState;
}

export const rawPathOf = ({ path, rawPath }: { path: string; rawPath?: string }): RawPath =>
  rawPath === undefined ? toRaw(path) : Buffer.from(rawPath, "base64").toString("latin1");

/** Names of a record come back through a database: only such as git could have given are taken. */
export function checked(path: RawPath): RawPath {
  const parts = path.split("/");
  if (path.includes("\0") || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new DaemonError("invalid_request", "The record of this turn is damaged; it cannot be undone.");
  }
  return path;
}

/** What stands in the way of a path and would not go with the other steps: a message, or nothing. */
export function findBlocker(workspace: string, path: RawPath, removed: ReadonlySet<RawPath>): string | undefined {
  const obstacle = findObstacle(workspace, path);
  if (obstacle !== undefined && !removed.has(obstacle)) return "A link or a file stands where its directory was.";
  if (obstacle !== undefined || !statOf(onDisk(workspace, path))?.isDirectory()) return undefined;
  const waiting = [path];
  let entries = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    // Not `withFileTypes`: Bun 1.4.5 then leaves out names that are asked for as buffers.
    for (const name of readdirSync(onDisk(workspace, next), { encoding: "buffer" })) {
      const inside = `${next}/${name.toString("latin1")}`;
      if (statOf(onDisk(workspace, inside))?.isDirectory()) waiting.push(inside);
      else if (!removed.has(inside)) return "A directory with other files stands in its place.";
      if (++entries > MAX_ENTRIES) return "A large directory stands in its place.";
    }
  }
  return undefined;
}

/** Files first that have to go (they may stand where a directory is needed), the deepest before those above them. */
export async function apply(
  workspace: string,
  steps: readonly Step[],
  record: ChangeRecord,
  reader: KeptReader,
  made: RawPath[],
): Promise<UndoConflict[]> {
  const failed: UndoConflict[] = [];
  const attempt = async (step: Step, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      const message = error instanceof UnsafePath ? error.message : `It could not be restored (${errorCode(error)}).`;
      failed.push({ path: toShown(step.path), reason: "unsafe", message });
    }
  };
  const removals = steps.filter((step) => step.goal.kind === "absent");
  for (const step of removals.sort((one, other) => (one.path < other.path ? 1 : -1))) {
    await attempt(step, async () => {
      if (findObstacle(workspace, step.path) === undefined) await unlink(onDisk(workspace, step.path));
    });
  }
  for (const directory of record.directories) {
    const path = checked(rawPathOf(directory));
    // Only if it is empty; rmdir itself is the test.
    if (findObstacle(workspace, path) === undefined) await rmdir(onDisk(workspace, path)).catch(() => undefined);
  }
  for (const step of steps) {
    if (step.goal.kind !== "absent") await attempt(step, () => restore(workspace, step, reader, made));
  }
  return failed;
}

const errorCode = (error: unknown) => (error as NodeJS.ErrnoException).code ?? "unknown error";

class UnsafePath extends Error {}

async function restore(workspace: string, { path, goal }: Step, reader: KeptReader, made: RawPath[]): Promise<void> {
  if (goal.kind !== "file" && goal.kind !== "link") return;
  const content = await reader.get(goal.blob);
  if (content === undefined) throw new UnsafePath("Its kept content is damaged.");
  const target = onDisk(workspace, path);
  const slash = path.lastIndexOf("/");
  const parent = slash < 0 ? "" : path.slice(0, slash);
  await makeDirectories(workspace, parent, made);
  const present = statOf(target);
  if (present?.isDirectory()) {
    await removeEmpty(target).catch(() => {
      throw new UnsafePath("A directory with other files stands in its place.");
    });
  }
  const temporary = onDisk(workspace, `${parent === "" ? "" : `${parent}/`}.undo-${crypto.randomUUID()}`);
  try {
    if (goal.kind === "link") await symlink(content, temporary);
    else await writeNew(temporary, content, goal.executable, present);
    if (findObstacle(workspace, path) !== undefined || !leadsTo(workspace, parent)) {
      throw new UnsafePath("Its directory is a link out of the workspace by now.");
    }
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

/** With the file's present permissions where it is a file, the user's umask where it is not. */
async function writeNew(path: Buffer, content: Buffer, executable: boolean, present: Stats | undefined): Promise<void> {
  const file = await open(path, "wx", executable ? 0o777 : 0o666);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  if (present?.isFile()) {
    const mode = present.mode & 0o777;
    // Executable for whoever may read it, as git does it.
    await chmod(path, executable ? mode | ((mode & 0o444) >> 2) : mode & ~0o111);
  }
}

/** A directory that holds nothing but directories. */
async function removeEmpty(path: Buffer): Promise<void> {
  for (const name of readdirSync(path, { encoding: "buffer" })) {
    const inside = Buffer.concat([path, Buffer.from("/"), name]);
    if (statOf(inside)?.isDirectory()) await removeEmpty(inside);
  }
  await rmdir(path);
}

/** Makes missing directories one by one; a link among them, or a file, stops it. */
async function makeDirectories(workspace: string, path: RawPath, made: RawPath[]): Promise<void> {
  if (path === "") return;
  for (let end = path.indexOf("/"); ; end = path.indexOf("/", end + 1)) {
    const at = end < 0 ? path : path.slice(0, end);
    const full = onDisk(workspace, at);
    const found = statOf(full);
    if (found === undefined) {
      await mkdir(full);
      made.push(at);
    } else if (!found.isDirectory()) throw new UnsafePath("A link or a file stands where its directory was.");
    if (end < 0) return;
  }
}

/** Whether a directory of the workspace is where its name says. */
function leadsTo(workspace: string, path: RawPath): boolean {
  try {
    const real = realpathSync(onDisk(workspace, path), { encoding: "buffer" }).toString("latin1");
    return real === join(toRaw(workspace), path).replace(/\/$/, "");
  } catch {
    return false;
  }
}
