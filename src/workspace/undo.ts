/**
 * Putting back what a turn changed. Each path is replaced by a rename, so a reader sees the old file or the new one; a
 * path whose directories lead out of the workspace by a link is left alone.
 *
 * Node has no `openat`: between looking at the directories and the rename somebody of the same user could swap one for a
 * link. The directory is therefore looked at again after the new file is in it, and before it takes its name.
 */
import { realpathSync, type Stats } from "node:fs";
import { chmod, mkdir, open, rename, rmdir, symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { DaemonError } from "../errors.ts";
import type { FileChange } from "../turn/changes.ts";
import type { RawChange } from "./compare.ts";
import { findObstacle, KeptContents, openKeptContents, readState, sameState, statOf } from "./contents.ts";
import { listChanges, readFrom } from "./listing.ts";
import { asShown, isBelow, onDisk, type RawPath, toRaw, toShown } from "./paths.ts";
import type { ChangeRecord, FileState, PathChange, UndoConflict, UndoOptions, UndoResult } from "./records.ts";

export interface UndoDeps {
  keptDirectory: string;
}

type KeptReader = Awaited<ReturnType<typeof openKeptContents>>;

interface Step {
  path: RawPath;
  /** As the turn found it, and as it shall be again. */
  goal: FileState;
  /** As it is now. */
  now: FileState;
}

const MESSAGES = {
  changed: "It has changed since the turn; `force` overwrites it.",
  lost: "Its content from before the turn is not kept (any more).",
} as const;

export const rawPathOf = ({ path, rawPath }: { path: string; rawPath?: string }): RawPath =>
  rawPath === undefined ? toRaw(path) : Buffer.from(rawPath, "base64").toString("latin1");

/** Names of a record come back through a database: only such as git could have given are taken. */
function checked(path: RawPath): RawPath {
  const parts = path.split("/");
  if (path.includes("\0") || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new DaemonError("invalid_request", "The record of this turn is damaged; it cannot be undone.");
  }
  return path;
}

function select(record: ChangeRecord, paths: readonly string[] | undefined): PathChange[] {
  if (paths === undefined) return record.paths;
  const wanted = paths.map((path) => toRaw(path.replace(/\/+$/, "")));
  const strange = wanted.findIndex((path) => !record.paths.some((change) => isBelow(path, rawPathOf(change))));
  if (strange >= 0) {
    throw new DaemonError("invalid_request", `The turn did not change ${JSON.stringify(paths[strange])}.`, {
      detail: { param: `paths[${strange}]` },
    });
  }
  return record.paths.filter((change) => wanted.some((path) => isBelow(path, rawPathOf(change))));
}

/** The state of a path as git would see it: beyond a link or a file there is nothing. */
async function stateNow(workspace: string, path: RawPath): Promise<FileState> {
  if (findObstacle(workspace, path) !== undefined) return { kind: "absent" };
  return (await readState(onDisk(workspace, path))).state;
}

/**
 * Restores the before-state of a turn's files. Refuses as a whole where a file has changed since, unless `force` is
 * given; then, too, files whose before-state is lost are left alone. Throws `invalid_request` for foreign `paths`.
 */
export async function undo(deps: UndoDeps, record: ChangeRecord, options: UndoOptions): Promise<UndoResult> {
  const { workspace } = record;
  const conflicts: UndoConflict[] = [];
  const steps: Step[] = [];
  const reader = await openKeptContents(deps.keptDirectory, record.turnId);
  const kept = new KeptContents(deps.keptDirectory, options.undoId);
  try {
    for (const change of select(record, options.paths)) {
      await plan(record, change, reader, steps, conflicts, options.force === true);
    }
    const changes = steps.map(
      ({ path, now, goal }): RawChange => ({ path, before: now, after: goal, scope: undefined, ignored: false }),
    );
    if (options.dryRun || (conflicts.length > 0 && options.force !== true)) {
      return { applied: false, files: await preview(workspace, changes, reader), conflicts };
    }
    await keepPresent(workspace, steps, kept);
    const made: RawPath[] = [];
    const failed = await apply(workspace, steps, record, reader, made);
    conflicts.push(...failed);
    const done = changes.filter(({ path }) => !failed.some((conflict) => conflict.path === toShown(path)));
    const listing = await listChanges(
      {
        kept,
        readBefore: (wanted) => kept.read(blobsOf(wanted)),
        readAfter: readFrom(workspace),
        attributionOf: () => undefined,
      },
      done,
    );
    const directories = made.sort((one, other) => other.length - one.length).map(asShown);
    const { files, paths } = listing;
    return {
      applied: true,
      files,
      conflicts,
      record: { turnId: options.undoId, workspace, endedAt: Date.now(), files, paths, directories },
    };
  } finally {
    await reader.close();
    await kept.close();
  }
}

async function plan(
  record: ChangeRecord,
  change: PathChange,
  reader: KeptReader,
  steps: Step[],
  conflicts: UndoConflict[],
  force: boolean,
): Promise<void> {
  const path = checked(rawPathOf(change));
  const now = await stateNow(record.workspace, path);
  const conflict = (reason: UndoConflict["reason"], message: string) =>
    void conflicts.push({ path: change.path, reason, message });
  if (sameState(now, change.before)) return;
  if (!sameState(now, change.after) && !force) return conflict("changed", MESSAGES.changed);
  const goal = change.before;
  if (goal.kind === "unknown" || goal.kind === "large") {
    const reason = goal.kind === "unknown" ? `: ${goal.reason}` : ": it is too large";
    return conflict("lost", MESSAGES.lost.replace(/\.$/, `${reason}.`));
  }
  if (goal.kind !== "absent" && !reader.has(goal.blob)) return conflict("lost", MESSAGES.lost);
  // What would be overwritten must be possible to bring back, or undo could not be undone.
  if ((now.kind === "large" || now.kind === "unknown") && !force) {
    return conflict("lost", "It is too large to be kept before it is overwritten; `force` overwrites it.");
  }
  steps.push({ path, goal, now });
}

const blobsOf = (changes: readonly RawChange[]) =>
  changes.flatMap(({ before }) => (before.kind === "file" || before.kind === "link" ? [before.blob] : []));

/** What the undo would change, as a list with diffs from what is there to what would be. */
async function preview(workspace: string, changes: readonly RawChange[], reader: KeptReader): Promise<FileChange[]> {
  const { files } = await listChanges(
    {
      kept: undefined,
      readBefore: async (wanted) => {
        const contents = new Map<string, Buffer>();
        for (const { path } of wanted) {
          const { state, content } = await readState(onDisk(workspace, path));
          if ((state.kind === "file" || state.kind === "link") && content !== undefined)
            contents.set(state.blob, content);
        }
        return contents;
      },
      readAfter: async ({ after }) =>
        after.kind === "file" || after.kind === "link" ? reader.get(after.blob) : undefined,
      attributionOf: () => undefined,
    },
    changes,
  );
  return files;
}

/** Keeps what is on disk now, for the undo of the undo. */
async function keepPresent(workspace: string, steps: readonly Step[], kept: KeptContents): Promise<void> {
  for (const step of steps) {
    const { state, content } = await readState(onDisk(workspace, step.path));
    if ((state.kind === "file" || state.kind === "link") && content !== undefined) await kept.put(state.blob, content);
  }
}

/** Files first that have to go (they may stand where a directory is needed), the deepest before those above them. */
async function apply(
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
    await rmdir(target).catch(() => {
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
