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
  /** The daemon's own last words say more than systemd's. */
  const startFailure = async (): Promise<DaemonError> => {
    const invocation = (await systemctl("show", "--property=InvocationID", "--value", UNIT)).stdout.trim();
    const match = invocation === "" ? [`--user-unit=${UNIT}`] : [`_SYSTEMD_INVOCATION_ID=${invocation}`];
    await run(["journalctl", "--user", "--sync"]);
    const { stdout } = await run([
      "journalctl",
      "--no-pager",
      "-q",
      "-o",
      "cat",
      "-n",
      String(FAILURE_LINES),
      ...match,
    ]);
    const words = stdout.trim() === "" ? "" : `\n${stdout.trimEnd().replaceAll(/^/gm, "  ")}`;
    return new DaemonError(
      "unsupported",
      `The service is installed, but the daemon did not start. Its last words:${words}\nCorrect that, then: claude-code-daemon service start`,
      { detail: { exit: 1 } },
    );
  };
  const launch = async (verb: "start" | "restart") => {
    // Earlier failures must not count against this start.
    await systemctl("reset-failed", UNIT);
    if ((await systemctl(verb, UNIT)).exitCode !== 0) throw await startFailure();
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
        "--property=ActiveState,SubState,MainPID,NRestarts,UnitFileState,Result",
        UNIT,
      );
      if (result.exitCode !== 0) throw failure("say how the service is", result);
      const facts = new Map(result.stdout.split("\n").map((line) => splitOnce(line, "=")));
      const pid = Number(facts.get("MainPID") ?? 0);
      const [active = "unknown", sub = "", outcome = ""] = ["ActiveState", "SubState", "Result"].map((n) =>
        facts.get(n),
      );
      return {
        installed: existsSync(unitFile),
        enabled: facts.get("UnitFileState") === "enabled",
        running: active === "active",
        detail: `${active} (${sub}${outcome === "" || outcome === "success" ? "" : `, ${outcome}`})`,
        pid: pid > 0 ? pid : undefined,
        restarts: Number(facts.get("NRestarts") ?? 0),
        lingering: await lingering(),
        file: unitFile,
      };
    },
    logs: async ({ follow, lines, write, signal }) => {
      const words = ["--no-pager", "-o", "short-iso", "-n", String(lines), `--user-unit=${UNIT}`];
      await deps.stream(["journalctl", ...words, ...(follow ? ["-f"] : [])], { write, signal });
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
