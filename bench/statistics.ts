/** Medians and spreads of what was measured, and how they are printed. */

/** The value below which this share lies; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.round((sorted.length - 1) * share)] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Of the mean; NaN of fewer than two. */
export function standardError(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

/** `12.3 ms (11.9-14.0)`: median, p10 and p90. */
export function spread(values: readonly number[]): string {
  const [low, high] = [quantile(values, 0.1), quantile(values, 0.9)];
  return `${median(values).toFixed(1)} ms (${low.toFixed(1)}-${high.toFixed(1)})`;
}

/** One line of the table. */
export interface Row {
  what: string;
  target: string;
  measured: string;
  verdict: "met" | "missed" | "not measured";
}

/** `met` where the value is a number at or below the limit. */
export const atMost = (value: number, limit: number): Row["verdict"] => (value <= limit ? "met" : "missed");

/** A fraction as people say it: 0.125 is `1/8.0`. */
export const fraction = (ratio: number): string => `1/${(1 / ratio).toFixed(1)}`;

export function renderTable(rows: readonly Row[]): string {
  const lines = rows.map((row) => `| ${row.what} | ${row.target} | ${row.measured} | ${row.verdict} |`);
  return ["| what | target | measured | verdict |", "| --- | --- | --- | --- |", ...lines, ""].join("\n");
}
