/** Colours for a person's terminal, and nothing of them anywhere else. */
import type { CliContext, Output } from "./context.ts";

type Paint = (text: string) => string;

export interface Style {
  bold: Paint;
  faint: Paint;
  good: Paint;
  warning: Paint;
  bad: Paint;
}

/**
 * Whether this output is coloured: a terminal is, anything else is not. `--no-color`, NO_COLOR (not empty) and TERM=dumb
 * turn it off; FORCE_COLOR (not empty) turns it on elsewhere, too, and `FORCE_COLOR=0` off. What turns it off wins.
 */
export function isColoured(output: Output, { facts, noColor }: Pick<CliContext, "facts" | "noColor">): boolean {
  const { NO_COLOR: none = "", FORCE_COLOR: force = "", TERM: terminal } = facts.env;
  if (noColor === true || none !== "" || force === "0" || force === "false") return false;
  return force !== "" || (output.isTerminal && terminal !== "dumb");
}

const PLAIN: Style = { bold: String, faint: String, good: String, warning: String, bad: String };
const paint =
  (on: number, off: number): Paint =>
  (text) =>
    `\u001b[${on}m${text}\u001b[${off}m`;
const COLOURS: Style = {
  bold: paint(1, 22),
  faint: paint(2, 22),
  good: paint(32, 39),
  warning: paint(33, 39),
  bad: paint(31, 39),
};

/** Paint only what is our own text or has gone through `toTerminalText`. */
export function styleOf(output: Output, context: Pick<CliContext, "facts" | "noColor">): Style {
  return isColoured(output, context) ? COLOURS : PLAIN;
}
