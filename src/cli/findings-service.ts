/** What `doctor` says of the service: whether it starts by itself and runs, and what it finds on its own PATH. */
import { existsSync, readFileSync } from "node:fs";
import { openListFile } from "../config/list-file.ts";
import type { LoadedConfig } from "../config/load.ts";
import { type Paths, resolvePaths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";
import { toDaemonError } from "../errors.ts";
import type { ServiceManager, ServiceState } from "../service/contract.ts";
import { parseEnvironmentFile } from "../service/environment-file.ts";
import { takeSnapshot } from "../service/snapshot.ts";
import type { CliContext } from "./context.ts";
import type { Finding } from "./findings.ts";
import { openServiceManager, startCommand } from "./service-manager.ts";
import { counted } from "./words.ts";

const INSTALL = "claude-code-daemon service install";
/** What agents and the daemon call by name, and what is lost without it. */
const TOOLS: readonly (readonly [name: string, state: "fault" | "note", loss: string])[] = [
  ["claude", "fault", "the service cannot start"],
  ["git", "fault", "what a turn changes cannot be told or undone"],
  ["node", "note", "agents do not find it"],
];

const note = (text: string, remedy?: string): Finding => ({
  check: "service",
  state: "note",
  text,
  ...(remedy === undefined ? {} : { remedy }),
});
const fault = (text: string, remedy: string): Finding => ({ check: "service", state: "fault", text, remedy });

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Never throws. */
export async function checkService(context: CliContext, { config }: LoadedConfig): Promise<Finding[]> {
  let manager: ServiceManager;
  let state: ServiceState;
  try {
    manager = await openServiceManager(context);
    state = await manager.state();
  } catch (thrown) {
    return [note(toDaemonError(thrown).message)];
  }
  if (!state.installed) return [note("not installed: the daemon runs only while you start it", INSTALL)];
  const paths = resolvePaths(context.facts);
  return [
    ...checkState(state),
    ...checkFile(context, manager, state, paths),
    ...checkSurroundings(context, paths, config.claude.path),
    ...checkWorkspaces(config, paths),
  ];
}

function checkState(state: ServiceState): Finding[] {
  const found: Finding[] = [];
  if (state.running) {
    const restarts = state.restarts ?? 0;
    const text = `${state.detail}${state.enabled ? ", starts by itself" : ""}`;
    found.push({ check: "service", state: "ok", text });
    if (restarts > 0) found.push(note(`it was started again ${counted(restarts, "time")}`, "claude-code-daemon logs"));
  } else {
    found.push(
      fault(`it does not run: ${state.detail}`, "claude-code-daemon service start (why: claude-code-daemon logs)"),
    );
  }
  if (!state.enabled) found.push(fault("it does not start by itself", INSTALL));
  if (state.lingering === false) {
    found.push(note("it ends with your last session and starts with the next", `${INSTALL} --linger`));
  }
  return found;
}

/** The program that the manager's file starts: an update may have moved it. */
function programOf(file: string): string | undefined {
  const quoted = /^ExecStart="((?:[^"\\]|\\.)*)"/m.exec(file)?.[1];
  if (quoted !== undefined) return quoted.replaceAll(/\\(.)/g, "$1").replaceAll("%%", "%");
  return /<key>ProgramArguments<\/key>\s*<array>\s*<string>([^<]*)<\/string>/.exec(file)?.[1];
}

function checkFile(context: CliContext, manager: ServiceManager, state: ServiceState, paths: Paths): Finding[] {
  const text = readIfThere(state.file);
  if (text === undefined) return [fault(`${state.file} cannot be read`, INSTALL)];
  const program = programOf(text);
  if (program !== undefined && !existsSync(program)) {
    return [fault(`${state.file} starts ${program}, which is not there any more`, INSTALL)];
  }
  const wanted = manager.render({
    command: startCommand(context.facts.env.PATH ?? ""),
    home: paths.home,
    environmentFile: paths.serviceEnvironmentFile,
  });
  if (text.trim() === wanted.trim()) return [];
  return [note(`${state.file} is not what this version writes`, INSTALL)];
}

/** A shell's own directory is no workspace of the service. */
function checkWorkspaces(config: Config, paths: Paths): Finding[] {
  const roots = [...config.workspaces.roots, ...openListFile(paths.workspacesFile).entries()];
  if (roots.length > 0) return [];
  return [
    note("no directory is open to its agents yet; chat models work", "claude-code-daemon workspace add DIRECTORY"),
  ];
}

/** What the service finds by name, against what this shell finds. */
function checkSurroundings({ facts }: CliContext, paths: Paths, configured: string): Finding[] {
  const text = readIfThere(paths.serviceEnvironmentFile);
  if (text === undefined) {
    return [fault(`${paths.serviceEnvironmentFile} is missing: the service knows nothing of your PATH`, INSTALL)];
  }
  const known = parseEnvironmentFile(text);
  const { PATH: path = "", CLAUDE_CODE_DAEMON_SERVICE_CLAUDE: recorded } = known;
  const found: Finding[] = [];
  for (const [name, state, loss] of TOOLS) {
    const here = Bun.which(name, { PATH: facts.env.PATH ?? "" });
    const there = Bun.which(name, { PATH: path });
    if (there !== null || here === null) continue;
    const named = name === "claude" && (configured !== "" || (recorded !== undefined && existsSync(recorded)));
    if (named) continue;
    found.push({
      check: "service",
      state,
      text: `${name} is on this shell's PATH (${here}) but not on the service's: ${loss}`,
      remedy: INSTALL,
    });
  }
  const names = new Set(Object.keys(known));
  const { leftOut } = takeSnapshot({ environment: facts.env, path, claude: undefined, names: [], known: names });
  if (leftOut.length > 0) {
    const flags = leftOut.map((name) => `--env ${name}`).join(" ");
    found.push(note(`set in this shell, but not for the service: ${leftOut.join(", ")}`, `${INSTALL} ${flags}`));
  }
  return found;
}
