/** From configuration to the gate's rules. */
import { DaemonError } from "../errors.ts";
import type { GateRules } from "./gate.ts";

export interface GateOptions {
  /** Ports of this listener. */
  port: number;
  /** Ports of our other listeners, whose pages (the console) may call this one. */
  siblingPorts: readonly number[];
  /** Further host names, without port. */
  hosts: readonly string[];
  /** From the config. */
  origins: readonly string[];
  /** Those that `origin allow` manages, as they are now. */
  allowedOrigins(): readonly string[];
  proxies: readonly string[];
  maxBodyBytes: number;
}

/** The loopback names and the configured ones, each exact and with the port (which browsers leave out where it is 80). */
function hostsOf(port: number, names: readonly string[]): Set<string> {
  const all = ["127.0.0.1", "localhost", "[::1]", ...names.map((name) => name.toLowerCase())];
  const withPort = all.map((name) => `${name}:${port}`);
  return new Set(port === 80 ? [...withPort, ...all] : withPort);
}

/** Rules of one listener. An origin is compared whole and exactly; there are no patterns. */
export function createGateRules(options: GateOptions): GateRules {
  const hosts = hostsOf(options.port, options.hosts);
  const own = [options.port, ...options.siblingPorts].flatMap((port) => [...hostsOf(port, options.hosts)]);
  const fixed = new Set([...own.map((host) => `http://${host}`), ...options.origins.map(parseOrigin)]);
  return {
    hosts,
    isOriginAllowed: (origin) => fixed.has(origin) || options.allowedOrigins().includes(origin),
    proxies: new Set(options.proxies),
    maxBodyBytes: options.maxBodyBytes,
  };
}

/**
 * An origin as browsers send it: `scheme://host[:port]`, lower case, without path and without the scheme's own port.
 * Throws `invalid_request` for anything that is none, `null` and `*` first of all.
 */
export function parseOrigin(text: string): string {
  const refuse = (why: string) =>
    new DaemonError("invalid_request", `${JSON.stringify(text.slice(0, 100))} ${why}`, {
      detail: { param: "origins" },
    });
  if (text === "*" || text === "null") {
    throw refuse("cannot be allowed: it would let every web page use Claude Code on this machine.");
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse("is no origin. It looks like http://localhost:5173.");
  }
  const rest = `${url.username}${url.password}${url.search}${url.hash}${url.pathname === "/" ? "" : url.pathname}`;
  if (url.host === "" || rest !== "")
    throw refuse("is no origin: only scheme, host and port, like http://localhost:5173.");
  return `${url.protocol}//${url.host}`.toLowerCase();
}
