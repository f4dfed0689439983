/** From two states of a path to what a client is shown: a unified diff in git's own form, bounded. */
import type { FileChange } from "../turn/changes.ts";
import { diffLines, type Edit, splitLines } from "./lines.ts";
import { type RawPath, toShown } from "./paths.ts";
import type { FileState } from "./records.ts";

/** A longer diff is cut at a line, and says so. */
export const MAX_DIFF_BYTES = 64 * 1024;
/** All diffs of one list; files beyond are listed without. */
export const MAX_ALL_DIFFS_BYTES = 1024 * 1024;
/** git's own rule: a NUL this early makes a file binary. */
const BINARY_PROBE_BYTES = 8000;
const CONTEXT_LINES = 3;

export interface Side {
  path: RawPath;
  state: FileState;
  /** Undefined where it is not known (large, unreadable, not kept). */
  content: Buffer | undefined;
}

const isBinary = (content: Buffer) => content.subarray(0, BINARY_PROBE_BYTES).includes(0);

function modeOf(state: FileState): string | undefined {
  switch (state.kind) {
    case "file":
    case "large":
      return state.executable ? "100755" : "100644";
    case "link":
      return "120000";
    default:
      return undefined;
  }
}

/** As git quotes a name in a patch: control characters, quotes and backslashes, but not what is merely foreign. */
function quoteName(prefix: string, raw: RawPath): string {
  const name = `${prefix}${toShown(raw)}`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is quoted
  if (!/[\u0000-\u001f"\\\u007f]/.test(name)) return name;
  return JSON.stringify(name).replace(
    /\\u00(..)/g,
    (_, hex) => `\\${Number.parseInt(hex, 16).toString(8).padStart(3, "0")}`,
  );
}

function header(before: Side, after: Side, renamed: boolean): string[] {
  const lines = [`diff --git ${quoteName("a/", before.path)} ${quoteName("b/", after.path)}`];
  const [oldMode, newMode] = [modeOf(before.state), modeOf(after.state)];
  if (oldMode === undefined && newMode !== undefined) lines.push(`new file mode ${newMode}`);
  else if (newMode === undefined && oldMode !== undefined) lines.push(`deleted file mode ${oldMode}`);
  else if (oldMode !== newMode) lines.push(`old mode ${oldMode}`, `new mode ${newMode}`);
  if (renamed) {
    lines.push(`rename from ${quoteName("", before.path)}`, `rename to ${quoteName("", after.path)}`);
  }
  return lines;
}

interface Hunk {
  edits: Edit[];
  from: number;
  fromEnd: number;
  to: number;
  toEnd: number;
}

/** Edits whose context would touch stand in one hunk. */
function groupHunks(edits: readonly Edit[], beforeLines: number, afterLines: number): Hunk[] {
  const hunks: Hunk[] = [];
  for (const edit of edits) {
    const last = hunks.at(-1);
    const fromEnd = Math.min(edit.fromEnd + CONTEXT_LINES, beforeLines);
    const toEnd = Math.min(edit.toEnd + CONTEXT_LINES, afterLines);
    if (last !== undefined && edit.from - CONTEXT_LINES <= last.fromEnd) {
      last.edits.push(edit);
      last.fromEnd = fromEnd;
      last.toEnd = toEnd;
      continue;
    }
    const lead = Math.min(CONTEXT_LINES, edit.from, edit.to);
    hunks.push({ edits: [edit], from: edit.from - lead, to: edit.to - lead, fromEnd, toEnd });
  }
  return hunks;
}

const span = (start: number, end: number) => {
  const count = end - start;
  return count === 1 ? `${start + 1}` : `${count === 0 ? start : start + 1},${count}`;
};

function* renderHunks(before: readonly string[], after: readonly string[], edits: readonly Edit[]): Generator<string> {
  const line = (sign: string, text: string | undefined = "") =>
    `${sign}${text.endsWith("\n") ? text : `${text}\n\\ No newline at end of file\n`}`;
  for (const hunk of groupHunks(edits, before.length, after.length)) {
    yield `@@ -${span(hunk.from, hunk.fromEnd)} +${span(hunk.to, hunk.toEnd)} @@\n`;
    let position = hunk.from;
    for (const edit of hunk.edits) {
      for (; position < edit.from; position++) yield line(" ", before[position]);
      for (; position < edit.fromEnd; position++) yield line("-", before[position]);
      for (let added = edit.to; added < edit.toEnd; added++) yield line("+", after[added]);
    }
    for (; position < hunk.fromEnd; position++) yield line(" ", before[position]);
  }
}

type DiffPart = Pick<FileChange, "additions" | "deletions" | "binary" | "diff" | "diffTruncated">;

/** The diff of one path (or of a rename), with at most `maxBytes` of text. */
export function renderDiff(before: Side, after: Side, renamed: boolean, maxBytes: number): DiffPart {
  const missing = (side: Side) => side.state.kind !== "absent" && side.content === undefined;
  if (missing(before) || missing(after)) return { additions: 0, deletions: 0, binary: true };
  const contents = [before.content ?? Buffer.alloc(0), after.content ?? Buffer.alloc(0)] as const;
  if (contents.some(isBinary)) return { additions: 0, deletions: 0, binary: true };
  // One character per byte: other encodings than UTF-8 are compared as exactly as UTF-8.
  const [oldLines, newLines] = [splitLines(contents[0].toString("latin1")), splitLines(contents[1].toString("latin1"))];
  const edits = diffLines(oldLines, newLines);
  let additions = 0;
  let deletions = 0;
  for (const edit of edits) {
    additions += edit.toEnd - edit.to;
    deletions += edit.fromEnd - edit.from;
  }
  const limit = Math.min(maxBytes, MAX_DIFF_BYTES);
  const head = header(before, after, renamed);
  if (edits.length > 0) {
    head.push(`--- ${before.state.kind === "absent" ? "/dev/null" : quoteName("a/", before.path)}`);
    head.push(`+++ ${after.state.kind === "absent" ? "/dev/null" : quoteName("b/", after.path)}`);
  }
  let diff = head.map((line) => `${line}\n`).join("");
  if (Buffer.byteLength(diff) > limit) return { additions, deletions, binary: false, diffTruncated: true };
  let bytes = Buffer.byteLength(diff);
  const body: string[] = [];
  for (const line of renderHunks(oldLines, newLines, edits)) {
    bytes += line.length;
    if (bytes > limit) {
      diff += Buffer.from(body.join(""), "latin1").toString("utf8");
      return { additions, deletions, binary: false, diff, diffTruncated: true };
    }
    body.push(line);
  }
  diff += Buffer.from(body.join(""), "latin1").toString("utf8");
  return { additions, deletions, binary: false, diff };
}
