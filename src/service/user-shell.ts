/** The PATH that the user's own shell has: set by startup files that neither a service nor a script reads. */
import { accessSync, constants } from "node:fs";
import { basename, isAbsolute } from "node:path";

export interface ShellOptions {
  /** `$SHELL`; where it is no shell that we know, /bin/sh. */
  shell: string | undefined;
  home: string;
  environment: Readonly<Record<string, string | undefined>>;
}

/** Startup files may ask the network, or wait for somebody to type. */
const SHELL_TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 256 * 1024;
const MARK = "__claude_code_daemon_path__";
/** Both login and interactive: nvm and the like stand in files that only one of the two kinds reads. */
const KNOWN: Record<string, string[]> = {
  bash: ["-lic"],
  zsh: ["-lic"],
  fish: ["-lic"],
  ksh: ["-lic"],
  sh: ["-lc"],
  dash: ["-lc"],
};

/** Undefined where the shell does not answer in time. Runs the user's startup files, as opening a terminal does. */
export async function pathOfUserShell(options: ShellOptions): Promise<string | undefined> {
  const { shell } = options;
  const program = shell !== undefined && isAbsolute(shell) && isExecutable(shell) ? shell : "/bin/sh";
  const flags = KNOWN[basename(program)];
  const command = flags === undefined ? ["/bin/sh", "-lc"] : [program, ...flags];
  const environment: Record<string, string> = { TERM: "dumb" };
  for (const [name, value] of Object.entries(options.environment)) {
    if (value !== undefined && !/^(NOTIFY_SOCKET|WATCHDOG_|CLAUDE_CODE_DAEMON_)/.test(name)) environment[name] = value;
  }
  try {
    const child = Bun.spawn([...command, `printf '%s' '${MARK}'; /usr/bin/env; printf '%s' '${MARK}'`], {
      cwd: options.home,
      env: environment,
      // An interactive shell without a terminal: it must not stop itself for want of one.
      detached: true,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: SHELL_TIMEOUT_MS,
      killSignal: "SIGKILL",
      maxBuffer: MAX_OUTPUT_BYTES,
    });
    const text = await child.stdout.text();
    // What startup files print stands before the mark.
    const listed = text.split(MARK)[1];
    return listed === undefined ? undefined : /^PATH=(.+)$/m.exec(listed)?.[1];
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
