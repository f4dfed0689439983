/** `logs`, and `service logs`: what the service wrote. A daemon in a terminal writes its log there and keeps none. */
import { type Command, InvalidArgumentError } from "commander";
import { resolvePaths } from "../config/paths.ts";
import { readInfo } from "../daemon/lock.ts";
import type { ServiceManager } from "../service/contract.ts";
import { type CliContext, printLine, toTerminalText } from "./context.ts";
import { withInterrupt } from "./interrupt.ts";

const DEFAULT_LINES = 100;
const MAX_LINES = 1_000_000;

function toLines(text: string): number {
  const lines = Number(text);
  if (/^\d+$/.test(text) && lines <= MAX_LINES) return lines;
  throw new InvalidArgumentError(`It must be a whole number up to ${MAX_LINES}.`);
}

/** Options and action for a command of that name; `open` throws where there is no service manager. */
export function addLogs(command: Command, context: CliContext, open: () => Promise<ServiceManager>): void {
  const { stdout, stderr } = context;
  command
    .option("-f, --follow", "go on with what comes, until Ctrl-C")
    .option("-n, --lines <number>", "how many lines to begin with", toLines, DEFAULT_LINES)
    .action(async ({ follow = false, lines }: { follow?: boolean; lines: number }) => {
      const running = readInfo(resolvePaths(context.facts).infoFile);
      const elsewhere = () => {
        if (!running) return;
        const where = "is not the service's; its log is where it was started";
        printLine(stderr, `Note: the running daemon (process ${running.pid}) ${where}.`);
      };
      const manager = await open().catch((error: unknown) => {
        elsewhere();
        throw error;
      });
      const state = await manager.state();
      if (!state.installed) {
        printLine(stderr, "Note: the service is not installed. Install it: claude-code-daemon service install");
      }
      if (!state.running) elsewhere();
      await withInterrupt((signal) =>
        manager.logs({ follow, lines, write: (text) => stdout.write(toTerminalText(text, stdout)), signal }),
      );
    });
}
