/** `status`: what the running daemon says about itself. */
import type { Command } from "commander";
import { DaemonError } from "../errors.ts";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";
import { callDaemon, findDaemon } from "./daemon-client.ts";

interface Health {
  status: string;
  version: string;
  uptime_s: number;
  claude: { path: string | null; version: string | null; logged_in: boolean | null; problem?: string };
  processes: { live: number; busy: number; idle: number; spare: number; limit: number | null; rss_bytes: number };
  queue: { waiting: number; limit: number | null };
  sessions: { open: number };
  problems?: string[];
}

const ANSWER_TIMEOUT_MS = 15_000;

function duration(seconds: number): string {
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
  ] as const;
  for (const [unit, size] of units) if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${seconds} s`;
}

function describeLogin(claude: Health["claude"]): string {
  if (claude.logged_in === null) return "not asked yet";
  return claude.logged_in ? "logged in" : "not logged in: run `claude` once and log in";
}

function lines(url: string, health: Health): string[] {
  const { claude, processes, queue } = health;
  const memory = Math.round(processes.rss_bytes / 1e6);
  return [
    `${health.status}: claude-code-daemon ${health.version} at ${url}, up ${duration(health.uptime_s)}`,
    `claude: ${claude.version ?? "unknown"} (${claude.path ?? "not found"}), ${describeLogin(claude)}`,
    `processes: ${processes.live} of ${processes.limit ?? "?"} (${processes.busy} busy, ${processes.idle} idle, ${processes.spare} spare), ${memory} MB`,
    `waiting: ${queue.waiting}, open sessions: ${health.sessions.open}`,
    ...(claude.problem === undefined ? [] : [`problem: ${claude.problem}`]),
    ...(health.problems ?? []).map((problem) => `problem: ${problem}`),
  ];
}

export function addStatus(program: Command, context: CliContext, done: (code: number) => void): void {
  const { stdout } = context;
  program
    .command("status")
    .description("whether the daemon runs and what it does; exit code 69 when turns cannot run")
    .option("--json", "the answer of GET /v1/health")
    .action(async (options: { json?: boolean }) => {
      const address = findDaemon(context);
      const response = await callDaemon(address, "/v1/health", { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
      const health: unknown = await response.json().catch(() => undefined);
      if (typeof health !== "object" || health === null || !("status" in health) || !("claude" in health)) {
        throw new DaemonError("claude_failed", `What answers at ${address.url} is not claude-code-daemon.`);
      }
      if (options.json) printJson(stdout, { url: address.url, ...health });
      else for (const line of lines(address.url, health as Health)) printLine(stdout, toTerminalText(line, stdout));
      if (response.status === 503) done(69);
    });
}
