/** Taking a turn back: what can be restored, what has changed since, and the record that takes the undo back. */
import { DaemonError } from "../errors.ts";
import type { FileChange } from "../turn/changes.ts";
import type { RawChange } from "./compare.ts";
import { findObstacle, KeptContents, openKeptContents, readState, sameState } from "./contents.ts";
import { listChanges, readFrom } from "./listing.ts";
import { asShown, isBelow, onDisk, type RawPath, toRaw, toShown } from "./paths.ts";
import type { ChangeRecord, FileState, PathChange, UndoConflict, UndoOptions, UndoResult } from "./records.ts";
import { apply, checked, findBlocker, type KeptReader, rawPathOf, type Step } from "./restore.ts";

export interface UndoDeps {
  keptDirectory: string;
}

const MESSAGES = {
  changed: "It has changed since the turn; `force` overwrites it.",
  lost: "Its content from before the turn is not kept (any more).",
} as const;

const NOTHING_LEFT = "Nothing is left to undo: these files are as they were before. Nothing was changed.";

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
  const planned: Step[] = [];
  const reader = await openKeptContents(deps.keptDirectory, record.turnId);
  const kept = new KeptContents(deps.keptDirectory, options.undoId);
  try {
    for (const change of select(record, options.paths)) {
      await plan(record, change, reader, planned, conflicts, options.force === true);
    }
    const removed = new Set(planned.filter(({ goal }) => goal.kind === "absent").map(({ path }) => path));
    const steps = planned.filter(({ path, goal }) => {
      const message = goal.kind === "absent" ? undefined : findBlocker(workspace, path, removed);
      if (message !== undefined) conflicts.push({ path: toShown(path), reason: "unsafe", message });
      return message === undefined;
    });
    if (steps.length === 0 && (conflicts.length === 0 || options.force === true)) {
      // No record either: an undo that changed nothing is nothing that could be taken back.
      return { applied: false, files: [], conflicts, ...(conflicts.length === 0 ? { notice: NOTHING_LEFT } : {}) };
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
