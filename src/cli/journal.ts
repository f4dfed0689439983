/** What systemd is told in words: by the journal where stderr is that, and by the state of the service. */
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

/** Why the program ends: an error in the journal, and what `service status` gives as the reason. */
export async function reportFailure(context: CliContext, error: DaemonError): Promise<void> {
  const priority = writesToJournal(context) ? `<${LOG_PRIORITIES.error}>` : "";
  printLine(context.stderr, `${priority}${context.name}: ${toTerminalText(error.message, context.stderr)}`);
  const { env } = context.facts;
  if (env.NOTIFY_SOCKET !== undefined) (await import("../daemon/notify.ts")).tellFailure(env, error.message);
}
