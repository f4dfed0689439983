/** Starts the process itself: three pipes and nothing else inherited, in a directory that is still the one that was checked. */
import { existsSync, readlinkSync } from "node:fs";
import type { Subprocess } from "bun";
import { DaemonError } from "../errors.ts";
import type { ExitReport } from "./transport.ts";

export type Child = Subprocess<"pipe", "pipe", "pipe">;

/** Throws `claude_missing`, `overloaded`, `forbidden` or `invalid_request`; nothing is left running then. */
export function spawn(cmd: string[], cwd: string, env: Record<string, string>): Child {
  let child: Child;
  try {
    // Its own session: a Ctrl-C at the daemon's terminal is the daemon's to handle.
    child = Bun.spawn({ cmd, cwd, env, stdin: "pipe", stdout: "pipe", stderr: "pipe", detached: true });
  } catch (error) {
    throw spawnError(error, cwd);
  }
  // The directory was checked by name; somebody may have exchanged it before the spawn.
  const actual = process.platform === "linux" ? linkTarget(`/proc/${child.pid}/cwd`) : undefined;
  // Undefined: it has exited already, and its exit says why.
  if (actual !== undefined && actual !== cwd) {
    child.kill("SIGKILL");
    throw new DaemonError("forbidden", "The working directory changed while Claude Code was started. Try again.");
  }
  return child;
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function spawnError(error: unknown, cwd: string): DaemonError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EAGAIN" || code === "ENOMEM" || code === "EMFILE" || code === "ENFILE")
    return new DaemonError("overloaded", "This machine has no room for another Claude Code process. Try again later.", {
      cause: error,
    });
  if (!existsSync(cwd)) return new DaemonError("invalid_request", "The workspace is gone.", { cause: error });
  return new DaemonError(
    "claude_missing",
    "Claude Code cannot be started; `claude-code-daemon doctor` says why. Installing it again usually helps.",
    { cause: error },
  );
}

/** What those who still wait for an answer of a process that is gone are told. */
export function exitError(report: ExitReport, spoke: boolean): DaemonError {
  const cause = new Error(`exit ${report.code ?? report.signal}: ${report.stderrTail}`);
  if (/No conversation found|No message found/i.test(report.stderrTail))
    return new DaemonError("not_found", "Claude Code does not know this session (any more).", { cause });
  if (!spoke && report.endedBy === undefined)
    return new DaemonError("claude_failed", "Claude Code ended while it was starting; the daemon's log says why.", {
      cause,
    });
  return new DaemonError("claude_crashed", "Claude Code ended before it could answer. Try again.", { cause });
}
