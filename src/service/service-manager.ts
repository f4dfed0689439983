/** Which service manager answers on this machine; where none does, why, and what to do instead. */
import { existsSync, readFileSync } from "node:fs";
import { DaemonError } from "../errors.ts";
import type { ServiceManager } from "./contract.ts";
import { createLaunchd } from "./launchd.ts";
import { createRunner } from "./run.ts";
import { createSystemd } from "./systemd.ts";

export interface ManagerOptions {
  platform: NodeJS.Platform;
  /** The user's environment: for the managers' own commands. */
  environment: Readonly<Record<string, string | undefined>>;
  home: string;
  configHome: string;
  uid: number;
  writeFile(path: string, text: string): void;
}

/** Exit code where no manager answers; install.sh knows it. */
export const NO_MANAGER_EXIT = 69;
/** What an answering manager says of itself; `offline` and nothing at all are none. */
const ANSWERS = /^(initializing|starting|running|degraded|maintenance)$/;

const FALLBACK = "Run it yourself instead: claude-code-daemon start (in tmux, or: nohup claude-code-daemon start &).";

function none(why: string): DaemonError {
  return new DaemonError("unsupported", `${why} ${FALLBACK}`, { detail: { exit: NO_MANAGER_EXIT } });
}

function isFile(path: string, containing?: RegExp): boolean {
  try {
    return containing === undefined ? existsSync(path) : containing.test(readFileSync(path, "utf8"));
  } catch {
    return false;
  }
}

function whyNoSystemd(options: ManagerOptions, systemctl: boolean): string {
  if (isFile("/proc/sys/kernel/osrelease", /microsoft/i)) {
    return "This WSL runs without systemd. Put `systemd=true` under [boot] in /etc/wsl.conf, run `wsl --shutdown` in Windows, and try again.";
  }
  if (isFile("/.dockerenv") || isFile("/run/.containerenv")) {
    return "There is no service manager in this container; the container's own restart policy takes its place.";
  }
  if (isFile("/sbin/openrc-run")) return "This system runs OpenRC, which has no services of users.";
  if (!systemctl) return "There is no systemd here, the one service manager supported on Linux.";
  if (options.uid === 0) {
    return "root has no service manager of its own here. Install as the user whose claude is to be used, without sudo.";
  }
  return `Your user's service manager does not answer. It runs once you have logged in properly (ssh, the desktop, \`machinectl shell\`; not su or sudo), or with: sudo loginctl enable-linger ${options.uid}.`;
}

/** Asks the manager once. Throws `unsupported` (exit 69) with the reason and what to do instead. */
export async function findServiceManager(options: ManagerOptions): Promise<ServiceManager> {
  const { platform, home, uid, writeFile, configHome } = options;
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.environment)) if (value !== undefined) environment[name] = value;
  if (platform === "linux") {
    const runtime = `/run/user/${uid}`;
    // `su` and cron leave it out; the manager may be there all the same.
    if (environment.XDG_RUNTIME_DIR === undefined && existsSync(runtime)) environment.XDG_RUNTIME_DIR = runtime;
    const { run, stream } = createRunner(environment);
    const asked = await run(["systemctl", "--user", "is-system-running"]);
    if (!ANSWERS.test(asked.stdout.trim())) throw none(whyNoSystemd(options, asked.exitCode !== 127));
    return createSystemd({ run, stream, writeFile, home, uid, configHome });
  }
  if (platform === "darwin") {
    const { run, stream } = createRunner(environment);
    for (const domain of [`gui/${uid}`, `user/${uid}`]) {
      if ((await run(["launchctl", "print", domain])).exitCode !== 0) continue;
      return createLaunchd({ run, stream, writeFile, home, uid, domain, sleep: Bun.sleep });
    }
    throw none("launchd does not answer for this user.");
  }
  throw none(`There is no support for services on ${platform}.`);
}
