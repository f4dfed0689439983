/** Ends of a turn that do not come from claude. */
import type { ClaudeProcess, ExitReport } from "../claude/transport.ts";
import { DaemonError } from "../errors.ts";
import type { EndReason, TurnEnd, Usage } from "../turn/events.ts";

/** An interrupted process that has not wound up after this long is ended. */
const WIND_UP_MS = 5_000;

/** An end that we decided on: claude had not come to its own. */
export function makeOwnEnd(unified: EndReason, usage: Usage, stopSequence: string | undefined): TurnEnd {
  return {
    type: "turn-end",
    reason: { unified, raw: stopSequence === undefined ? undefined : "stop_sequence" },
    ...(stopSequence === undefined ? {} : { stopSequence }),
    usage,
    costUsd: undefined,
    numTurns: undefined,
    filesChanged: undefined,
    permissionDenials: [],
  };
}

/** The process is gone in the middle of the turn. `agentStarted`: trying again could repeat what its tools did. */
export function exitFault(report: ExitReport, agentStarted: boolean): DaemonError {
  const message = "claude ended in the middle of the turn. Send the request again.";
  return (
    report.failure ??
    new DaemonError("claude_crashed", message, {
      detail: agentStarted ? { agentStarted } : {},
      cause: new Error(`exit ${report.code ?? report.signal}: ${report.stderrTail}`),
    })
  );
}

/** Interrupts a process, and ends it where it does not come to its `result` by then. */
export class WindUp {
  private timer: Timer | undefined;

  constructor(private readonly process: Pick<ClaudeProcess, "interrupt" | "close">) {}

  /** Once; the turn says with `done` that the result has come or the process is gone. */
  begin(): void {
    if (this.timer) return;
    this.timer = setTimeout(() => void this.process.close({ now: true }), WIND_UP_MS);
    this.process.interrupt().catch(() => void this.process.close({ now: true }));
  }

  done(): void {
    clearTimeout(this.timer);
  }
}
