/** `service …`: the daemon as a service of this user's systemd or launchd. */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import type { Command } from "commander";
import { tryLocate } from "../claude/locate.ts";
import { writeFileAtomic } from "../config/files.ts";
import { loadConfig } from "../config/load.ts";
import { type Paths, resolvePaths } from "../config/paths.ts";
import { DaemonError } from "../errors.ts";
import type { ServiceManager, ServiceState } from "../service/contract.ts";
import { parseEnvironmentFile, renderEnvironmentFile } from "../service/environment-file.ts";
import { mergePaths, takeSnapshot } from "../service/snapshot.ts";
import { pathOfUserShell } from "../service/user-shell.ts";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";
import { callDaemon, findOwnDaemon } from "./daemon-client.ts";
import { addLogs } from "./logs.ts";
import { lastingPath, openServiceManager, startCommand } from "./service-manager.ts";
import { counted } from "./words.ts";

/** A cold claude answers within seconds; launchd does not wait for it as systemd does. */
const ANSWER_TIMEOUT_MS = 30_000;
const ANSWER_POLL_MS = 200;

interface Surroundings {
  paths: Paths;
  manager: ServiceManager;
  environmentFile: string;
}

async function surroundings(context: CliContext): Promise<Surroundings> {
  const paths = resolvePaths(context.facts);
  const manager = await openServiceManager(context);
  return { paths, manager, environmentFile: paths.serviceEnvironmentFile };
}

/** The PATH for the service and the claude on it; the user's shell is asked where this process's PATH has none. */
async function findClaude({ facts }: CliContext, { home }: Paths, configured: string) {
  const search = async (path: string) => {
    const environment = { PATH: path, HOME: home };
    return tryLocate({ configured: configured === "" ? undefined : configured, path, home, environment });
  };
  let path = mergePaths(facts.env.PATH ?? "", "");
  if (Bun.which("claude", { PATH: path }) === null) {
    const shellPath = await pathOfUserShell({ shell: facts.env.SHELL, home, environment: facts.env });
    if (shellPath !== undefined) path = mergePaths(shellPath, path);
  }
  const { found, rejected } = await search(path);
  return { path, claude: found && lastingPath(found.path, "claude", path), version: found?.version, rejected };
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Not there, or in use.
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Settles once the daemon answers; throws what `callDaemon` throws after the last attempt. */
async function waitForAnswer(context: CliContext): Promise<string> {
  const until = performance.now() + ANSWER_TIMEOUT_MS;
  for (;;) {
    const address = findOwnDaemon(context);
    try {
      await callDaemon(address, "/v1/health", { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
      return address.url;
    } catch (error) {
      if (performance.now() >= until) throw error;
      await Bun.sleep(ANSWER_POLL_MS);
    }
  }
}

interface InstallFlags {
  linger?: boolean;
  env?: string[];
}

async function install(context: CliContext, flags: InstallFlags): Promise<void> {
  const { facts, stdout, stderr } = context;
  const say = (line: string) => printLine(stdout, toTerminalText(line, stdout));
  const { paths, manager, environmentFile } = await surroundings(context);
  const { config } = loadConfig({ flags: {}, facts, paths });
  const names = flags.env ?? [];
  for (const name of names) {
    if (facts.env[name] === undefined) {
      throw new DaemonError("invalid_request", `--env ${name}: this shell has no variable of that name.`);
    }
  }
  const { path, claude, version, rejected } = await findClaude(context, paths, config.claude.path);
  if (claude === undefined) {
    const seen = rejected.map((one) => `  ${one.path}: ${one.reason}`).join("\n");
    throw new DaemonError(
      "claude_missing",
      `Claude Code was not found, and the service cannot start without it.${seen === "" ? "" : `\n${seen}`}\nInstall it (npm install -g @anthropic-ai/claude-code), then run this again.`,
    );
  }
  const previous = readIfThere(environmentFile);
  const known = new Set(Object.keys(parseEnvironmentFile(previous)));
  const snapshot = takeSnapshot({ environment: facts.env, path, claude, names, known });
  mkdirSync(paths.configDirectory, { recursive: true, mode: 0o700 });
  writeFileAtomic(environmentFile, renderEnvironmentFile(snapshot.values, previous));
  await manager.install({ command: startCommand(path), home: paths.home, environmentFile });
  const url = await waitForAnswer(context);
  const { file } = await manager.state();
  say(`The service is installed and answers at ${url} (${manager.kind}: ${file}).`);
  say(`claude: ${claude} (${version}); its PATH and places are in ${environmentFile}`);
  if (snapshot.leftOut.length > 0) {
    const flagsToAdd = snapshot.leftOut.map((name) => `--env ${name}`).join(" ");
    printLine(stderr, `Note: set in this shell, but not for the service: ${snapshot.leftOut.join(", ")}. To write`);
    printLine(
      stderr,
      `them to ${environmentFile} (readable by you alone): claude-code-daemon service install ${flagsToAdd}`,
    );
  }
  if (flags.linger) await manager.linger();
  say(startsWhen(await manager.state()));
  say("Open a directory to agents: claude-code-daemon workspace add DIRECTORY");
}

function startsWhen({ lingering }: ServiceState): string {
  if (lingering === true) return "It starts with the machine (lingering is on).";
  if (lingering === undefined) return "It starts when you log in.";
  return "It starts when you log in and ends with your last session; to have it from boot on: claude-code-daemon service install --linger";
}

async function status(context: CliContext, json: boolean): Promise<boolean> {
  const { stdout } = context;
  const { manager } = await surroundings(context);
  const state = await manager.state();
  if (json) {
    const { pid = null, restarts = null, lingering = null, problem = null, givenUp, ...facts } = state;
    printJson(stdout, { manager: manager.kind, ...facts, given_up: givenUp, problem, pid, restarts, lingering });
    return state.running;
  }
  if (!state.installed) {
    printLine(stdout, "The service is not installed. Install it: claude-code-daemon service install");
    return false;
  }
  const more = [
    ...(state.pid === undefined ? [] : [`process ${state.pid}`]),
    ...(state.restarts === undefined || state.restarts === 0 ? [] : [`restarted ${counted(state.restarts, "time")}`]),
  ];
  printLine(stdout, toTerminalText([`service: ${state.detail}`, ...more].join(", "), stdout));
  if (state.problem !== undefined) printLine(stdout, toTerminalText(`why: ${state.problem}`, stdout));
  if (state.givenUp) printLine(stdout, "It is not tried again by itself: claude-code-daemon service start");
  printLine(
    stdout,
    state.enabled ? startsWhen(state) : "It does not start by itself: claude-code-daemon service install",
  );
  printLine(stdout, toTerminalText(`file: ${state.file}`, stdout));
  return state.running;
}

export function addService(program: Command, context: CliContext, done: (code: number) => void): void {
  const { stdout } = context;
  const say = (line: string) => printLine(stdout, toTerminalText(line, stdout));
  const manager = () => openServiceManager(context);
  const service = program
    .command("service")
    .description("make the daemon a service of yours (systemd or launchd, no root), and manage it");
  service
    .command("install")
    .description("install or update the service, and start it; it starts by itself from then on")
    .option("--linger", "also run it from boot on, and while nobody is logged in (systemd)")
    .option(
      "--env <name>",
      "give it this variable of your shell, e.g. a login (repeatable)",
      (name: string, all: string[] = []) => [...all, name],
    )
    .action((flags: InstallFlags) => install(context, flags));
  service
    .command("uninstall")
    .description("stop and remove the service; config, workspaces and sessions stay")
    .action(async () => {
      const { manager, environmentFile, paths } = await surroundings(context);
      const { lingering } = await manager.state();
      const removed = await manager.uninstall({ environmentFile });
      for (const path of removed) say(`Removed ${path}.`);
      if (removed.length === 0) say("The service is not installed.");
      removeEmpty(paths.configDirectory);
      for (const [path, what] of [
        [paths.configDirectory, "config"],
        [paths.stateDirectory, "sessions"],
      ] as const) {
        if (existsSync(path)) say(`Left in place: ${path} (${what}).`);
      }
      if (lingering) say("Lingering stays on, for other services; to end it: loginctl disable-linger");
    });
  for (const [verb, description, past] of [
    ["start", "start the service now", "started"],
    ["stop", "stop the service until the next login; running turns may finish first", "stopped"],
    ["restart", "start the service again, e.g. with a changed config", "restarted"],
  ] as const) {
    service
      .command(verb)
      .description(description)
      .action(async () => {
        const { manager } = await surroundings(context);
        await manager[verb]();
        const where = verb === "stop" ? "" : ` It answers at ${await waitForAnswer(context)}.`;
        say(`The service was ${past}.${where}`);
      });
  }
  service
    .command("status")
    .description("show whether the service is installed and runs")
    .option("--json", "as JSON: manager, installed, enabled, running, pid, …")
    .action(async (options: { json?: boolean }) => {
      if (!(await status(context, options.json === true))) done(69);
    });
  addLogs(service.command("logs").description("show what the service logged"), context, manager);
  addLogs(
    program.command("logs").description("show what the service logged (the same as service logs)"),
    context,
    manager,
  );
}
