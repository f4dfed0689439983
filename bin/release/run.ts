/** Programs that a release runs: bounded, and their output shown when they fail. */

export interface RunOptions {
  cwd: string;
  timeoutMs: number;
  env?: Record<string, string>;
}

/** Runs it to its end; its stdout. Throws with what it printed when it fails or takes too long. */
export async function run(command: string[], options: RunOptions): Promise<string> {
  const child = Bun.spawn(command, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: options.timeoutMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (exitCode === 0) return stdout;
  const how = child.signalCode === null ? `ended with exit code ${exitCode}` : `did not end in ${options.timeoutMs} ms`;
  throw new Error(`\`${command.join(" ")}\` ${how}:\n${(stderr || stdout).trimEnd()}`);
}
