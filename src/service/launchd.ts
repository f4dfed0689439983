/** The service as a launchd agent of the user (`launchctl bootstrap`, never the old `load`). */
import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { DaemonError } from "../errors.ts";
import {
  type CommandResult,
  type ManagerDeps,
  SERVICE_NAME,
  type ServiceManager,
  type ServiceSpec,
} from "./contract.ts";
import { lastLine } from "./log-file.ts";
import { renderPlist } from "./plist.ts";

export const LAUNCHD_LABEL = `dev.${SERVICE_NAME}`;

export interface LaunchdDeps extends ManagerDeps {
  /** `gui/501`, or `user/501` where nobody is logged in at the screen. */
  domain: string;
  /** Waits between attempts; a test's does not. */
  sleep(ms: number): Promise<void>;
}

/** `bootout` returns before the agent is gone: a draining daemon takes up to 30 s (ExitTimeOut). */
const GONE_POLL_MS = 250;
const GONE_POLLS = 140;
const BOOTSTRAP_ATTEMPTS = 5;
const BOOTSTRAP_PAUSE_MS = 1_000;
/** I/O error and "already in progress": what an agent that is just going away causes. */
const PASSING_ERRORS = [5, 37];

function failure(doing: string, result: CommandResult): DaemonError {
  const said = (result.stderr.trim() || `exit code ${result.exitCode}`).split("\n")[0];
  return new DaemonError("unsupported", `launchd could not ${doing}: ${said}`, { detail: { exit: 1 } });
}

export function createLaunchd(deps: LaunchdDeps): ServiceManager {
  const { run, domain } = deps;
  const plistFile = join(deps.home, "Library", "LaunchAgents", `${LAUNCHD_LABEL}.plist`);
  const logFile = join(deps.home, "Library", "Logs", SERVICE_NAME, "daemon.log");
  const target = `${domain}/${LAUNCHD_LABEL}`;
  const loaded = async () => (await run(["launchctl", "print", target])).exitCode === 0;

  const unload = async () => {
    if (!(await loaded())) return;
    const result = await run(["launchctl", "bootout", target]);
    for (let poll = 0; poll < GONE_POLLS; poll++) {
      if (!(await loaded())) return;
      await deps.sleep(GONE_POLL_MS);
    }
    throw failure("stop the service", result);
  };
  const load = async () => {
    // An agent that was disabled once stays so until it is enabled.
    await run(["launchctl", "enable", target]);
    for (let attempt = 1; ; attempt++) {
      const result = await run(["launchctl", "bootstrap", domain, plistFile]);
      if (result.exitCode === 0) return;
      if (attempt >= BOOTSTRAP_ATTEMPTS || !PASSING_ERRORS.includes(result.exitCode)) {
        throw failure("start the service", result);
      }
      await unload();
      await deps.sleep(BOOTSTRAP_PAUSE_MS);
    }
  };
  const mustBeInstalled = () => {
    if (existsSync(plistFile)) return;
    throw new DaemonError("not_found", "The service is not installed. Install it: claude-code-daemon service install");
  };
  const kickstart = async (...flags: string[]) => {
    const result = await run(["launchctl", "kickstart", ...flags, target]);
    if (result.exitCode !== 0) throw failure("start the service", result);
  };

  const render = (spec: ServiceSpec) =>
    renderPlist({
      label: LAUNCHD_LABEL,
      command: spec.command,
      home: deps.home,
      logFile,
      environment: {
        HOME: deps.home,
        CLAUDE_CODE_DAEMON_SERVICE: "launchd",
        CLAUDE_CODE_DAEMON_SERVICE_ENV: spec.environmentFile,
        CLAUDE_CODE_DAEMON_SERVICE_LOG: logFile,
        CLAUDE_CODE_DAEMON_WORKSPACES_CURRENT_DIRECTORY: "false",
      },
    });

  return {
    kind: "launchd",
    render,
    install: async (spec) => {
      const text = render(spec);
      mkdirSync(dirname(plistFile), { recursive: true });
      mkdirSync(dirname(logFile), { recursive: true, mode: 0o700 });
      deps.writeFile(plistFile, text);
      // launchd refuses one that only its owner can read.
      chmodSync(plistFile, 0o644);
      await unload();
      await load();
    },
    uninstall: async ({ environmentFile }) => {
      await unload();
      const made = [plistFile, environmentFile, dirname(logFile)].filter((path) => existsSync(path));
      for (const path of made) rmSync(path, { recursive: true });
      return made;
    },
    start: async () => {
      mustBeInstalled();
      if (await loaded()) await kickstart();
      else await load();
    },
    // Unloaded, because KeepAlive would bring back one that was only killed. It is loaded again at the next login.
    stop: async () => {
      mustBeInstalled();
      await unload();
    },
    restart: async () => {
      mustBeInstalled();
      await unload();
      await load();
    },
    state: async () => {
      const { exitCode, stdout } = await run(["launchctl", "print", target]);
      const pid = Number(/^\s*pid = (\d+)$/m.exec(stdout)?.[1] ?? 0);
      const word = /^\s*state = (.+)$/m.exec(stdout)?.[1];
      const lastExit = /^\s*last exit code = (.+)$/m.exec(stdout)?.[1];
      const installed = existsSync(plistFile);
      return {
        installed,
        enabled: installed,
        running: pid > 0,
        detail:
          exitCode === 0
            ? `${word ?? "loaded"}${lastExit === undefined ? "" : ` (last exit: ${lastExit})`}`
            : "not loaded",
        // launchd tries again whatever did not end with 0.
        givenUp: false,
        // Where it ended with a code of failure, or (for us) with the 0 that launchd takes as "do not try again".
        problem: pid > 0 || exitCode !== 0 ? undefined : lastLine(logFile),
        pid: pid > 0 ? pid : undefined,
        restarts: undefined,
        lingering: undefined,
        file: plistFile,
      };
    },
    logs: async ({ follow, lines, write, signal }) => {
      if (!existsSync(logFile)) throw new DaemonError("not_found", `There is no log yet (${logFile}).`);
      await deps.stream(["tail", "-n", String(lines), ...(follow ? ["-F"] : []), logFile], { write, signal });
    },
    linger: async () => {
      throw new DaemonError("unsupported", "There is no lingering on macOS: an agent runs while you are logged in.");
    },
  };
}
