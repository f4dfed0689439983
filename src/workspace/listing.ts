/** From what differs to the list that clients see and the record that undo needs. */
import { lstatSync } from "node:fs";
import { dirname } from "node:path";
import type { FileChange } from "../turn/changes.ts";
import type { RawChange } from "./compare.ts";
import type { KeptContents } from "./contents.ts";
import { readState } from "./contents.ts";
import { MAX_ALL_DIFFS_BYTES, renderDiff } from "./diff.ts";
import { asShown, onDisk, type RawPath, toShown } from "./paths.ts";
import type { ChangeRecord, FileState, PathChange } from "./records.ts";
import { MAX_COMPARED_BYTES, MAX_COMPARED_PAIRS, pairEqual, pairSimilar } from "./renames.ts";

/** Most paths in one list; a notice tells of the rest. */
export const MAX_LISTED_PATHS = 10_000;
const CHUNK = 64;

export interface ListingDeps {
  /** Where before-contents go that undo may need; none for a list that is only shown. */
  kept: KeptContents | undefined;
  /** Contents of before-states by blob name; what cannot be read is left out. */
  readBefore(changes: readonly RawChange[]): Promise<Map<string, Buffer>>;
  readAfter(change: RawChange): Promise<Buffer | undefined>;
  attributionOf(path: RawPath): FileChange["attribution"];
}

export type Listing = Pick<ChangeRecord, "paths"> & { files: FileChange[]; omitted: number };

/** For changes that are on disk. */
export const readFrom =
  (workspace: string) =>
  async ({ path, after }: RawChange): Promise<Buffer | undefined> =>
    after.kind === "absent" ? undefined : (await readState(onDisk(workspace, path))).content;

const blobOf = (state: FileState) => (state.kind === "file" || state.kind === "link" ? state.blob : undefined);

/** Sorted by path; `kept` holds every before-content that could be had when this settles. */
export async function listChanges(deps: ListingDeps, found: readonly RawChange[]): Promise<Listing> {
  const sorted = [...found].sort((one, other) => (one.path < other.path ? -1 : one.path > other.path ? 1 : 0));
  const changes = sorted.slice(0, MAX_LISTED_PATHS);
  const renames = await findRenames(deps, changes);
  const sources = new Map(changes.map((change) => [change.path, change]));
  const gone = new Set(renames.values());
  const listing: Listing = { files: [], paths: [], omitted: sorted.length - changes.length };
  let diffBytes = MAX_ALL_DIFFS_BYTES;
  for (let start = 0; start < changes.length; start += CHUNK) {
    const chunk = changes.slice(start, start + CHUNK);
    const origins = chunk.map((change) => sources.get(renames.get(change.path) ?? change.path) ?? change);
    const contents = await deps.readBefore([...chunk, ...origins]);
    for (const [index, change] of chunk.entries()) {
      listing.paths.push(await keep(deps, change, contents));
      if (gone.has(change.path)) continue;
      const file = await describe(deps, change, origins[index] ?? change, contents, diffBytes);
      diffBytes -= Buffer.byteLength(file.diff ?? "");
      listing.files.push(file);
    }
  }
  return listing;
}

/** Stores what undo needs; a content that could not be had makes the before-state unknown. */
async function keep(deps: ListingDeps, change: RawChange, contents: Map<string, Buffer>): Promise<PathChange> {
  const path = asShown(change.path);
  const blob = blobOf(change.before);
  if (blob === undefined || deps.kept === undefined || deps.kept.has(blob)) {
    return { ...path, before: change.before, after: change.after };
  }
  const content = contents.get(blob);
  const kept = content !== undefined && (await deps.kept.put(blob, content));
  const reason = content === undefined ? "its content could not be had" : "the turn changed more than is kept";
  return { ...path, before: kept ? change.before : { kind: "unknown", reason }, after: change.after };
}

function statusOf(before: FileState, after: FileState): FileChange["status"] {
  if (before.kind === "absent") return "added";
  return after.kind === "absent" ? "deleted" : "modified";
}

async function describe(
  deps: ListingDeps,
  change: RawChange,
  origin: RawChange,
  contents: Map<string, Buffer>,
  diffBytes: number,
): Promise<FileChange> {
  const renamed = origin !== change;
  const before = { path: origin.path, state: origin.before, content: contents.get(blobOf(origin.before) ?? "") };
  const side = { path: change.path, state: change.after, content: await deps.readAfter(change) };
  const attribution = deps.attributionOf(change.path) ?? (renamed ? deps.attributionOf(origin.path) : undefined);
  return {
    path: toShown(change.path),
    status: renamed ? "renamed" : statusOf(change.before, change.after),
    ...(renamed && { previousPath: toShown(origin.path) }),
    ...renderDiff(before, side, renamed, diffBytes),
    ...(change.ignored && { ignored: true }),
    ...(attribution !== undefined && { attribution }),
  };
}

/** New path to old path. */
async function findRenames(deps: ListingDeps, changes: readonly RawChange[]): Promise<Map<RawPath, RawPath>> {
  const deleted = changes.filter(({ before, after }) => before.kind !== "absent" && after.kind === "absent");
  const added = changes.filter(({ before, after }) => before.kind === "absent" && after.kind !== "absent");
  if (deleted.length === 0 || added.length === 0) return new Map();
  const pairs = pairEqual(
    deleted.map(({ path, before }) => ({ path, state: before })),
    added.map(({ path, after }) => ({ path, state: after })),
  );
  const taken = new Set(pairs.values());
  const restDeleted = deleted.filter((change) => !taken.has(change.path) && change.before.kind === "file");
  const restAdded = added.filter((change) => !pairs.has(change.path) && change.after.kind === "file");
  const count = restDeleted.length * restAdded.length;
  if (count === 0 || count > MAX_COMPARED_PAIRS) return pairs;
  const contents = await deps.readBefore(restDeleted);
  const comparable = (content: Buffer | undefined): content is Buffer =>
    content !== undefined && content.length > 0 && content.length <= MAX_COMPARED_BYTES;
  const before = new Map<RawPath, Buffer>();
  for (const change of restDeleted) {
    const content = contents.get(blobOf(change.before) ?? "");
    if (comparable(content)) before.set(change.path, content);
  }
  const after = new Map<RawPath, Buffer>();
  for (const change of restAdded) {
    const content = await deps.readAfter(change);
    if (comparable(content)) after.set(change.path, content);
  }
  for (const [to, from] of pairSimilar(before, after)) pairs.set(to, from);
  return pairs;
}

/** Directories that were made since, deepest first; by their own time of birth, where the file system keeps one. */
export function madeDirectories(
  workspace: string,
  changes: readonly RawChange[],
  startedAt: number,
): ChangeRecord["directories"] {
  const checked = new Map<RawPath, boolean>();
  for (const { path, before, after } of changes) {
    if (before.kind !== "absent" || after.kind === "absent") continue;
    for (let parent = dirname(path); parent !== "." && !checked.has(parent); parent = dirname(parent)) {
      const found = lstatSync(onDisk(workspace, parent), { throwIfNoEntry: false });
      checked.set(parent, found?.isDirectory() === true && found.birthtimeMs >= startedAt);
    }
  }
  const made = [...checked].filter(([, born]) => born).map(([path]) => path);
  made.sort((one, other) => other.length - one.length);
  return made.map(asShown);
}
