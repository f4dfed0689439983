/** `demo`: the daemon with the real claude on a labelled stand-in for the model API. No account, no network. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { loadConfig } from "../config/load.ts";
import { resolvePaths } from "../config/paths.ts";
import type { CliContext } from "./context.ts";
import { addConfigFlags, flagsOf } from "./start.ts";

export function addDemo(program: Command, context: CliContext, done: (code: number) => void): void {
  const command = program
    .command("demo")
    .description("try everything without account and network: the real claude on a stand-in for the model API")
    .option("--json", "print one line of JSON once it listens");
  addConfigFlags(command);
  command.action(async (options: Record<string, unknown>) => {
    const { facts } = context;
    // Nothing of the user's own is used or left behind: home, state and workspace live as long as the demo.
    const root = mkdtempSync(join(facts.env.TMPDIR ?? tmpdir(), "claude-code-daemon-demo-"));
    const [home, workspace] = [join(root, "home"), join(root, "workspace")];
    mkdirSync(home, { mode: 0o700 });
    mkdirSync(workspace);
    const { startStandIn, standInEnvironment } = await import("../demo/stand-in.ts");
    const { runDaemon } = await import("./run-daemon.ts");
    const standIn = startStandIn();
    const cleanUp = async () => {
      await standIn.close();
      rmSync(root, { recursive: true, force: true, maxRetries: 3 });
    };
    try {
      const own = {
        ...facts,
        env: { ...facts.env, XDG_STATE_HOME: join(root, "state"), XDG_CONFIG_HOME: join(root, "config") },
      };
      // Whom and what the user has let in holds here, too: the demo's own answers say how to let in more.
      const { originsFile, workspacesFile } = resolvePaths(facts);
      const paths = { ...resolvePaths(own), originsFile, workspacesFile };
      const flags = { workspace: [workspace], ...flagsOf(options) };
      const loaded = loadConfig({ flags, facts: own, paths });
      const code = await runDaemon(context, {
        loaded,
        paths,
        claudeEnvironment: standInEnvironment(facts.env, { url: standIn.url, home }),
        json: options.json === true,
        notes: (daemon) => [
          "Demo: a stand-in answers instead of a model. It says so in every answer; the files it writes are real.",
          `Agents work in: ${loaded.config.workspaces.roots.join(", ")}`,
          "Try it:",
          `  curl ${daemon.url}/v1/chat/completions -d '{"model":"claude-code","messages":[{"role":"user","content":"Create hello.txt"}]}'`,
          `API: ${daemon.url}/docs`,
        ],
      });
      done(code);
    } finally {
      await cleanUp();
    }
  });
}
