/** The service under the user's own systemd (`systemctl --user`). */
import { existsSync, mkdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { DaemonError } from "../errors.ts";
import { type CommandResult, type ManagerDeps, SERVICE_NAME, type ServiceManager } from "./contract.ts";
import { renderUnit } from "./unit.ts";

const UNIT = `${SERVICE_NAME}.service`;
/** Shown when a start fails: enough for the daemon's last words. */
const FAILURE_LINES = 12;

export interface SystemdDeps extends ManagerDeps {
  /** `$XDG_CONFIG_HOME`, or where that is by default. */
  configHome: string;
}

function failure(doing: string, result: CommandResult): DaemonError {
  const said = (result.stderr.trim() || result.stdout.trim() || `exit code ${result.exitCode}`).split("\n")[0];
  return new DaemonError("unsupported", `systemd could not ${doing}: ${said}`, { detail: { exit: 1 } });
}

export function createSystemd(deps: SystemdDeps): ServiceManager {
  const { run } = deps;
  const unitDirectory = join(deps.configHome, "systemd", "user");
  const unitFile = join(unitDirectory, UNIT);
  const systemctl = (...words: string[]) => run(["systemctl", "--user", ...words]);

  const must = async (doing: string, ...words: string[]): Promise<void> => {
    const result = await systemctl(...words);
    if (result.exitCode !== 0) throw failure(doing, result);
  };
  const mustBeInstalled = () => {
    if (existsSync(unitFile)) return;
    throw new DaemonError("not_found", "The service is not installed. Install it: claude-code-daemon service install");
  };
  /**
   * Journal entries of the service. Of a process that ended at once journald no longer finds out the unit, but keeps the
   * name that the unit gave its output.
   */
  const spoken = [`_SYSTEMD_USER_UNIT=${UNIT}`, `_UID=${deps.uid}`, "+"];
  spoken.push(`SYSLOG_IDENTIFIER=${SERVICE_NAME}`, `_UID=${deps.uid}`);
  const aboutIt = [...spoken, "+", `USER_UNIT=${UNIT}`, `_UID=${deps.uid}`];
  const journal = async (lines: number, ...words: string[]): Promise<string> => {
    await run(["journalctl", "--user", "--sync"]);
    return (await run(["journalctl", "--no-pager", "-q", "-o", "cat", "-n", String(lines), ...words])).stdout.trimEnd();
  };
  /** What a daemon that could not go on told systemd. */
  const status = async () => (await systemctl("show", "--property=StatusText", "--value", UNIT)).stdout.trim();
  const lastError = async (since: readonly string[]): Promise<string | undefined> => {
    const line = await journal(1, "-p", "err", ...since, ...spoken);
    return line.replace(`${SERVICE_NAME}: `, "") || undefined;
  };
  /** The daemon's own last words say more than systemd's, which are there where it could not even be started. */
  const startFailure = async (since: string): Promise<DaemonError> => {
    const said =
      (await journal(FAILURE_LINES, since, ...spoken)) ||
      (await status()) ||
      (await journal(FAILURE_LINES, since, ...aboutIt));
    const words = said === "" ? "" : ` Its last words:\n${said.replaceAll(/^/gm, "  ")}`;
    return new DaemonError(
      "unsupported",
      `The service is installed, but the daemon did not start.${words}\nCorrect that, then: claude-code-daemon service start`,
      { detail: { exit: 1 } },
    );
  };
  const launch = async (verb: "start" | "restart") => {
    // Earlier failures must not count against this start.
    await systemctl("reset-failed", UNIT);
    const since = `--since=@${(Date.now() / 1000).toFixed(3)}`;
    if ((await systemctl(verb, UNIT)).exitCode !== 0) throw await startFailure(since);
  };
  const lingering = async (): Promise<boolean | undefined> => {
    const { exitCode, stdout } = await run(["loginctl", "show-user", String(deps.uid), "--property=Linger", "--value"]);
    return exitCode === 0 ? stdout.trim() === "yes" : undefined;
  };

  return {
    kind: "systemd",
    render: renderUnit,
    install: async (spec) => {
      const text = renderUnit(spec);
      mkdirSync(unitDirectory, { recursive: true });
      deps.writeFile(unitFile, text);
      await must("read the new unit", "daemon-reload");
      await must("enable the service", "enable", UNIT);
      await launch("restart");
    },
    uninstall: async ({ environmentFile }) => {
      const removed: string[] = [];
      if (existsSync(unitFile)) {
        await must("stop and disable the service", "disable", "--now", UNIT);
        rmSync(unitFile);
        removed.push(unitFile);
        // What a failed start left in the manager's memory.
        await systemctl("reset-failed", UNIT);
        await must("forget the unit", "daemon-reload");
        removeEmpty(unitDirectory, dirname(unitDirectory));
      }
      if (existsSync(environmentFile)) {
        rmSync(environmentFile);
        removed.push(environmentFile);
      }
      return removed;
    },
    start: async () => {
      mustBeInstalled();
      await launch("start");
    },
    stop: async () => {
      mustBeInstalled();
      await must("stop the service", "stop", UNIT);
    },
    restart: async () => {
      mustBeInstalled();
      await launch("restart");
    },
    state: async () => {
      const result = await systemctl(
        "show",
        "--property=ActiveState,SubState,MainPID,NRestarts,UnitFileState,Result,ExecMainStartTimestamp,StatusText",
        UNIT,
      );
      if (result.exitCode !== 0) throw failure("say how the service is", result);
      const facts = new Map(result.stdout.split("\n").map((line) => splitOnce(line, "=")));
      const pid = Number(facts.get("MainPID") ?? 0);
      const [active = "unknown", sub = "", outcome = ""] = ["ActiveState", "SubState", "Result"].map((n) =>
        facts.get(n),
      );
      const failing = outcome !== "" && outcome !== "success";
      // journalctl reads what systemctl writes; there is none before the first start.
      const startedAt = facts.get("ExecMainStartTimestamp") ?? "";
      const since = startedAt === "" ? [] : [`--since=${startedAt}`];
      return {
        installed: existsSync(unitFile),
        enabled: facts.get("UnitFileState") === "enabled",
        running: active === "active",
        detail: `${active} (${sub}${failing ? `, ${outcome}` : ""})`,
        givenUp: active === "failed",
        problem: failing ? facts.get("StatusText") || (await lastError(since)) : undefined,
        pid: pid > 0 ? pid : undefined,
        restarts: Number(facts.get("NRestarts") ?? 0),
        lingering: await lingering(),
        file: unitFile,
      };
    },
    logs: async ({ follow, lines, write, signal }) => {
      let written = false;
      const words = ["--no-pager", "-q", "-o", "short-iso", "-n", String(lines), ...(follow ? ["-f"] : []), ...aboutIt];
      await deps.stream(["journalctl", ...words], {
        write: (text) => {
          written = true;
          write(text);
        },
        signal,
      });
      if (written || lines === 0 || follow) return;
      throw new DaemonError(
        "not_found",
        "The journal has nothing of the service that you may read. A journal that is kept in memory only is read by members of systemd-journal: sudo usermod -aG systemd-journal $USER",
      );
    },
    linger: async () => {
      const result = await run(["loginctl", "enable-linger"]);
      if (result.exitCode !== 0) {
        throw new DaemonError(
          "unsupported",
          `Lingering could not be turned on (${result.stderr.trim().split("\n")[0]}). An administrator can: sudo loginctl enable-linger ${deps.uid}`,
          { detail: { exit: 1 } },
        );
      }
    },
  };
}

function splitOnce(line: string, separator: string): [string, string] {
  const at = line.indexOf(separator);
  return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + separator.length)];
}

/** Directories that only the unit was in. */
function removeEmpty(...directories: string[]): void {
  try {
    for (const directory of directories) rmdirSync(directory);
  } catch {
    // Something else is in it: it stays.
  }
}
