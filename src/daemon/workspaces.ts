/** Which directories are open to agents right now, which of them are trusted, and what claude reads in them. */
import type { LaunchOptions } from "../claude/transport.ts";
import type { HostFacts } from "../config/environment.ts";
import { openListFile } from "../config/list-file.ts";
import type { Paths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";
import { DaemonError } from "../errors.ts";
import { WorkspaceFingerprint } from "../workspace/fingerprint.ts";
import { resolveWorkspace } from "../workspace/resolve.ts";
import { WorkspaceTrust } from "../workspace/trust.ts";

export interface WorkspaceRoots {
  /** Asked for each request, so that `workspace add` works on a running daemon. The first is the default workspace. */
  current(): readonly string[];
  /** Those that `workspace add` named: trusted, too. */
  added(): readonly string[];
}

/** The config's, or where `start` was run, and the listed ones. */
export function workspaceRoots(config: Config, facts: Pick<HostFacts, "cwd">, paths: Paths): WorkspaceRoots {
  const list = openListFile(paths.workspacesFile);
  const { roots, currentDirectory } = config.workspaces;
  const here = roots.length === 0 && currentDirectory && facts.cwd !== undefined ? [facts.cwd] : roots;
  return {
    current: () => [...new Set([...here, ...list.entries()])],
    added: list.entries,
  };
}

/** HOME and config directory as the claude processes have them. */
export function claudePlace(environment: HostFacts["env"], paths: Paths): { home: string; claudeConfigDir?: string } {
  const { CLAUDE_CONFIG_DIR: claudeConfigDir } = environment;
  return { home: environment.HOME ?? paths.home, ...(claudeConfigDir === undefined ? {} : { claudeConfigDir }) };
}

export interface Workspaces {
  /** The confined real directory; undefined asks for the default one. Throws `invalid_request` or `forbidden`. */
  resolve(path: string | undefined): Promise<string>;
  isTrusted(workspace: string): Promise<boolean>;
  /** See `PoolDeps.fingerprint`. */
  fingerprint(launch: LaunchOptions): Promise<string | undefined>;
}

export function createWorkspaces(roots: WorkspaceRoots, place: { home: string; claudeConfigDir?: string }): Workspaces {
  const fingerprints = new WorkspaceFingerprint(place);
  const trust = new WorkspaceTrust({
    ...place,
    get added() {
      return roots.added();
    },
  });
  return {
    resolve: async (path) => {
      const open = roots.current();
      const wanted = path ?? open[0];
      if (wanted === undefined) {
        throw new DaemonError(
          "invalid_request",
          "No directory is open to agents yet. Run `claude-code-daemon workspace add DIRECTORY` for the one to work in.",
          { detail: { param: "workspace" } },
        );
      }
      return resolveWorkspace(wanted, open);
    },
    isTrusted: async (workspace) => (await trust.of(workspace)) !== "none",
    fingerprint: async ({ cwd, trusted }) => {
      const { digest, sessionStartHooks } = fingerprints.of(cwd, trusted);
      return sessionStartHooks ? undefined : digest;
    },
  };
}
