/** The name that somebody probably meant. */

/** Names longer than this are compared by their beginning: the cost is quadratic. */
const MAX_CHARS = 64;
/** Of the longer name's characters, how many may differ. */
const MAX_DIFFERENCE = 0.4;

const plain = (name: string) => name.slice(0, MAX_CHARS).toLowerCase().replace(/[_-]/g, "");

/** Insertions, deletions and replacements from one to the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** The nearest of `known`, case and underscores aside; undefined where none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name);
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const other = plain(candidate);
    const share = distance(wanted, other) / Math.max(wanted.length, other.length, 1);
    if (share <= MAX_DIFFERENCE && share < least) {
      best = candidate;
      least = share;
    }
  }
  return best;
}
