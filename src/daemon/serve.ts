/** What happens to every request before and after routing: the gate, the path, the headers of the answer. */
import type { Server } from "bun";
import type { App } from "../api/app.ts";
import type { SocketServer } from "../api/ws/server.ts";
import { DaemonError, toDaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { DEFAULT_HEADERS, decide, type GateRules } from "../security/gate.ts";
import type { Connected } from "./inside-session.ts";
import type { Fetch } from "./listen.ts";
import type { Refusals } from "./refusals.ts";
import { routePath, splitUrl } from "./route-path.ts";

export interface ServeDeps {
  app: App;
  sockets: SocketServer;
  calls: Calls;
  rules: GateRules;
  refusals: Refusals;
  log: Logger;
  /** Silence after which a connection is closed that has no request being answered. */
  idleSeconds: number;
  /** The constant answer of `/health`, the one thing that any Host may ask. */
  liveness(): Response;
}

/** Of the server's own request, which the routed one may be a copy of. */
interface CallFacts {
  caller(): Connected | undefined;
  /** Gives the connection its idle timeout back; only has an effect until the answer is out. */
  mayIdle(): void;
}

/** The calls that are being answered, and who made them. Kept beside requests, because a mended one is a copy. */
export class Calls {
  readonly #known = new WeakMap<Request, CallFacts>();
  #answering = 0;

  /** Calls whose answer has not begun. */
  get answering(): number {
    return this.#answering;
  }

  /** Looked up when asked for: few rules need it. */
  callerOf(request: Request): Connected | undefined {
    return this.#known.get(request)?.caller();
  }

  /** A streamed answer ends, or its client has gone: from here on its connection may be closed for silence. */
  streamEnded(request: Request): void {
    this.#known.get(request)?.mayIdle();
  }

  async answer(request: Request, facts: CallFacts, work: () => Promise<Response>): Promise<Response> {
    this.#known.set(request, facts);
    this.#answering += 1;
    try {
      return await work();
    } finally {
      this.#answering -= 1;
    }
  }
}

function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  for (const name in headers) response.headers.set(name, headers[name] ?? "");
  for (const name in DEFAULT_HEADERS) {
    if (!response.headers.has(name)) response.headers.set(name, DEFAULT_HEADERS[name] ?? "");
  }
  return response;
}

/** Whether the answer goes on after its handler has returned; such a one ends with `Calls.streamEnded`. */
function isStream({ headers }: Response): boolean {
  const type = headers.get("content-type") ?? "";
  return type.startsWith("text/event-stream") || type.startsWith("application/x-ndjson");
}

/** Both ends of a request's connection; undefined once it is gone. `request` must be the server's own. */
export function connected(
  request: Request,
  server: Pick<Server<unknown>, "port" | "requestIP">,
): Connected | undefined {
  const peer = server.requestIP(request);
  return peer && server.port !== undefined ? { peer, localPort: server.port } : undefined;
}

/** Path of a URL whose authority cannot be trusted; only for choosing the dialect of a refusal. */
function roughPath(url: string): string {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/i, "").replace(/[?#].*$/s, "");
  return routePath(path === "" ? "/" : path);
}

/** The request as it is routed: the same one, or a copy with the path mended. Undefined where its URL is not ours. */
function mended(request: Request, host: string): Request | undefined {
  const parts = splitUrl(request.url, host);
  if (!parts) return undefined;
  const path = routePath(parts.path);
  const query = parts.query.startsWith("?") ? parts.query : "";
  if (path === parts.path && query === parts.query) return request;
  return new Request(`http://${host}${path}${query}`, request);
}

/** The handler of one listener. Never rejects. */
export function createServe(deps: ServeDeps): Fetch {
  const { app, sockets, calls, rules, refusals, log } = deps;
  const render = (request: Request, error: DaemonError, headers: Readonly<Record<string, string>>) =>
    withHeaders(app.refuse(roughPath(request.url), request.headers, error), headers);
  const refuse = (request: Request, error: DaemonError, headers: Readonly<Record<string, string>>) => {
    refusals.add(request, error);
    return render(request, error, headers);
  };
  return async (request, server) => {
    const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
    const decision = decide(
      {
        method: request.method,
        headers: request.headers,
        upgrade,
        peerAddress: () => server.requestIP(request)?.address,
      },
      rules,
    );
    if (decision.kind === "refuse") {
      const asksHealth = request.method === "GET" || request.method === "HEAD";
      if (decision.error.code === "misdirected" && asksHealth && /^(http:\/\/[^/?#]*)?\/health$/i.test(request.url)) {
        return withHeaders(deps.liveness(), decision.headers);
      }
      return refuse(request, decision.error, decision.headers);
    }
    if (decision.kind === "preflight") return withHeaders(new Response(null, { status: 204 }), decision.headers);
    const mayIdle = () => server.timeout(request, deps.idleSeconds);
    try {
      const routed = mended(request, (request.headers.get("host") ?? "").toLowerCase());
      if (!routed) {
        const error = new DaemonError("invalid_request", "The request's address is not one of this daemon's.");
        return refuse(request, error, decision.headers);
      }
      if (upgrade && sockets.serves(URL.parse(routed.url)?.pathname ?? "")) {
        // The original: only that is tied to its connection.
        const refusal = await sockets.upgrade(request, server);
        return refusal && withHeaders(refusal, decision.headers);
      }
      // While it is answered silence is no fault: a turn may take long, and the time of the body is its reader's to bound.
      server.timeout(request, 0);
      const caller = () => connected(request, server);
      const response = await calls.answer(routed, { caller, mayIdle }, () => app.handle(routed));
      if (!isStream(response)) mayIdle();
      return withHeaders(response, decision.headers);
    } catch (thrown) {
      mayIdle();
      log.error("request failed", {
        error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
      });
      return render(request, toDaemonError(thrown), decision.headers);
    }
  };
}
