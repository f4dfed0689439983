export const NDJSON_CONTENT_TYPE = "application/x-ndjson";

/** One line of newline-delimited JSON. */
export function ndjsonFrame(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
