/** `start`: the daemon in the foreground. Its flags are the config keys that have one. */
import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import type { HostFacts } from "../config/environment.ts";
import { loadConfig } from "../config/load.ts";
import { resolvePaths } from "../config/paths.ts";
import { type ConfigKey, configKeys } from "../config/schema.ts";
import { parseEnvironmentFile } from "../service/environment-file.ts";
import { rotateLogRegularly } from "../service/log-file.ts";
import type { CliContext } from "./context.ts";

const repeated = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

/** Completion offers files and directories by these names. */
function placeholder({ schema, isPath, name }: ConfigKey): string {
  if (isPath) return schema.type === "array" ? "directory" : "file";
  return schema.type === "integer" ? "number" : (name.split(".").at(-1) ?? "value");
}

function describeKey({ description, schema, env }: ConfigKey): string {
  const standard = Array.isArray(schema.default) ? schema.default.join(", ") : String(schema.default);
  const facts = [...(standard === "" ? [] : [`default ${standard}`]), `environment ${env.join(" or ")}`];
  return `${description.replaceAll("`", "").replace(/\.$/, "")} (${facts.join("; ")})`;
}

/** Flags of the config schema, with its descriptions. */
export function addConfigFlags(command: Command): void {
  for (const key of configKeys()) {
    if (key.flag === undefined) continue;
    const isList = key.schema.type === "array";
    const option = new Option(`--${key.flag} <${placeholder(key)}>`, describeKey(key));
    if (isList) option.argParser(repeated);
    // Told, not checked: the config checks a value wherever it comes from.
    if (Array.isArray(key.schema.enum)) option.argChoices = key.schema.enum.map(String);
    command.addOption(option);
  }
}

/** What commander made of them, by flag name. */
export function flagsOf(options: Readonly<Record<string, unknown>>): Record<string, string | string[]> {
  const flags: Record<string, string | string[]> = {};
  for (const { flag } of configKeys()) {
    if (flag === undefined) continue;
    const value = options[flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())];
    if (typeof value === "string" || Array.isArray(value)) flags[flag] = value;
  }
  return flags;
}

export function addStart(program: Command, context: CliContext, done: (code: number) => void): void {
  const command = program
    .command("start")
    .description("run the daemon in the foreground, until Ctrl-C or SIGTERM")
    .option("--json", "print one line of JSON once it listens");
  addConfigFlags(command);
  command.action(async (options: Record<string, unknown>) => {
    const facts = underLaunchd(context.facts);
    const paths = resolvePaths(facts);
    const { CLAUDE_CODE_DAEMON_SERVICE: service, CLAUDE_CODE_DAEMON_SERVICE_LOG: logFile } = facts.env;
    if (logFile !== undefined) rotateLogRegularly(logFile);
    const loaded = loadConfig({ flags: flagsOf(options), facts, paths });
    const { runDaemon } = await import("./run-daemon.ts");
    const { workspaceRoots } = await import("../daemon/workspaces.ts");
    const code = await runDaemon(
      { ...context, facts },
      {
        loaded,
        paths,
        claudeEnvironment: facts.env,
        json: options.json === true,
        notes: (daemon) => {
          const roots = workspaceRoots(loaded.config, facts, paths).current();
          const where = roots.length === 0 ? "nowhere yet (claude-code-daemon workspace add)" : roots.join(", ");
          return [`Agents work in: ${where}`, `API: ${daemon.url}/docs`];
        },
      },
    );
    // launchd starts again whatever did not end with 0; what a person must correct would fail for ever.
    done(service === "launchd" && code === 78 ? 0 : code);
  });
}

/** launchd has no files of variables: the daemon reads the service's own. Under systemd this changes nothing. */
function underLaunchd(facts: HostFacts): HostFacts {
  const file = facts.env.CLAUDE_CODE_DAEMON_SERVICE_ENV;
  if (file === undefined) return facts;
  try {
    return { ...facts, env: { ...facts.env, ...parseEnvironmentFile(readFileSync(file, "utf8")) } };
  } catch {
    return facts; // removed: the daemon searches for itself
  }
}
