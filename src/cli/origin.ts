/** `origin allow|list|revoke`: whose web pages may call the daemon. */
import type { Command } from "commander";
import { openListFile } from "../config/list-file.ts";
import { loadConfig } from "../config/load.ts";
import { resolvePaths } from "../config/paths.ts";
import { DaemonError } from "../errors.ts";
import { parseOrigin } from "../security/rules.ts";
import { type CliContext, printJson, printLine } from "./context.ts";

export function addOrigin(program: Command, context: CliContext): void {
  const { facts, stdout } = context;
  const open = () => {
    const paths = resolvePaths(facts);
    return { paths, list: openListFile(paths.originsFile) };
  };
  const origin = program.command("origin").description("decide whose web pages may call the daemon");
  origin
    .command("allow")
    .description("let the web pages of this origin use Claude Code on this machine")
    .argument("<url>", "scheme, host and port, e.g. http://localhost:5173")
    .action((text: string) => {
      const value = parseOrigin(text);
      const added = open().list.add(value);
      printLine(stdout, added ? `Allowed ${value}, from its next request on.` : `${value} was allowed already.`);
    });
  origin
    .command("revoke")
    .description("take back what allow gave an origin")
    .argument("<url>", "as it was allowed")
    .action((text: string) => {
      const value = parseOrigin(text);
      const { list, paths } = open();
      if (list.remove(value)) {
        printLine(stdout, `Revoked ${value}, from its next request on.`);
        return;
      }
      const { config } = loadConfig({ flags: {}, facts, paths });
      const configured = config.origins.includes(value);
      throw new DaemonError(
        "not_found",
        configured
          ? `${value} is allowed by the key origins of the config, not by this list. Set origins in ${paths.configFile}.`
          : `${value} is not on the list. See: claude-code-daemon origin list`,
      );
    });
  origin
    .command("list")
    .description("show the origins whose web pages may call the daemon")
    .option("--json", "as JSON: allowed (this list) and configured")
    .action((options: { json?: boolean }) => {
      const { list, paths } = open();
      const { config } = loadConfig({ flags: {}, facts, paths });
      const managed = list.entries();
      const problem = list.problem();
      if (problem !== undefined) throw new DaemonError("internal", problem, { detail: { exit: 78 } });
      if (options.json) {
        printJson(stdout, { allowed: managed, configured: config.origins });
        return;
      }
      for (const value of managed) printLine(stdout, value);
      for (const value of config.origins) printLine(stdout, `${value}  (config)`);
    });
}
