/** What a run looks like to clients: one object, or the same as server-sent events. Pure. */
import type { ExecutionEvent, ExecutionResult, Language } from "../../exec/contract.ts";
import { changeToWire } from "../../turn/changes.ts";
import type { JsonObject } from "../../turn/message.ts";
import { sseEvent } from "../shared/sse.ts";

export function toExecutionObject(result: ExecutionResult, sandboxed: boolean): JsonObject {
  return {
    object: "code.execution",
    id: result.id,
    language: result.language,
    exit_code: result.exitCode,
    signal: result.signal,
    stdout: result.stdout,
    stderr: result.stderr,
    stdout_truncated: result.stdoutTruncated,
    stderr_truncated: result.stderrTruncated,
    duration_ms: result.durationMs,
    timed_out: result.limitHit === "time",
    limit_hit: result.limitHit ?? null,
    sandboxed,
    files_changed: result.filesChanged?.map(changeToWire) ?? null,
    blocked_paths: result.blockedPaths,
  };
}

export function toLanguageList(
  languages: readonly Language[],
  state: { sandbox: string | undefined; problem: string | undefined },
): JsonObject {
  return {
    object: "list",
    sandbox: state.sandbox ?? null,
    problem: state.problem ?? null,
    data: languages.map(({ id, aliases, version }) => ({
      object: "code.language",
      id,
      aliases: [...aliases],
      version: version ?? null,
    })),
  };
}

/** `execution.start`, `execution.stdout`, `execution.stderr`, and `execution.end` with the whole object. */
export function toEventFrame(event: ExecutionEvent, sandboxed: boolean): string {
  switch (event.type) {
    case "start":
      return frame("execution.start", { id: event.id, language: event.language, sandboxed });
    case "stdout":
    case "stderr":
      return frame(`execution.${event.type}`, { text: event.text });
    case "end":
      return frame("execution.end", { execution: toExecutionObject(event.result, sandboxed) });
  }
}

function frame(type: string, fields: JsonObject): string {
  return sseEvent(type, JSON.stringify({ type, ...fields }));
}
