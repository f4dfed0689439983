/** Which deleted and added files are one renamed file: the same content first, then content that is mostly the same. */
import { splitLines } from "./lines.ts";
import type { FileState } from "./records.ts";

/** Most pairs whose contents are compared. */
export const MAX_COMPARED_PAIRS = 2500;
/** Larger files are renames only if their content is the same. */
export const MAX_COMPARED_BYTES = 256 * 1024;
/** git's own threshold. */
const MIN_SIMILARITY = 0.5;

export interface RenameCandidate {
  path: string;
  state: FileState;
}

const baseName = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** Pairs each added path with the deleted one it was, by equal content. A pair of one name goes before others. */
export function pairEqual(deleted: readonly RenameCandidate[], added: readonly RenameCandidate[]): Map<string, string> {
  const byContent = new Map<string, string[]>();
  const keyOf = ({ state }: RenameCandidate) =>
    state.kind === "file" || state.kind === "link" ? `${state.kind} ${state.blob}` : undefined;
  for (const candidate of deleted) {
    const key = keyOf(candidate);
    if (key === undefined || key.endsWith(EMPTY_BLOB)) continue;
    byContent.set(key, [...(byContent.get(key) ?? []), candidate.path]);
  }
  const pairs = new Map<string, string>();
  const take = (candidate: RenameCandidate, accept: (path: string) => boolean) => {
    const paths = byContent.get(keyOf(candidate) ?? "") ?? [];
    const position = paths.findIndex(accept);
    const [path] = position < 0 ? [] : paths.splice(position, 1);
    if (path !== undefined) pairs.set(candidate.path, path);
  };
  for (const candidate of added) take(candidate, (path) => baseName(path) === baseName(candidate.path));
  for (const candidate of added) if (!pairs.has(candidate.path)) take(candidate, () => true);
  return pairs;
}

/** Empty files are alike without being one. */
const EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

/** The part of the larger file that both have, by whole lines. */
export function similarity(one: Buffer, other: Buffer): number {
  const larger = Math.max(one.length, other.length);
  if (larger === 0 || Math.min(one.length, other.length) / larger < MIN_SIMILARITY) return 0;
  const counts = new Map<string, number>();
  for (const line of splitLines(one.toString("latin1"))) counts.set(line, (counts.get(line) ?? 0) + 1);
  let common = 0;
  for (const line of splitLines(other.toString("latin1"))) {
    const count = counts.get(line) ?? 0;
    if (count === 0) continue;
    counts.set(line, count - 1);
    common += line.length;
  }
  return common / larger;
}

/** Pairs by similarity, the most alike first. */
export function pairSimilar(
  deleted: ReadonlyMap<string, Buffer>,
  added: ReadonlyMap<string, Buffer>,
): Map<string, string> {
  const pairs = new Map<string, string>();
  if (deleted.size * added.size > MAX_COMPARED_PAIRS) return pairs;
  const scored: { from: string; to: string; score: number }[] = [];
  for (const [from, before] of deleted) {
    for (const [to, after] of added) {
      const score = similarity(before, after);
      if (score >= MIN_SIMILARITY) scored.push({ from, to, score });
    }
  }
  scored.sort((one, other) => other.score - one.score);
  const taken = new Set<string>();
  for (const { from, to } of scored) {
    if (pairs.has(to) || taken.has(from)) continue;
    pairs.set(to, from);
    taken.add(from);
  }
  return pairs;
}
