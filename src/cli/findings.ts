/** What `doctor` looks at: each check gives a finding, and each fault the command that mends it. Nothing is changed. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { toEnvironment } from "../claude/env.ts";
import { BEST_VERSION, compareVersions, MINIMUM_VERSION, missingIn } from "../claude/features.ts";
import { INSTALL_REMEDY, tryLocate } from "../claude/locate.ts";
import { askLogin } from "../claude/login.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { type Paths, resolvePaths } from "../config/paths.ts";
import { workspaceRoots } from "../daemon/workspaces.ts";
import { toDaemonError } from "../errors.ts";
import { locateSandbox } from "../exec/locate-sandbox.ts";
import { findGit } from "../workspace/git.ts";
import type { CliContext } from "./context.ts";
import { findDaemon } from "./daemon-client.ts";
import { checkDisk, checkFiles, quoted } from "./findings-files.ts";
import { checkService } from "./findings-service.ts";
import { type PortOwner, portOwner } from "./port-owner.ts";

export interface Finding {
  /** What was looked at; one name can have several findings. */
  check: string;
  /** `fault`: something that should work does not. `note`: it works, but a person may want to know. */
  state: "ok" | "note" | "fault";
  text: string;
  /** What to do about it. */
  remedy?: string;
}

const HEALTH_TIMEOUT_MS = 5_000;

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
    const remedy = `Correct it: $EDITOR ${quoted(paths.configFile)} (or the variable that is named)`;
    return [...findings, { check: "config", state: "fault", text: toDaemonError(thrown).message, remedy }];
  }
  const { url } = findDaemon(context);
  const health = await askDaemon(url);
  findings.push(...(await checkClaude(context, loaded, health)));
  findings.push(checkGit(context), await checkSandbox(context, loaded));
  findings.push(checkPort(loaded, url, health));
  findings.push(...(await checkService(context, loaded)));
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
async function askDaemon(url: string): Promise<Answer> {
  try {
    const response = await fetch(`${url}/v1/health`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
    const health = (await response.json().catch(() => ({}))) as Health;
    return typeof health.status === "string" && health.claude ? { ours: health } : { ours: undefined, taken: true };
  } catch (error) {
    const refused = error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
    return { ours: undefined, taken: !refused };
  }
}

async function checkClaude(context: CliContext, loaded: LoadedConfig, answer: Answer): Promise<Finding[]> {
  const { config } = loaded;
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
  const missing = missingIn(version);
  if (missing.length > 0) {
    findings.push({
      check: "claude",
      state: "note",
      text: `version ${version} ${missing.join("; ")} (floor ${MINIMUM_VERSION}, best from ${BEST_VERSION}; docs/compatibility.md)`,
      ...(compareVersions(version, BEST_VERSION) < 0 ? { remedy: "claude update" } : {}),
    });
  }
  findings.push(await checkLogin(context, loaded, place, answer));
  return findings;
}

/** The running daemon's word, which knows of refused turns; else claude's own. */
async function checkLogin(
  { facts }: CliContext,
  { config }: LoadedConfig,
  claude: string,
  answer: Answer,
): Promise<Finding> {
  const told = answer.ours?.claude?.logged_in;
  const launch = { kind: "agent", cwd: "/", trusted: false, persist: false, clientTools: false } as const;
  const ask = () =>
    askLogin(
      claude,
      toEnvironment(launch, {
        base: facts.env,
        passEnv: config.claude.passEnv,
        instanceId: "doctor",
        processMarker: "doctor",
        own: { ports: [], hosts: [] },
      }),
    );
  const { CLAUDE_CONFIG_DIR: directory, HOME: home = facts.userHome } = facts.env;
  // A claude that never ran would make its files now; doctor changes nothing.
  if (typeof told !== "boolean" && !existsSync(join(directory ?? home ?? "/", ".claude.json"))) {
    const text = "not known: claude has never been run here";
    return {
      check: "login",
      state: "note",
      text,
      remedy: "claude auth login (or a variable such as ANTHROPIC_API_KEY)",
    };
  }
  const login = typeof told === "boolean" ? told : await ask();
  if (login === true) return { check: "login", state: "ok", text: "claude is logged in" };
  if (login === undefined)
    return { check: "login", state: "note", text: "claude does not say whether it is logged in" };
  return {
    check: "login",
    state: "fault",
    text: "claude is not logged in",
    remedy: "claude auth login (or set ANTHROPIC_API_KEY for the daemon)",
  };
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

function checkPort({ config }: LoadedConfig, url: string, answer: Answer): Finding {
  if (answer.ours) {
    const problems = answer.ours.problems ?? [];
    const state = answer.ours.status === "ok" ? "ok" : "fault";
    const text = [`the daemon at ${url} says ${answer.ours.status}`, ...problems].join("; ");
    return { check: "daemon", state, text, ...(state === "ok" ? {} : { remedy: "claude-code-daemon status" }) };
  }
  if (answer.taken) {
    const owner = portOwner(config.port);
    return {
      check: "port",
      state: "fault",
      text: `port ${config.port} is taken by ${describeOwner(owner)}`,
      remedy: "Stop that program, or choose another port: claude-code-daemon start --port N (port in the config).",
    };
  }
  return { check: "daemon", state: "note", text: "not running", remedy: "claude-code-daemon start" };
}

function describeOwner(owner: PortOwner | undefined): string {
  if (owner?.pid !== undefined) return `${owner.name ?? "a program"} (process ${owner.pid})`;
  return owner === undefined ? "another program" : `a program of another user (uid ${owner.uid})`;
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
