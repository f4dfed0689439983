/** What a run of `bun test` says at its end. */

export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** Enough of the end of the output to hold the summary. */
export const KEPT_SUMMARY_CHARS = 16_384;

/** Bun's own totals; an exit code that they do not explain counts as a failure. */
export function readTotals(summary: string, exitCode: number): Totals {
  const count = (word: string) => {
    const lines = [...summary.matchAll(new RegExp(`^\\s*(\\d+) ${word}s?$`, "gm"))];
    return Number(lines.at(-1)?.[1] ?? 0);
  };
  const totals = {
    passed: count("pass"),
    failed: count("fail") + count("error"),
    skipped: count("skip") + count("todo"),
  };
  if (exitCode !== 0 && totals.failed === 0) totals.failed = 1;
  return totals;
}
