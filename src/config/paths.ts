/** Every path of ours, in one table, from an injected environment: no other module knows XDG or HOME. */
import { isAbsolute, join } from "node:path";
import { DaemonError } from "../errors.ts";
import type { HostFacts } from "./environment.ts";

export interface Paths {
  home: string;
  /** Written by people. */
  configDirectory: string;
  configFile: string;
  /** Managed by `origin allow` and `workspace add`; beside the config because deleting the state must not lose them. */
  originsFile: string;
  workspacesFile: string;
  /** What the service has of the user's shell; 0600, it may hold a login. */
  serviceEnvironmentFile: string;
  /** Ours alone: 0700, safe to delete while no daemon runs. */
  stateDirectory: string;
  databaseFile: string;
  /** Held while a daemon runs, so that the state has one owner. */
  lockFile: string;
  /** Process id and address of the running daemon, for the other commands. */
  infoFile: string;
  /** Neutral empty directory in which chat processes run. */
  chatDirectory: string;
}

const NAME = "claude-code-daemon";

/** XDG says that relative values are to be ignored. */
function absolute(value: string | undefined): string | undefined {
  return value !== undefined && isAbsolute(value) ? value : undefined;
}

/**
 * Resolves all paths; touches no disk. Config is XDG on every system, state is XDG on Linux and Application Support on
 * macOS. Throws `invalid_request` where there is no home to put anything in.
 */
export function resolvePaths(facts: Pick<HostFacts, "env" | "platform" | "userHome">): Paths {
  const { env } = facts;
  const home = absolute(env.HOME) ?? absolute(facts.userHome);
  if (home === undefined) {
    throw new DaemonError(
      "invalid_request",
      "There is no home directory: HOME is not set to an absolute path. Set it and start again.",
      { detail: { exit: 78 } },
    );
  }
  const configDirectory = join(absolute(env.XDG_CONFIG_HOME) ?? join(home, ".config"), NAME);
  const stateHome =
    absolute(env.XDG_STATE_HOME) ??
    (facts.platform === "darwin" ? join(home, "Library", "Application Support") : join(home, ".local", "state"));
  const stateDirectory = join(stateHome, NAME);
  return {
    home,
    configDirectory,
    configFile: absolute(env.CLAUDE_CODE_DAEMON_CONFIG) ?? join(configDirectory, "config.toml"),
    originsFile: join(configDirectory, "origins.json"),
    workspacesFile: join(configDirectory, "workspaces.json"),
    serviceEnvironmentFile: join(configDirectory, "service.env"),
    stateDirectory,
    databaseFile: join(stateDirectory, "daemon.sqlite"),
    lockFile: join(stateDirectory, "daemon.lock"),
    infoFile: join(stateDirectory, "daemon.json"),
    chatDirectory: join(stateDirectory, "chat"),
  };
}
