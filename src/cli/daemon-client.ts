/** The commands' way to the running daemon: its own API, on a literal loopback address. */
import { type Command, InvalidArgumentError } from "commander";
import { loadConfig } from "../config/load.ts";
import { type Paths, resolvePaths } from "../config/paths.ts";
import { type DaemonInfo, readInfo } from "../daemon/lock.ts";
import { DaemonError } from "../errors.ts";
import type { CliContext } from "./context.ts";

export interface DaemonAddress {
  url: string;
  paths: Paths;
}

export interface PortFlag {
  port?: number;
}

const MAX_PORT = 65_535;

function toPort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= MAX_PORT) return port;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_PORT}.`);
}

/** The flag of commands that call a daemon; its value goes to `findDaemon`. */
export function addPort(command: Command): Command {
  return command.option(
    "--port <number>",
    "the daemon's port (default: CLAUDE_CODE_DAEMON_PORT, else that of your running daemon)",
    toPort,
  );
}

/** Undefined where it was left over from a daemon that was killed. */
function readLiveInfo(path: string): DaemonInfo | undefined {
  const info = readInfo(path);
  if (!info) return undefined;
  try {
    process.kill(info.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return undefined;
  }
  return info;
}

const urlOf = (host: string, port: number) => `http://${host === "::1" ? "[::1]" : "127.0.0.1"}:${port}`;

/**
 * `--port`, else CLAUDE_CODE_DAEMON_PORT, else the address that the running daemon wrote down, else the configured one.
 * A plain PORT may be meant for the web app of this shell: it stands in the configuration's place, after a running daemon.
 */
export function findDaemon(context: CliContext, { port }: PortFlag = {}): DaemonAddress {
  const { facts } = context;
  const paths = resolvePaths(facts);
  if (port !== undefined) return { url: urlOf("127.0.0.1", port), paths };
  const { CLAUDE_CODE_DAEMON_PORT: named = "" } = facts.env;
  // 0 lets a daemon take any: only it knows which.
  if (named !== "" && Number(named) !== 0) {
    const { config } = loadConfig({ flags: {}, facts, paths });
    return { url: urlOf(config.host, config.port), paths };
  }
  return findOwnDaemon(context);
}

/** The daemon of this user's state directory, whatever the environment says: what the service is. */
export function findOwnDaemon({ facts }: CliContext): DaemonAddress {
  const paths = resolvePaths(facts);
  const info = readLiveInfo(paths.infoFile);
  if (info) return { url: info.url, paths };
  const { config } = loadConfig({ flags: {}, facts, paths });
  return { url: urlOf(config.host, config.port), paths };
}

/** Like `fetch`; a daemon that is not there is `claude_failed` (exit 69) with what to do. */
export async function callDaemon(address: DaemonAddress, path: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(address.url + path, init);
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") throw new DaemonError("interrupted", "Interrupted.");
    if (error instanceof Error && error.name === "TimeoutError") {
      throw new DaemonError("timed_out", `The daemon at ${address.url} does not answer. Its log may say why.`);
    }
    throw new DaemonError(
      "claude_failed",
      `No daemon answers at ${address.url}. Start it with: claude-code-daemon start (or service start); ` +
        "one on another port is found with --port or CLAUDE_CODE_DAEMON_PORT.",
      { cause: error },
    );
  }
}

/** The error of an answer in OpenAI's shape, with the exit code that its status stands for. */
export async function toFailure(response: Response): Promise<DaemonError> {
  let message = `The daemon answered ${response.status}.`;
  try {
    const body = (await response.json()) as { error?: { message?: unknown } };
    if (typeof body.error?.message === "string") message = body.error.message;
  } catch {
    // Not JSON: the status has to do.
  }
  if (response.status === 401 || response.status === 403) return new DaemonError("forbidden", message);
  if (response.status === 404) return new DaemonError("not_found", message);
  if (response.status === 429) return new DaemonError("rate_limited", message);
  if (response.status < 500) return new DaemonError("invalid_request", message);
  return new DaemonError("claude_failed", message);
}
