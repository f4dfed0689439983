/** Running code, put together: what `api/code` is given. */
import { join } from "node:path";
import type { ExecuteRules } from "../api/code/request.ts";
import { MARKER } from "../claude/env.ts";
import { sweep } from "../claude/ladder.ts";
import type { HostFacts } from "../config/environment.ts";
import type { Paths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";
import type { ChangesWatch } from "../exec/contract.ts";
import { createExecutor, type Executor } from "../exec/runner.ts";
import { createId } from "../ids.ts";
import type { Logger } from "../log.ts";

export interface ExecutionDeps {
  config: Config;
  paths: Paths;
  facts: HostFacts;
  instanceId: string;
  watchChanges(directory: string, id: string): ChangesWatch;
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

/** Undefined where the config turns execution off. Starts nothing before the first request. */
export function createExecution(deps: ExecutionDeps): Executor | undefined {
  const { config, paths, facts, log } = deps;
  if (!config.exec.enabled) return undefined;
  return createExecutor({
    languages: { path: facts.env.PATH ?? "", home: paths.home, bun: process.execPath },
    directory: join(paths.stateDirectory, "exec"),
    allowUnsandboxed: config.exec.allowUnsandboxed,
    secrets: [paths.stateDirectory, paths.configDirectory],
    marker: [MARKER, deps.instanceId],
    endStragglers: (_pid, name, value) =>
      sweep({ descendants: [], marker: { name, value }, graceMs: STRAGGLER_GRACE_MS, logger: log }),
    watchChanges: deps.watchChanges,
    newId: () => createId("exe"),
    log,
  });
}
