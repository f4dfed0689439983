/** What a version of the CLI can do, as measured (docs/claude-cli.md). */

/** Below it, verbatim prompts, live settings or resuming are missing or differ in ways that cannot be made up for. */
export const MINIMUM_VERSION = "2.1.126";
/** From here on everything that the daemon wants is there. */
export const BEST_VERSION = "2.1.260";

export interface ClaudeFeatures {
  /** `client_composed`: a prompt goes to the model as written. Before it, a constant last block guards the text. */
  clientComposed: boolean;
  /** `--await-initialize`: a resumed process answers its history only once it knows its system prompt and tools. */
  awaitInitialize: boolean;
  /** Records a session's system prompt, and sends the record whatever a later launch says; can be told not to. */
  systemPromptSnapshot: boolean;
}

/** Under, at or over: below 0, 0, above 0. Pre-release suffixes do not count. */
export function compareVersions(left: string, right: string): number {
  const numbers = (version: string) => version.split(/[.+-]/, 3).map((part) => Number.parseInt(part, 10) || 0);
  const [a, b] = [numbers(left), numbers(right)];
  for (let index = 0; index < 3; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function featuresOf(version: string): ClaudeFeatures {
  return {
    clientComposed: compareVersions(version, "2.1.248") >= 0,
    awaitInitialize: compareVersions(version, "2.1.330") >= 0,
    systemPromptSnapshot: compareVersions(version, "2.1.260") >= 0,
  };
}
