/** What is written differently where stderr is systemd's journal. */
import { fstatSync } from "node:fs";
import type { DaemonError } from "../errors.ts";
import { LOG_PRIORITIES } from "../log.ts";
import { type CliContext, printLine, toTerminalText } from "./context.ts";

/** The variable alone does not say it: whoever sends the output elsewhere leaves it set. */
export function writesToJournal({ facts }: CliContext): boolean {
  const { JOURNAL_STREAM: stream } = facts.env;
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}

/** Why the program ends; in the journal as an error, which `service status` looks for. */
export function printFailure(context: CliContext, error: DaemonError): void {
  const priority = writesToJournal(context) ? `<${LOG_PRIORITIES.error}>` : "";
  printLine(context.stderr, `${priority}${context.name}: ${toTerminalText(error.message, context.stderr)}`);
}
