/**
 * What a version of the CLI can do, as measured (`bun run matrix`, docs/compatibility.md): one table for the daemon, `doctor`
 * and the tests. What a line of the CLI shows by itself (a field that older ones leave out) is not here: whoever reads
 * the line looks for it.
 */

/** Below it, verbatim prompts, live settings or resuming are missing or differ in ways that cannot be made up for. */
export const MINIMUM_VERSION = "2.1.126";
/** From here on everything that a person would miss is there. */
export const BEST_VERSION = "2.1.260";

interface Feature {
  /** The first version that has it, or the first one tried that does. */
  since: string;
  /** The newest version it was tried on, where a mistake would cost the user something: newer ones count as without it. */
  until?: string;
  /** What a person notices where it is missing, after "version X". */
  without: string;
}

const FEATURES = {
  /** Prompts the model again after an empty answer. */
  nudgesEmptyAnswers: { since: "2.1.197", without: "lets an empty answer stand" },
  /** Compacts an agent's conversation that the model API calls too long. */
  compactsOnRefusal: { since: "2.1.197", without: "does not compact what the model API calls too long" },
  /** `client_composed`: a prompt goes to the model as written. Before it, a constant last block guards the text. */
  clientComposed: { since: "2.1.248", without: "shows the model an invisible mark after prompts with / or @" },
  /** A rule that denies a directory also holds for a mention (`@link`) of a link into it. */
  deniesLinkedMentions: { since: "2.1.330", without: "expands no @mentions (`expand`)" },
  /** The first prompt has no reminder with the date before it. */
  plainFirstPrompt: { since: "2.1.330", without: "puts a reminder with the date before a conversation's first prompt" },
  /** Another model for a process that runs leaves no trace in the history; before, the model is told of the change. */
  silentModelSwitch: { since: "2.1.260", without: "keeps a chat process ready for the last chat's model alone" },
  /** `rewind_conversation`: takes a running conversation back to before any of its prompts; before, only the last one. */
  rewindsConversations: { since: "2.1.260", without: "starts a new process for an edited or repeated chat message" },
  /**
   * Refuses a turn by a live setting right before its request (claude/rewind.ts). 2.1.260 ignores the setting, and asks the
   * model what nobody wanted to know: raise `until` only after trying.
   */
  refusesByLimit: {
    since: "2.1.330",
    until: "2.1.332",
    without: "rehearses the first turn of a prepared chat in part",
  },
  /** Records a session's system prompt, and sends the record whatever a later launch says; can be told not to. */
  systemPromptSnapshot: { since: "2.1.260", without: "takes a resumed session's system prompt from each launch" },
  /** A tool whose schema has `anyOf`, `oneOf` or `allOf` at its root is flattened; before, it vanishes or is refused. */
  flattensSchemas: { since: "2.1.330", without: "has unions at the root of a tool's schema flattened by the daemon" },
  /** `--await-initialize`: a resumed process answers its history only once it knows its system prompt and tools. */
  awaitInitialize: {
    since: "2.1.330",
    without: "is prompted to go on where a history ends in tool results, with a line of its own before it",
  },
} as const satisfies Record<string, Feature>;

export type FeatureName = keyof typeof FEATURES;
export type ClaudeFeatures = Readonly<Record<FeatureName, boolean>>;

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
  const has = ({ since, until }: Feature) =>
    compareVersions(version, since) >= 0 && (until === undefined || compareVersions(version, until) <= 0);
  const known = Object.entries(FEATURES).map(([name, feature]) => [name, has(feature)]);
  return Object.fromEntries(known) as ClaudeFeatures;
}

/** What this version does without, in words, oldest gap first; empty from the newest on that was tried. */
export function missingIn(version: string): string[] {
  return Object.values(FEATURES).flatMap(({ since, without }) =>
    compareVersions(version, since) < 0 ? [without] : [],
  );
}
