/** Runs the service managers' own commands, bounded in time and output. */
import type { RunCommand, StreamCommand } from "./contract.ts";

/** `systemctl start` waits until the daemon is ready, 90 s at most (TimeoutStartSec); stopping drains first. */
const COMMAND_TIMEOUT_MS = 120_000;
const MAX_OUTPUT_BYTES = 256 * 1024;

/** `environment` is the whole environment of the commands. */
export function createRunner(environment: Record<string, string>): { run: RunCommand; stream: StreamCommand } {
  const env = { ...environment, LC_ALL: "C", SYSTEMD_PAGER: "", SYSTEMD_COLORS: "0" };
  return {
    run: async (command, options = {}) => {
      try {
        const child = Bun.spawn([...command], {
          cwd: "/",
          env,
          stdin: "ignore",
          stdout: "pipe",
          stderr: "pipe",
          timeout: options.timeoutMs ?? COMMAND_TIMEOUT_MS,
          maxBuffer: MAX_OUTPUT_BYTES,
        });
        const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
        return { exitCode, stdout, stderr };
      } catch (error) {
        return { exitCode: 127, stdout: "", stderr: error instanceof Error ? error.message : String(error) };
      }
    },
    stream: async (command, { write, signal }) => {
      const child = Bun.spawn([...command], {
        cwd: "/",
        env,
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
        signal,
      });
      const decoder = new TextDecoder();
      for await (const bytes of child.stdout) write(decoder.decode(bytes, { stream: true }));
      return child.exited;
    },
  };
}
