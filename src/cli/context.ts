/** What every command is given: the process's surroundings, injected, and how it talks to the person before it. */
import type { HostFacts } from "../config/environment.ts";

export interface CliContext {
  facts: HostFacts;
  stdout: Output;
  stderr: Output;
  /** Whether somebody types at stdin. */
  stdinIsTerminal: boolean;
  readStdin(): Promise<string>;
  /** How this program was called, for examples in messages. */
  name: string;
  /** `--no-color` was given. */
  noColor?: boolean;
}

export interface Output {
  isTerminal: boolean;
  write(text: string): void;
}

export function printLine(output: Output, line = ""): void {
  output.write(`${line}\n`);
}

export function printJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/**
 * Text of others (a model, a server) for a terminal: whatever could move the cursor, set a title or hide a line is shown
 * as an escape. Line feeds and tabs stay. Where the output is no terminal, the text goes out as it is.
 */
export function toTerminalText(text: string, output: Output): string {
  if (!output.isTerminal) return text;
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => (character === "\r" ? "" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
}
