/** `status`: what the running daemon says about itself. */
import type { Command } from "commander";
import { DaemonError } from "../errors.ts";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";
import { addPort, callDaemon, findDaemon, type PortFlag } from "./daemon-client.ts";
import { type Health, renderStatus } from "./status-text.ts";
import { styleOf } from "./style.ts";

const ANSWER_TIMEOUT_MS = 15_000;

export function addStatus(program: Command, context: CliContext, done: (code: number) => void): void {
  const { stdout } = context;
  const command = program
    .command("status")
    .description("show whether the daemon runs, what it does and what is wrong")
    .option("--json", "the answer of GET /v1/health, with the url; status not_running where none answers");
  addPort(command).action(async (options: PortFlag & { json?: boolean }) => {
    const address = findDaemon(context, options);
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const response = await callDaemon(address, "/v1/health", { signal }).catch((error: unknown) => {
      if (options.json) printJson(stdout, { url: address.url, status: "not_running" });
      throw error;
    });
    const health: unknown = await response.json().catch(() => undefined);
    if (typeof health !== "object" || health === null || !("status" in health) || !("claude" in health)) {
      throw new DaemonError("claude_failed", `What answers at ${address.url} is not claude-code-daemon.`);
    }
    if (options.json) printJson(stdout, { url: address.url, ...health });
    else {
      const clean = (text: string) => toTerminalText(text, stdout);
      const lines = renderStatus(address.url, health as Health, styleOf(stdout, context), clean);
      for (const line of lines) printLine(stdout, line);
    }
    if (response.status === 503) done(69);
  });
}
