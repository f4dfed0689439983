/** Where in a TOML file something stands: Bun's parser does not say. */

/** Longer files are not searched: each line is one attempt to parse. */
const MAX_SEARCHED_LINES = 1000;

const parses = (text: string): boolean => {
  try {
    Bun.TOML.parse(text);
    return true;
  } catch {
    return false;
  }
};

/** The line, counted from 1, on which the statement that does not parse begins. */
export function lineOfSyntaxError(text: string): number | undefined {
  const lines = text.split("\n");
  if (lines.length > MAX_SEARCHED_LINES) return undefined;
  for (let count = lines.length - 1; count >= 0; count--) {
    if (parses(lines.slice(0, count).join("\n"))) return count + 1;
  }
  return undefined;
}

/** The line of a key in its plainest form, `name = …` below `[section]`; undefined for any other. */
export function lineOfKey(text: string, name: string): number | undefined {
  const parts = name.split(".");
  const key = parts.pop() ?? "";
  let section = "";
  for (const [index, line] of text.split("\n").entries()) {
    const header = /^\s*\[([\w.]+)\]/.exec(line)?.[1];
    if (header !== undefined) section = header;
    else if (section === parts.join(".") && /^\s*(\w+)\s*=/.exec(line)?.[1] === key) return index + 1;
  }
  return undefined;
}
