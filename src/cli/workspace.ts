/** `workspace add|list|remove`: where agents may work. Adding also trusts the directory's own settings and hooks. */
import { realpathSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { type ListFile, openListFile } from "../config/list-file.ts";
import { loadConfig } from "../config/load.ts";
import { resolvePaths } from "../config/paths.ts";
import { DaemonError } from "../errors.ts";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";

/** The real path of an existing directory; throws `invalid_request` for anything else. */
function realDirectory(path: string, context: CliContext): string {
  const absolute = resolve(context.facts.cwd ?? "/", path);
  try {
    const real = realpathSync(absolute);
    if (statSync(real).isDirectory()) return real;
  } catch (error) {
    throw new DaemonError("invalid_request", `${absolute} cannot be used: there is no such directory.`, {
      cause: error,
    });
  }
  throw new DaemonError("invalid_request", `${absolute} is not a directory.`);
}

export function addWorkspace(program: Command, context: CliContext): void {
  const { facts, stdout } = context;
  const open = (): { list: ListFile; configured: readonly string[] } => {
    const paths = resolvePaths(facts);
    const { config } = loadConfig({ flags: {}, facts, paths });
    return { list: openListFile(paths.workspacesFile), configured: config.workspaces.roots };
  };
  const workspace = program.command("workspace").description("decide in which directories agents may work");
  workspace
    .command("add")
    .description("open a directory (with all below it) to agents, and trust the settings, hooks and MCP servers in it")
    .argument("[directory]", "which one; without it this one")
    .action((directory: string | undefined) => {
      const real = realDirectory(directory ?? ".", context);
      if (real === "/" || real === facts.env.HOME) {
        printLine(context.stderr, `Note: ${real} opens everything below it, your own settings and keys included.`);
      }
      const added = open().list.add(real);
      const shown = toTerminalText(real, stdout);
      printLine(stdout, added ? `Added ${shown}, from the next request on.` : `${shown} was there already.`);
    });
  workspace
    .command("remove")
    .description("close a directory to agents again")
    .argument("<directory>", "as it was added; it may be gone from the disk")
    .action((directory: string) => {
      const { list, configured } = open();
      const absolute = resolve(facts.cwd ?? "/", directory);
      // It may be gone from the disk: then the written path has to do.
      const known = list.entries().find((entry) => entry === absolute || entry === realOf(absolute));
      if (known !== undefined && list.remove(known)) {
        printLine(stdout, `Removed ${toTerminalText(known, stdout)}, from the next request on.`);
        return;
      }
      throw new DaemonError(
        "not_found",
        configured.includes(absolute)
          ? `${absolute} is opened by the key workspaces.roots of the config, not by this list.`
          : `${absolute} is not on the list. See: claude-code-daemon workspace list`,
      );
    });
  workspace
    .command("list")
    .description("show the directories in which agents may work")
    .option("--json", "as JSON: added (this list) and configured")
    .action((options: { json?: boolean }) => {
      const { list, configured } = open();
      const added = list.entries();
      const problem = list.problem();
      if (problem !== undefined) throw new DaemonError("internal", problem, { detail: { exit: 78 } });
      if (options.json) {
        printJson(stdout, { added, configured });
        return;
      }
      for (const path of added) printLine(stdout, toTerminalText(path, stdout));
      for (const path of configured) printLine(stdout, `${toTerminalText(path, stdout)}  (config)`);
      if (added.length + configured.length === 0) {
        printLine(
          stdout,
          "None yet: agents work in the directory that start runs in. Add one: claude-code-daemon workspace add",
        );
      }
    });
}

function realOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
