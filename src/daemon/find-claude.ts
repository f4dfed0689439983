/** Finds claude for the daemon: as configured, or where the service was told at its installation, or by searching. */
import { type ClaudeInstallation, type LocateOptions, locateClaude, tryLocate } from "../claude/locate.ts";
import type { HostFacts } from "../config/environment.ts";
import type { Config } from "../config/schema.ts";
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { pathOfUserShell } from "../service/user-shell.ts";

export interface FindClaudeDeps {
  config: Config;
  facts: HostFacts;
  log: Logger;
}

/**
 * The installation to use; throws `claude_missing` with the remedy. A service's PATH is a snapshot: where nothing is found
 * on it any more (another Node by nvm, a moved prefix), the user's shell is asked for its PATH of today.
 */
export async function findClaude({ config, facts, log }: FindClaudeDeps): Promise<ClaudeInstallation> {
  const { HOME: home = facts.userHome, PATH: path, SHELL: shell } = facts.env;
  const search = (searched: string | undefined): LocateOptions => ({
    path: searched,
    home,
    environment: {
      ...(searched === undefined ? {} : { PATH: searched }),
      ...(home === undefined ? {} : { HOME: home }),
    },
  });
  if (config.claude.path !== "") return locateClaude({ ...search(path), configured: config.claude.path });
  const recorded = facts.env.CLAUDE_CODE_DAEMON_SERVICE_CLAUDE;
  if (recorded !== undefined) {
    const { found } = await tryLocate({ ...search(path), configured: recorded });
    if (found) return found;
    log.warn("the claude that the service was installed with is gone", { path: recorded });
  }
  try {
    return await locateClaude(search(path));
  } catch (error) {
    const isMissing = error instanceof DaemonError && error.code === "claude_missing";
    if (!isMissing || facts.env.CLAUDE_CODE_DAEMON_SERVICE === undefined || home === undefined) throw error;
    const shellPath = await pathOfUserShell({ shell, home, environment: facts.env });
    if (shellPath === undefined) throw error;
    const found = await locateClaude(search(shellPath));
    log.warn("claude was found by your shell; `claude-code-daemon service install` records its PATH", {
      path: found.path,
    });
    return found;
  }
}
