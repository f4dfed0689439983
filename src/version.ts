declare const CLAUDE_CODE_DAEMON_VERSION: string | undefined;

/** The version of this build: set by bin/build.ts through `define`, "dev" when run from source. */
export const VERSION: string = typeof CLAUDE_CODE_DAEMON_VERSION === "string" ? CLAUDE_CODE_DAEMON_VERSION : "dev";
