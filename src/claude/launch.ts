/** What a launch needs beside its options; the composition root fills it in once. */
import type { Logger } from "../log.ts";
import type { OwnAddresses } from "./env.ts";
import type { Grace } from "./ladder.ts";
import type { ClaudeInstallation } from "./locate.ts";

export interface LaunchDeps {
  claude: ClaudeInstallation;
  /** The daemon's own environment as config/ read it; filtered by `toEnvironment`. */
  environment: Readonly<Record<string, string | undefined>>;
  /** `[claude] pass_env`. */
  passEnv: readonly string[];
  /** Where the daemon listens: a claude that would call it is refused. */
  own: OwnAddresses;
  /** Value of the environment marker of all our processes. */
  instanceId: string;
  logger: Logger;
  /** The reaper is told who lives. */
  track(pid: number): void;
  untrack(pid: number): void;
  /** For tests: shorter rungs, smaller lines. */
  grace?: Grace;
  maxLineBytes?: number;
}
