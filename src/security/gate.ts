/**
 * Who may call (docs/security.md): one pure decision over method, headers and peer, made before routing on every request
 * and upgrade. It never looks at the path, which a crafted Host can shift under a router.
 *
 * The order is part of the contract: host, proxy, browser, [identity of the peer, token], preflight, body.
 */
import { DaemonError } from "../errors.ts";

export interface GateRules {
  /** Values of `Host` that are ours, lower case, with port. */
  hosts: ReadonlySet<string>;
  /** Asked for each request with an Origin, so that `origin allow` works on a running daemon. */
  isOriginAllowed(origin: string): boolean;
  /** Addresses whose requests may carry forwarding headers. What those say is never believed. */
  proxies: ReadonlySet<string>;
  maxBodyBytes: number;
}

export interface GateRequest {
  method: string;
  headers: Headers;
  /** A WebSocket handshake. */
  upgrade: boolean;
  /** Looked up only when a rule needs it. */
  peerAddress(): string | undefined;
}

/** What the gate found out about who calls. */
export interface Caller {
  /** The request came from a web page or a browser's address bar. */
  browser: boolean;
  /** The page's origin; it is on the allow-list. */
  origin: string | undefined;
}

/** `headers` go on the answer, whatever it will be. */
export type GateDecision =
  | { kind: "pass"; caller: Caller; headers: Readonly<Record<string, string>> }
  | { kind: "preflight"; headers: Readonly<Record<string, string>> }
  | { kind: "refuse"; error: DaemonError; headers: Readonly<Record<string, string>> };

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const FORWARDING_HEADERS = [
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-port",
  "x-forwarded-server",
  "x-real-ip",
];
const ENCODINGS = ["identity", "gzip", "zstd"];
/** Longest list of request headers that a preflight's answer repeats. */
const MAX_REFLECTED_CHARS = 4096;

const BASE_HEADERS: Readonly<Record<string, string>> = {
  vary: "origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
};

/** Set where a route has not chosen its own. */
export const DEFAULT_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
};

const EXPOSED_HEADERS = [
  "x-request-id",
  "request-id",
  "retry-after",
  "retry-after-ms",
  "x-should-retry",
  "openai-processing-ms",
  "x-claude-code-ignored",
  "x-claude-code-session",
].join(", ");

function plainOrigin(origin: string): boolean {
  return origin.length <= 255 && /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9._:[\]-]+$/i.test(origin);
}

function refuseOrigin(origin: string): DaemonError {
  const message = plainOrigin(origin)
    ? `Web pages of ${origin} may not call this daemon. If they should: claude-code-daemon origin allow ${origin}`
    : "A page without an origin of its own (a file, a sandboxed frame) may not call this daemon. Serve it from http://localhost:3000.";
  return new DaemonError("forbidden", message, { detail: { reason: "origin_not_allowed" } });
}

/** Origin and Sec-Fetch-Site: a page's own word, set by the browser, not by the page. */
function checkBrowser(request: GateRequest, rules: GateRules): Caller | DaemonError {
  const origin = request.headers.get("origin");
  if (origin !== null) {
    return rules.isOriginAllowed(origin) ? { browser: true, origin } : refuseOrigin(origin);
  }
  const site = request.headers.get("sec-fetch-site");
  if (site === null) return { browser: false, origin: undefined };
  const reads = (request.method === "GET" || request.method === "HEAD") && !request.upgrade;
  if (reads && (site === "none" || site === "same-origin")) return { browser: true, origin: undefined };
  return new DaemonError(
    "forbidden",
    "A browser sent this request on behalf of another site, so it was refused. Open the address directly.",
    { detail: { reason: "cross_site" } },
  );
}

/** The header of a real, and only of a JSON, body: the types a form can send are what a foreign page may use unasked. */
function isJson(contentType: string | null): boolean {
  return contentType !== null && /^application\/json(\s*;\s*charset="?utf-8"?)?\s*$/i.test(contentType);
}

function checkBody(request: GateRequest, caller: Caller, rules: GateRules): DaemonError | undefined {
  const { headers } = request;
  const length = Number(headers.get("content-length") ?? "0");
  const hasBody = length > 0 || headers.get("transfer-encoding") !== null;
  if (!hasBody) return undefined;
  if (length > rules.maxBodyBytes) {
    return new DaemonError(
      "payload_too_large",
      `The request body is larger than the limit of ${Math.floor(rules.maxBodyBytes / 1024 / 1024)} MiB. Send less, or raise limits.body_mib in the daemon's config.`,
    );
  }
  const encoding = headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (!ENCODINGS.includes(encoding)) {
    return new DaemonError("unsupported_media_type", "The body's content-encoding must be gzip, zstd or none.");
  }
  if (caller.browser && !isJson(headers.get("content-type"))) {
    return new DaemonError("unsupported_media_type", "A web page's request body must be sent as application/json.");
  }
  return undefined;
}

function corsHeaders(caller: Caller): Record<string, string> {
  if (caller.origin === undefined) return {};
  return { "access-control-allow-origin": caller.origin, "access-control-expose-headers": EXPOSED_HEADERS };
}

/** What the page asked to send, given back word for word: fixed lists keep breaking SDKs. Only header names pass. */
function preflightHeaders(request: GateRequest): Record<string, string> {
  const wanted = request.headers.get("access-control-request-headers");
  const reflect = wanted !== null && wanted.length <= MAX_REFLECTED_CHARS && /^[\w!#$%&'*+.^`|~, -]+$/.test(wanted);
  return {
    vary: "origin, access-control-request-headers",
    "access-control-allow-methods": METHODS.join(", "),
    "access-control-max-age": "600",
    ...(reflect ? { "access-control-allow-headers": wanted } : {}),
  };
}

/** Decides on one request. Never throws. */
export function decide(request: GateRequest, rules: GateRules): GateDecision {
  const refuse = (error: DaemonError, headers: Record<string, string> = {}): GateDecision => ({
    kind: "refuse",
    error,
    headers: { ...BASE_HEADERS, ...headers },
  });
  const host = request.headers.get("host");
  if (host === null || !rules.hosts.has(host.toLowerCase())) {
    const own = [...rules.hosts][0] ?? "";
    return refuse(new DaemonError("misdirected", `This daemon does not answer to that host name. Use http://${own}.`));
  }
  const forwarding = FORWARDING_HEADERS.find((name) => request.headers.has(name));
  if (forwarding !== undefined && !rules.proxies.has(request.peerAddress() ?? "")) {
    return refuse(
      new DaemonError(
        "invalid_request",
        `The request came through a proxy (${forwarding}) that the daemon does not know. Call it directly, or name the proxy's address under proxies in its config.`,
        { detail: { reason: "unknown_proxy" } },
      ),
    );
  }
  const caller = checkBrowser(request, rules);
  if (caller instanceof DaemonError) return refuse(caller);
  // The peer's identity and tokens belong here: after what a browser may do, before any answer that tells more.
  const cors = corsHeaders(caller);
  if (!METHODS.includes(request.method)) {
    const message = "This daemon does not know that method.";
    return refuse(new DaemonError("method_not_allowed", message, { detail: { allow: METHODS } }), cors);
  }
  if (request.method === "OPTIONS") {
    return { kind: "preflight", headers: { ...BASE_HEADERS, ...cors, ...preflightHeaders(request) } };
  }
  const problem = checkBody(request, caller, rules);
  if (problem) return refuse(problem, cors);
  return { kind: "pass", caller, headers: { ...BASE_HEADERS, ...cors } };
}
