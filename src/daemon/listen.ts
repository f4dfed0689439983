/**
 * The sockets. Loopback only, both families or none: whoever owned `localhost` on the other family would get our
 * callers. Never a wildcard, never a shared port.
 */
import { networkInterfaces } from "node:os";
import type { Server, WebSocketHandler } from "bun";
import type { SocketData } from "../api/ws/server.ts";
import { DaemonError } from "../errors.ts";

/** Undefined where the request has become a WebSocket. */
export type Fetch = (request: Request, server: Server<SocketData>) => Promise<Response | undefined>;

export interface ListenOptions {
  /** `127.0.0.1` or `localhost`: both loopback addresses; `::1`: that one. */
  host: string;
  /** 0: a free one, the same on both addresses. */
  port: number;
  /** Key of the port in the config, for messages. */
  portKey: string;
  /** Called with the port that was taken, before the first request can arrive. */
  createFetch(port: number): Fetch;
  websocket: WebSocketHandler<SocketData>;
  /** Silence after which a connection is closed that has no request being answered. */
  idleSeconds: number;
}

export interface Listener {
  port: number;
  /** `127.0.0.1:8080`, `[::1]:8080`. */
  addresses: string[];
  /** Requests that have not been answered completely, streams included. */
  pending(): number;
  /** Stops accepting; resolves when every answer is out. `now` cuts what is open instead. */
  stop(options?: { now?: boolean }): Promise<void>;
}

/** The gate and the body reader have the exact bound, with an answer in JSON; Bun's own would be an empty 413. */
const MAX_REQUEST_BYTES = Number.MAX_SAFE_INTEGER;
/** Tries to find a port that is free on both addresses. */
const MAX_PORT_TRIES = 20;

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

function serve(
  hostname: string,
  port: number,
  { createFetch, websocket, idleSeconds }: ListenOptions,
): Server<SocketData> {
  let handler: Fetch | undefined;
  const server = Bun.serve<SocketData>({
    hostname,
    port,
    reusePort: false,
    // Lifted while a request is answered (serve.ts): a turn may be silent for minutes. Headers have 12 s, which is Bun's.
    idleTimeout: idleSeconds,
    // Bun's error page shows source and working directory.
    development: false,
    maxRequestBodySize: MAX_REQUEST_BYTES,
    websocket,
    fetch: (request, own) => (handler ? handler(request, own) : new Response(null, { status: 503 })),
    error: () => new Response(null, { status: 500 }),
  });
  handler = createFetch(server.port ?? port);
  return server;
}

function hasIpv6Loopback(): boolean {
  return Object.values(networkInterfaces()).some((entries) => entries?.some((entry) => entry.address === "::1"));
}

function portTaken(options: ListenOptions, address: string, cause: unknown): DaemonError {
  const { port, portKey } = options;
  const flag = portKey === "port" ? "--port" : "--websocket-port";
  return new DaemonError(
    "unsupported",
    `Port ${port} is taken on ${address}. If that is another claude-code-daemon, use it or stop it; else choose another port: ${flag} ${port + 1}`,
    { detail: { param: portKey, exit: 75 }, cause },
  );
}

function listenError(options: ListenOptions, hostname: string, error: unknown): DaemonError {
  const address = hostname === "::1" ? "[::1]" : hostname;
  if (codeOf(error) === "EADDRINUSE") return portTaken(options, address, error);
  const why = codeOf(error) === "EACCES" ? "needs rights that this user does not have" : "cannot be listened on";
  return new DaemonError("unsupported", `Port ${options.port} on ${address} ${why}. Choose another: --port 8080`, {
    detail: { param: options.portKey, exit: 78 },
    cause: error,
  });
}

/** Both addresses on one port, or an error with nothing left open. */
function serveBoth(options: ListenOptions): Server<SocketData>[] {
  for (let attempt = 1; ; attempt++) {
    let first: Server<SocketData>;
    try {
      first = serve("127.0.0.1", options.port, options);
    } catch (error) {
      throw listenError(options, "127.0.0.1", error);
    }
    try {
      return [first, serve("::1", first.port ?? options.port, options)];
    } catch (error) {
      if (codeOf(error) !== "EADDRINUSE" && !hasIpv6Loopback()) return [first];
      void first.stop(true);
      const mayRetry = options.port === 0 && codeOf(error) === "EADDRINUSE" && attempt < MAX_PORT_TRIES;
      if (!mayRetry) throw listenError(options, "::1", error);
    }
  }
}

/** Listens. Throws `unsupported` (exit 75 where the port is taken) with nothing left open. */
export function listen(options: ListenOptions): Listener {
  let servers: Server<SocketData>[];
  if (options.host === "::1") {
    try {
      servers = [serve("::1", options.port, options)];
    } catch (error) {
      throw listenError(options, "::1", error);
    }
  } else {
    servers = serveBoth(options);
  }
  const port = servers[0]?.port ?? options.port;
  return {
    port,
    addresses: servers.map((server) => (server.hostname === "::1" ? `[::1]:${port}` : `${server.hostname}:${port}`)),
    pending: () => servers.reduce((sum, server) => sum + server.pendingRequests, 0),
    stop: async ({ now = false } = {}) => {
      await Promise.all(servers.map((server) => server.stop(now)));
    },
  };
}
