/** `config show|path`: what is in force and where it came from. */
import type { Command } from "commander";
import { loadConfig } from "../config/load.ts";
import { resolvePaths } from "../config/paths.ts";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";

export function addConfig(program: Command, context: CliContext): void {
  const { facts, stdout, stderr } = context;
  const config = program.command("config").description("show what is configured, and where");
  config
    .command("show")
    .description("show every key with its value and where that came from; a running daemon keeps what it started with")
    .option("--json", "as JSON: each key with value and source")
    .action((options: { json?: boolean }) => {
      const loaded = loadConfig({ flags: {}, facts, paths: resolvePaths(facts) });
      for (const warning of loaded.warnings) printLine(stderr, `${context.name}: ${toTerminalText(warning, stderr)}`);
      if (options.json) {
        const entries = loaded.settings.map(({ key, value, source }) => [key.name, { value, source }]);
        printJson(stdout, Object.fromEntries(entries));
        return;
      }
      const rows = loaded.settings.map(({ key, value, source }) => [`${key.name} = ${JSON.stringify(value)}`, source]);
      const width = Math.min(60, Math.max(...rows.map(([left]) => left?.length ?? 0)));
      for (const [left = "", right = ""] of rows) {
        printLine(stdout, toTerminalText(`${left.padEnd(width)}  # ${right}`, stdout));
      }
    });
  config
    .command("path")
    .description("show where config and state are")
    .option("--json", "as JSON: config, origins, workspaces and state")
    .action((options: { json?: boolean }) => {
      const paths = resolvePaths(facts);
      const shown = {
        config: paths.configFile,
        origins: paths.originsFile,
        workspaces: paths.workspacesFile,
        state: paths.stateDirectory,
      };
      if (options.json) {
        printJson(stdout, shown);
        return;
      }
      for (const [name, path] of Object.entries(shown)) {
        printLine(stdout, `${name.padEnd(10)}  ${toTerminalText(path, stdout)}`);
      }
    });
}
