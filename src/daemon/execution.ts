/** Running code, put together: what `api/code` is given. */
import { dirname, join } from "node:path";
import type { ExecuteRules } from "../api/code/request.ts";
import type { ExecutionFacts } from "../api/system/health.ts";
import { MARKER } from "../claude/env.ts";
import { sweep } from "../claude/ladder.ts";
import type { HostFacts } from "../config/environment.ts";
import type { Paths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";
import type { ChangesWatch } from "../exec/contract.ts";
import { createExecutor, type Executor } from "../exec/runner.ts";
import { createId } from "../ids.ts";
import type { Logger } from "../log.ts";
import type { WorkspaceChanges } from "../workspace/records.ts";

export interface ExecutionDeps {
  config: Config;
  paths: Paths;
  facts: HostFacts;
  instanceId: string;
  /** The daemon's own, for runs in a workspace. */
  changes: WorkspaceChanges;
  /** Another one that keeps everything below the given directory. */
  createChanges(stateDirectory: string): WorkspaceChanges;
  log: Logger;
}

const MIB = 1024 * 1024;
/** Largest file that a run can write. */
const MAX_FILE_BYTES = 256 * MIB;
/** Between SIGTERM and SIGKILL for what a run left behind. */
const STRAGGLER_GRACE_MS = 200;

export function executeRules({ exec }: Config): ExecuteRules {
  return {
    defaultTimeoutMs: exec.timeoutSeconds * 1000,
    maxTimeoutMs: exec.maxTimeoutSeconds * 1000,
    allowNetwork: exec.allowNetwork,
    limits: {
      memoryBytes: exec.memoryMb * MIB,
      processes: exec.processes,
      fileBytes: MAX_FILE_BYTES,
      outputBytes: exec.outputKib * 1024,
    },
  };
}

/** What is kept to compare a scratch directory lies beside it, and goes with it. */
function watchChanges(place: string, id: string, scratch: boolean, deps: ExecutionDeps): ChangesWatch {
  if (!scratch) return deps.changes.begin({ turnId: id, workspace: place });
  const own = deps.createChanges(dirname(place));
  const turn = own.begin({ turnId: id, workspace: place });
  return {
    before: () => turn.before(),
    changes: () => turn.changes(),
    close: async () => {
      turn.close();
      await own.close();
    },
  };
}

/** Undefined where the config turns execution off. Starts nothing before the first request. */
export function createExecution(deps: ExecutionDeps): Executor | undefined {
  const { config, paths, facts, log } = deps;
  const directory = join(paths.stateDirectory, "exec");
  if (!config.exec.enabled) return undefined;
  return createExecutor({
    languages: { path: facts.env.PATH ?? "", home: paths.home, bun: process.execPath },
    directory,
    allowUnsandboxed: config.exec.allowUnsandboxed,
    secrets: [paths.stateDirectory, paths.configDirectory],
    marker: [MARKER, deps.instanceId],
    endStragglers: (_pid, name, value) =>
      sweep({ descendants: [], marker: { name, value }, graceMs: STRAGGLER_GRACE_MS, logger: log }),
    watchChanges: (place, id) => watchChanges(place, id, place.startsWith(`${directory}/`), deps),
    newId: () => createId("exe"),
    log,
  });
}

/** For health: looks for the sandbox at the first question, and says what is known by then. */
export function executionFacts(executor: Executor | undefined): ExecutionFacts | undefined {
  if (!executor) return { enabled: false, sandbox: undefined, problem: undefined };
  const known = executor.known();
  if (known?.problem !== undefined || !known) void executor.state();
  return known && { enabled: true, ...known };
}
