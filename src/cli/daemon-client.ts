/** The commands' way to the running daemon: its own API, on a literal loopback address. */

import { loadConfig } from "../config/load.ts";
import { type Paths, resolvePaths } from "../config/paths.ts";
import { readInfo } from "../daemon/lock.ts";
import { DaemonError } from "../errors.ts";
import type { CliContext } from "./context.ts";

export interface DaemonAddress {
  url: string;
  paths: Paths;
}

/** The address that the running daemon wrote down, else the configured one. */
export function findDaemon(context: CliContext): DaemonAddress {
  const { facts } = context;
  const paths = resolvePaths(facts);
  const info = readInfo(paths.infoFile);
  if (info) return { url: info.url, paths };
  const { config } = loadConfig({ flags: {}, facts, paths });
  return { url: `http://${config.host === "::1" ? "[::1]" : "127.0.0.1"}:${config.port}`, paths };
}

/** Like `fetch`; a daemon that is not there is `claude_failed` (exit 69) with what to do. */
export async function callDaemon(address: DaemonAddress, path: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(address.url + path, init);
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") throw new DaemonError("interrupted", "Interrupted.");
    throw new DaemonError(
      "claude_failed",
      `No daemon answers at ${address.url}. Start it with: claude-code-daemon start ` +
        "(one on another port is found with CLAUDE_CODE_DAEMON_PORT=…)",
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
  if (response.status === 429) return new DaemonError("rate_limited", message);
  if (response.status < 500) return new DaemonError("invalid_request", message);
  return new DaemonError("claude_failed", message);
}
