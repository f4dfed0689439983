/** Starts claude for whoever asks, and keeps up with its updates: they replace the file, or point a link elsewhere. */
import { statSync } from "node:fs";
import { type ClaudeInstallation, followAgain } from "../claude/locate.ts";
import type { ClaudeProcess, LaunchOptions } from "../claude/transport.ts";
import { DaemonError, toDaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";

export interface LauncherDeps {
  /** Searches and asks its version: tens of milliseconds, or seconds. Throws where there is none. */
  find(): Promise<ClaudeInstallation>;
  /** Throws `claude_missing` where the file is gone. */
  start(options: LaunchOptions, claude: ClaudeInstallation): ClaudeProcess;
  /** Monotonic milliseconds. */
  now(): number;
  log: Logger;
}

/** Between two looks at a claude that could not be used and whose file is the same: each runs it once. */
const LOOK_INTERVAL_MS = 2_000;

export interface ClaudeLauncher {
  current(): ClaudeInstallation;
  launch(options: LaunchOptions): ClaudeProcess;
  /** Why what stands in claude's place now cannot be used (too old, not claude); whoever launches is told the same. */
  problem(): DaemonError | undefined;
  /** Takes note of an update that no launch has met yet: one `stat` where there was none and no problem. Never rejects. */
  look(): Promise<void>;
}

/** Another file, or the same one written again; undefined where there is none. */
function identify({ foundAt, path }: ClaudeInstallation): string | undefined {
  const info = statSync(foundAt ?? path, { throwIfNoEntry: false });
  return info && `${info.dev}:${info.ino}:${info.mtimeMs}`;
}

/**
 * Costs one `stat` a launch. After an update the next launch still has the version before, if that is there, and the ones
 * after it the new one; where it is gone already, the link is followed at once, so that no request sees the update.
 */
export function createClaudeLauncher(found: ClaudeInstallation, deps: LauncherDeps): ClaudeLauncher {
  const { log } = deps;
  let claude = found;
  let known = identify(found);
  let problem: DaemonError | undefined;
  let looking: Promise<void> | undefined;
  let lookedAt = 0;
  const lookAgain = () => {
    looking ??= find().finally(() => {
      looking = undefined;
    });
    return looking;
  };
  /** It may have passed without a change of the file: a busy machine on which it did not answer in time. */
  const lookWhetherPassed = async () => {
    if (looking || deps.now() - lookedAt >= LOOK_INTERVAL_MS) await lookAgain();
  };
  const find = async () => {
    lookedAt = deps.now();
    try {
      const before = claude.version;
      claude = await deps.find();
      known = identify(claude);
      problem = undefined;
      log.info("claude was replaced", { path: claude.path, version: claude.version, before });
    } catch (error) {
      log.error("claude cannot be used", { reason: String(error) });
      // Where the file of before still stands (a link was pointed elsewhere), it goes on being used.
      if (followAgain(claude.foundAt ?? claude.path) === claude.path) problem = toDaemonError(error);
    }
  };
  const replaced = () => {
    const now = identify(claude);
    if (now === known || now === undefined) return false;
    known = now;
    return true;
  };
  return {
    current: () => claude,
    launch: (options) => {
      if (replaced()) void lookAgain();
      else if (problem) {
        void lookWhetherPassed();
        throw problem;
      }
      try {
        return deps.start(options, claude);
      } catch (error) {
        if (!(error instanceof DaemonError && error.code === "claude_missing")) throw error;
        void lookAgain();
        const path = followAgain(claude.foundAt ?? claude.path);
        if (path === undefined || path === claude.path) throw error;
        claude = { ...claude, path };
        return deps.start(options, claude);
      }
    },
    problem: () => problem,
    look: async () => {
      if (replaced() || looking) await lookAgain();
      else if (problem) await lookWhetherPassed();
    },
  };
}
