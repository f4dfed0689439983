/**
 * The least of a daemon, run as its own process and killed by the reaper's test: it starts the reaper, launches what it is
 * told on stdin (one JSON line), and prints the pids. The API and the homes belong to the test.
 */
import { startReaper } from "../../src/claude/reaper.ts";
import { createLogger } from "../../src/log.ts";

export interface StubOrder {
  stateDirectory: string;
  marker: { name: string; value: string };
  shell?: string;
  /** Programs with their whole environment; `prompt` is written to stdin, which stays open. */
  programs: { argv: string[]; env: Record<string, string>; cwd: string; prompt?: string; detached?: boolean }[];
}

export interface StubReport {
  reaper: number;
  pids: number[];
}

for await (const line of console) {
  const order: StubOrder = JSON.parse(line);
  const { stateDirectory, marker, shell, programs } = order;
  const log = createLogger({ level: "error", timestamps: false });
  const reaper = startReaper({ stateDirectory, marker, log, ...(shell ? { shell } : {}) });
  const pids = programs.map((program) => {
    const child = Bun.spawn(program.argv, {
      cwd: program.cwd,
      env: { ...program.env, [marker.name]: marker.value },
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
      detached: program.detached ?? false,
    });
    reaper.track(child.pid);
    if (program.prompt !== undefined) {
      child.stdin.write(program.prompt);
      void child.stdin.flush();
    }
    return child.pid;
  });
  const report: StubReport = { reaper: reaper.pid, pids };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
