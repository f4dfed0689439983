/** An executor on this machine, for tests: its directories are temporary, its stragglers are ended by marker. */
import { homedir } from "node:os";
import type { ExecutionEvent, ExecutionRequest, ExecutionResult } from "../../src/exec/contract.ts";
import { createExecutor, type Executor, type ExecutorDeps } from "../../src/exec/runner.ts";
import { createLogger } from "../../src/log.ts";

export const SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin";

export function executorIn(directory: string, more: Partial<ExecutorDeps> = {}): Executor {
  return createExecutor({
    languages: { path: SYSTEM_PATH, home: homedir(), bun: process.execPath },
    directory: `${directory}/exec`,
    allowUnsandboxed: false,
    secrets: [],
    marker: ["CLAUDE_CODE_DAEMON_SESSION", "test"],
    endStragglers: async () => undefined,
    newId: () => `exe_${crypto.randomUUID().replaceAll("-", "")}`,
    log: createLogger({ level: "error", timestamps: false }),
    ...more,
  });
}

export function requestOf(language: string, code: string, more: Partial<ExecutionRequest> = {}): ExecutionRequest {
  return {
    language,
    code,
    args: [],
    stdin: undefined,
    files: [],
    workspace: undefined,
    network: false,
    signal: new AbortController().signal,
    ...more,
    limits: {
      timeoutMs: 20_000,
      memoryBytes: 512 * 1024 * 1024,
      processes: 64,
      fileBytes: 64 * 1024 * 1024,
      outputBytes: 64 * 1024,
      ...more.limits,
    },
  };
}

export async function resultOf(events: AsyncIterable<ExecutionEvent>): Promise<ExecutionResult> {
  let result: ExecutionResult | undefined;
  for await (const event of events) if (event.type === "end") result = event.result;
  if (!result) throw new Error("the run ended without a result");
  return result;
}
