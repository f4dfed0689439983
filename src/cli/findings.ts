/** What `doctor` looks at: each check gives a finding, and each fault the command that mends it. Nothing is changed. */
import { existsSync, lstatSync, readdirSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { BEST_VERSION, compareVersions, featuresOf, MINIMUM_VERSION } from "../claude/features.ts";
import { INSTALL_REMEDY, tryLocate } from "../claude/locate.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { type Paths, resolvePaths } from "../config/paths.ts";
import { readInfo } from "../daemon/lock.ts";
import { workspaceRoots } from "../daemon/workspaces.ts";
import { toDaemonError } from "../errors.ts";
import { locateSandbox } from "../exec/locate-sandbox.ts";
import { findGit } from "../workspace/git.ts";
import type { CliContext } from "./context.ts";

export interface Finding {
  /** What was looked at; one name can have several findings. */
  check: string;
  /** `fault`: something that should work does not. `note`: it works, but a person may want to know. */
  state: "ok" | "note" | "fault";
  text: string;
  /** What to do about it. */
  remedy?: string;
}

/** Below it SQLite and the workspaces cannot be written much longer. */
const LOW_DISK_BYTES = 512 * 1024 * 1024;
const HEALTH_TIMEOUT_MS = 5_000;
/** Files looked at below the state directory. */
const MAX_STATE_FILES = 1000;

/** All checks, in the order in which a fault explains the ones after it. Never throws. */
export async function examine(context: CliContext): Promise<Finding[]> {
  const findings: Finding[] = [];
  let paths: Paths;
  let loaded: LoadedConfig;
  try {
    paths = resolvePaths(context.facts);
  } catch (thrown) {
    return [{ check: "home", state: "fault", text: toDaemonError(thrown).message, remedy: "export HOME=~" }];
  }
  try {
    loaded = loadConfig({ flags: {}, facts: context.facts, paths });
    for (const text of loaded.warnings) findings.push({ check: "config", state: "note", text });
    findings.push({ check: "config", state: "ok", text: paths.configFile });
  } catch (thrown) {
    const remedy = `Correct ${paths.configFile} or the variable it names; claude-code-daemon config show tells what is in force.`;
    return [...findings, { check: "config", state: "fault", text: toDaemonError(thrown).message, remedy }];
  }
  const health = await askDaemon(loaded, paths);
  findings.push(...(await checkClaude(context, loaded, health)));
  findings.push(checkGit(context), await checkSandbox(context, loaded));
  findings.push(checkPort(loaded, paths, health));
  findings.push(...checkWorkspaces(context, loaded, paths));
  findings.push(...checkFiles(context, paths), checkDisk(paths));
  return findings;
}

interface Health {
  status?: string;
  claude?: { logged_in?: boolean | null };
  problems?: string[];
}

type Answer = { ours: Health } | { ours: undefined; taken: boolean };

/** Whatever answers at the daemon's address. */
async function askDaemon(loaded: LoadedConfig, paths: Paths): Promise<Answer> {
  const { host, port } = loaded.config;
  const url = readInfo(paths.infoFile)?.url ?? `http://${host === "::1" ? "[::1]" : "127.0.0.1"}:${port}`;
  try {
    const response = await fetch(`${url}/v1/health`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
    const health = (await response.json().catch(() => ({}))) as Health;
    return typeof health.status === "string" && health.claude ? { ours: health } : { ours: undefined, taken: true };
  } catch (error) {
    const refused = error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
    return { ours: undefined, taken: !refused };
  }
}

async function checkClaude(context: CliContext, { config }: LoadedConfig, answer: Answer): Promise<Finding[]> {
  const { PATH: path, HOME: home } = context.facts.env;
  const located = await tryLocate({
    configured: config.claude.path === "" ? undefined : config.claude.path,
    path,
    home: home ?? context.facts.userHome,
    environment: { ...(path === undefined ? {} : { PATH: path }), ...(home === undefined ? {} : { HOME: home }) },
  });
  const passedOver = located.rejected.map(
    ({ path: place, reason }): Finding => ({
      check: "claude",
      state: "note",
      text: `${place} is passed over: ${reason}`,
    }),
  );
  if (!located.found) {
    const text = config.claude.path === "" ? "Claude Code was not found" : `${config.claude.path} cannot be used`;
    return [...passedOver, { check: "claude", state: "fault", text, remedy: INSTALL_REMEDY }];
  }
  const { path: place, version } = located.found;
  const findings: Finding[] = [...passedOver, { check: "claude", state: "ok", text: `${version} at ${place}` }];
  const lacks = Object.entries(featuresOf(version)).filter(([, has]) => !has);
  if (lacks.length > 0) {
    const names = lacks.map(([name]) => name).join(", ");
    findings.push({
      check: "claude",
      state: "note",
      text: `version ${version} lacks ${names} (floor ${MINIMUM_VERSION}, best from ${BEST_VERSION}; docs/compatibility.md)`,
      ...(compareVersions(version, BEST_VERSION) < 0 ? { remedy: "claude update" } : {}),
    });
  }
  const login = answer.ours?.claude?.logged_in;
  if (login === false) {
    findings.push({
      check: "login",
      state: "fault",
      text: "claude is not logged in",
      remedy: "Run `claude` once and log in.",
    });
  } else {
    const unknown = answer.ours ? "the running daemon has not asked yet" : "not known: only a running daemon asks";
    const text = login === true ? "claude is logged in" : unknown;
    findings.push({ check: "login", state: login === true ? "ok" : "note", text });
  }
  return findings;
}

function checkGit(context: CliContext): Finding {
  const git = findGit(context.facts.env.PATH ?? "");
  if (git !== undefined) return { check: "git", state: "ok", text: git };
  return {
    check: "git",
    state: "fault",
    text: "git was not found: what a turn changes cannot be told or undone",
    remedy: "Install git (apt install git, dnf install git, xcode-select --install).",
  };
}

async function checkSandbox(context: CliContext, { config }: LoadedConfig): Promise<Finding> {
  if (!config.exec.enabled)
    return { check: "sandbox", state: "note", text: "running code is turned off (exec.enabled)" };
  const { sandbox, problem } = await locateSandbox(context.facts.env.PATH ?? "");
  if (sandbox) return { check: "sandbox", state: "ok", text: `code runs in ${sandbox.kind}` };
  if (config.exec.allowUnsandboxed) {
    return { check: "sandbox", state: "note", text: "code runs without a sandbox, as the config allows" };
  }
  const [text = "", ...rest] = problem.split(". ");
  return { check: "sandbox", state: "fault", text, remedy: rest.join(". ") };
}

function checkPort({ config }: LoadedConfig, paths: Paths, answer: Answer): Finding {
  const info = readInfo(paths.infoFile);
  if (answer.ours) {
    const problems = answer.ours.problems ?? [];
    const state = answer.ours.status === "ok" ? "ok" : "fault";
    const text = [`the daemon at ${info?.url ?? config.port} says ${answer.ours.status}`, ...problems].join("; ");
    return { check: "daemon", state, text, ...(state === "ok" ? {} : { remedy: "claude-code-daemon status" }) };
  }
  if (answer.taken) {
    return {
      check: "port",
      state: "fault",
      text: `port ${config.port} is taken by another program`,
      remedy: "Stop that program, or choose another port: claude-code-daemon start --port N (port in the config).",
    };
  }
  return { check: "daemon", state: "note", text: "not running", remedy: "claude-code-daemon start" };
}

function checkWorkspaces(context: CliContext, { config }: LoadedConfig, paths: Paths): Finding[] {
  const roots = workspaceRoots(config, context.facts, paths).current();
  if (roots.length === 0) {
    const remedy = "claude-code-daemon workspace add DIRECTORY";
    return [{ check: "workspace", state: "fault", text: "agents may work nowhere yet", remedy }];
  }
  return roots.map((root): Finding => {
    const there = statSync(root, { throwIfNoEntry: false })?.isDirectory() === true;
    if (there) return { check: "workspace", state: "ok", text: root };
    const remedy = `claude-code-daemon workspace remove ${JSON.stringify(root)}`;
    return { check: "workspace", state: "fault", text: `${root} is not a directory`, remedy };
  });
}

function checkFiles({ facts }: CliContext, { stateDirectory }: Paths): Finding[] {
  const stats = lstatSync(stateDirectory, { throwIfNoEntry: false });
  if (!stats) return [{ check: "files", state: "ok", text: `${stateDirectory} will be made at the first start` }];
  const fault = (text: string, remedy: string): Finding => ({ check: "files", state: "fault", text, remedy });
  const quoted = JSON.stringify(stateDirectory);
  if (stats.isSymbolicLink()) {
    return [fault(`${stateDirectory} is a symbolic link`, `rm ${quoted}, or point XDG_STATE_HOME at the real place`)];
  }
  if (!stats.isDirectory()) return [fault(`${stateDirectory} is not a directory`, `mv ${quoted} somewhere else`)];
  if (stats.uid !== facts.uid) {
    return [
      fault(`${stateDirectory} belongs to another user (uid ${stats.uid})`, `sudo chown -R "$(id -u)" ${quoted}`),
    ];
  }
  const open = (stats.mode & 0o077) !== 0 ? [stateDirectory] : [];
  for (const entry of readdirSync(stateDirectory).slice(0, MAX_STATE_FILES)) {
    const path = join(stateDirectory, entry);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found && !found.isSymbolicLink() && (found.mode & 0o077) !== 0) open.push(path);
  }
  if (open.length > 0) {
    return [fault(`others can reach ${open.slice(0, 5).join(", ")}`, `chmod -R go= ${quoted}`)];
  }
  return [{ check: "files", state: "ok", text: `${stateDirectory} is yours alone` }];
}

function checkDisk({ stateDirectory, home }: Paths): Finding {
  const place = existsSync(stateDirectory) ? stateDirectory : home;
  try {
    const { bavail, bsize } = statfsSync(place);
    const free = bavail * bsize;
    const text = `${(free / 1e9).toFixed(1)} GB free at ${place}`;
    if (free >= LOW_DISK_BYTES) return { check: "disk", state: "ok", text };
    return { check: "disk", state: "fault", text, remedy: "Free some space: sessions and undo are kept there." };
  } catch (error) {
    const text = `${place} cannot be looked at: ${error instanceof Error ? error.message : String(error)}`;
    return { check: "disk", state: "fault", text, remedy: "Make the home directory readable and writable." };
  }
}
