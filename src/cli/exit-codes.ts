import type { DaemonError } from "../errors.ts";

/** Exit codes as `--help` and docs/commands.md show them. Those of failures come from the error table (src/errors.ts). */
export const EXIT_CODES = [
  [0, "done"],
  [1, "it did not work"],
  [64, "the command or the request was wrong"],
  [65, "the request was too large, or of a wrong kind"],
  [69, "no daemon is running, or claude failed"],
  [70, "a fault of the daemon itself"],
  [73, "a file could not be written"],
  [75, "busy or taken: try again later, or choose another port"],
  [77, "not allowed, or claude is not logged in"],
  [78, "the configuration or the installation must be corrected"],
  [130, "interrupted"],
  [141, "whoever read the output is gone (| head)"],
] as const;

export function exitCodeOf(error: DaemonError): number {
  return error.detail.exit ?? error.traits.exit;
}
