/**
 * Line differences: lines that are unique on both sides anchor it (patience), Myers' algorithm fills the gaps, and a gap
 * that would take too long is shown as replaced. Always correct, at worst longer than needed.
 */

/** Most edits searched for in one gap; its memory grows with the square (4 MB here). */
const MAX_GAP_EDITS = 1000;

/** Lines `from`-`fromEnd` of the old text became `to`-`toEnd` of the new one. Between two of them nothing changed. */
export interface Edit {
  from: number;
  fromEnd: number;
  to: number;
  toEnd: number;
}

/** With their line ends, so that a missing one at the end is a difference. */
export function splitLines(text: string): string[] {
  const lines = text.split("\n");
  const last = lines.pop();
  const whole = lines.map((line) => `${line}\n`);
  if (last) whole.push(last);
  return whole;
}

export function diffLines(before: readonly string[], after: readonly string[]): Edit[] {
  // Numbers compare faster than lines, and lines that are long in common.
  const numbers = new Map<string, number>();
  const encode = (lines: readonly string[]) =>
    Int32Array.from(lines, (line) => {
      const known = numbers.get(line);
      if (known !== undefined) return known;
      numbers.set(line, numbers.size);
      return numbers.size - 1;
    });
  const edits: Edit[] = [];
  compare(encode(before), encode(after), { from: 0, fromEnd: before.length, to: 0, toEnd: after.length }, edits);
  return join(edits);
}

/** Neighbours that touch are one. */
function join(edits: readonly Edit[]): Edit[] {
  const joined: Edit[] = [];
  for (const edit of edits) {
    const last = joined.at(-1);
    if (last !== undefined && last.fromEnd === edit.from && last.toEnd === edit.to) {
      last.fromEnd = edit.fromEnd;
      last.toEnd = edit.toEnd;
    } else joined.push({ ...edit });
  }
  return joined;
}

function compare(before: Int32Array, after: Int32Array, gap: Edit, edits: Edit[]): void {
  let { from, fromEnd, to, toEnd } = gap;
  while (from < fromEnd && to < toEnd && before[from] === after[to]) {
    from++;
    to++;
  }
  while (from < fromEnd && to < toEnd && before[fromEnd - 1] === after[toEnd - 1]) {
    fromEnd--;
    toEnd--;
  }
  if (from === fromEnd && to === toEnd) return;
  const rest = { from, fromEnd, to, toEnd };
  if (from === fromEnd || to === toEnd) {
    edits.push(rest);
    return;
  }
  const anchors = findAnchors(before, after, rest);
  if (anchors.length === 0) {
    const found = myers(before, after, rest);
    if (found === undefined) edits.push(rest);
    else edits.push(...found);
    return;
  }
  for (const [position, anchor] of anchors.entries()) {
    const last = position === 0 ? undefined : anchors[position - 1];
    const start = last === undefined ? { from, to } : { from: last.from + 1, to: last.to + 1 };
    compare(before, after, { ...start, fromEnd: anchor.from, toEnd: anchor.to }, edits);
  }
  const last = anchors.at(-1);
  if (last) compare(before, after, { from: last.from + 1, to: last.to + 1, fromEnd, toEnd }, edits);
}

interface Anchor {
  from: number;
  to: number;
}

/** Lines that stand once on each side, in the longest run that keeps their order. */
function findAnchors(before: Int32Array, after: Int32Array, gap: Edit): Anchor[] {
  const seen = new Map<number, { from: number; to: number; count: number }>();
  for (let index = gap.from; index < gap.fromEnd; index++) {
    const entry = seen.get(before[index] ?? -1);
    if (entry) entry.count = 3;
    else seen.set(before[index] ?? -1, { from: index, to: -1, count: 1 });
  }
  const pairs: Anchor[] = [];
  for (let index = gap.to; index < gap.toEnd; index++) {
    const entry = seen.get(after[index] ?? -1);
    if (entry) {
      entry.count++;
      entry.to = index;
    }
  }
  for (const entry of seen.values()) if (entry.count === 2) pairs.push({ from: entry.from, to: entry.to });
  return longestIncreasing(pairs);
}

/** Patience sorting: `pairs` come in the order of `from`; the longest run in the order of `to`. */
function longestIncreasing(pairs: readonly Anchor[]): Anchor[] {
  const tops: number[] = [];
  const previous = new Int32Array(pairs.length).fill(-1);
  const toOf = (pile: number) => pairs[tops[pile] ?? 0]?.to ?? 0;
  for (const [index, pair] of pairs.entries()) {
    let low = 0;
    let high = tops.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (toOf(middle) < pair.to) low = middle + 1;
      else high = middle;
    }
    if (low > 0) previous[index] = tops[low - 1] ?? -1;
    tops[low] = index;
  }
  const run: Anchor[] = [];
  for (let index = tops.at(-1) ?? -1; index >= 0; index = previous[index] ?? -1) {
    const pair = pairs[index];
    if (pair) run.push(pair);
  }
  return run.reverse();
}

/** The shortest edit script by Myers' greedy search; undefined where it takes too many edits. */
function myers(before: Int32Array, after: Int32Array, gap: Edit): Edit[] | undefined {
  const rows = gap.fromEnd - gap.from;
  const columns = gap.toEnd - gap.to;
  const most = Math.min(rows + columns, MAX_GAP_EDITS);
  // reach[diagonal + offset]: the furthest row on that diagonal.
  const offset = most + 1;
  const reach = new Int32Array(2 * most + 3);
  const trace: Int32Array[] = [];
  for (let edits = 0; edits <= most; edits++) {
    trace.push(reach.slice(offset - edits - 1, offset + edits + 2));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const down = reach[offset + diagonal + 1] ?? 0;
      const right = (reach[offset + diagonal - 1] ?? 0) + 1;
      let row = diagonal === -edits || (diagonal !== edits && right <= down) ? down : right;
      while (row < rows && row - diagonal < columns && before[gap.from + row] === after[gap.to + row - diagonal]) {
        row++;
      }
      reach[offset + diagonal] = row;
      if (row >= rows && row - diagonal >= columns) return backtrack(trace, rows, columns, gap);
    }
  }
  return undefined;
}

function backtrack(trace: readonly Int32Array[], rows: number, columns: number, gap: Edit): Edit[] {
  const found: Edit[] = [];
  let row = rows;
  let column = columns;
  for (let edits = trace.length - 1; edits > 0; edits--) {
    const reach = trace[edits];
    const diagonal = row - column;
    // `trace[edits]` begins at diagonal -edits - 1.
    const at = (position: number) => reach?.[position + edits + 1] ?? 0;
    const down = diagonal === -edits || (diagonal !== edits && at(diagonal - 1) + 1 <= at(diagonal + 1));
    const start = down ? at(diagonal + 1) : at(diagonal - 1);
    const startColumn = start - (down ? diagonal + 1 : diagonal - 1);
    const edit = { from: gap.from + start, to: gap.to + startColumn };
    found.push({ ...edit, fromEnd: edit.from + (down ? 0 : 1), toEnd: edit.to + (down ? 1 : 0) });
    row = start;
    column = startColumn;
  }
  return found.reverse();
}
