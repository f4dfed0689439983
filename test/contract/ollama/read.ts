/** Reads lines of JSON as strictly as the strictest client does. */

export interface Line {
  model?: string;
  created_at?: string;
  message?: { role: string; content: string; thinking?: string; tool_calls?: unknown[] };
  response?: string;
  done?: boolean;
  error?: string;
  [key: string]: unknown;
}

/** All lines. Throws where one is blank, or the last is cut. */
export function linesOf(raw: string): Line[] {
  if (!raw.endsWith("\n")) throw new Error("the stream ends inside a line");
  return raw
    .slice(0, -1)
    .split("\n")
    .map((line) => {
      if (line === "") throw new Error("a blank line");
      return JSON.parse(line) as Line;
    });
}

/** All text: every line has its content, its time and its `done`; the last one, and it alone, is done. */
export function textOf(raw: string): string {
  const lines = linesOf(raw);
  let text = "";
  for (const [index, line] of lines.entries()) {
    const content = line.message?.content ?? line.response;
    if (typeof content !== "string") throw new Error("a line without content");
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/.test(line.created_at ?? "")) throw new Error("a line without time");
    if (line.done !== (index === lines.length - 1)) throw new Error("done on the wrong line");
    text += content;
  }
  return text;
}
