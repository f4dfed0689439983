/**
 * The WebSocket on Bun's own server. A socket exists only for a request that the gate has passed: `upgrade` is called
 * behind it, and nothing else here accepts a connection.
 */
import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import { DaemonError } from "../../errors.ts";
import { renderError } from "../shared/errors.ts";
import { Connection, type ConnectionDeps } from "./connection.ts";

export interface SocketServerDeps extends ConnectionDeps {
  /** False for a program inside a session. Asked once, at the handshake. */
  mayAnswer(request: Request, server: Server<SocketData>): boolean | Promise<boolean>;
}

export interface SocketData {
  mayAnswer: boolean;
  connection: Connection | undefined;
}

export interface SocketServer {
  handlers: WebSocketHandler<SocketData>;
  /**
   * Answers a handshake that the gate has passed: undefined once it is a socket, else the refusal. `headers` go on the
   * answer.
   */
  upgrade(request: Request, server: Server<SocketData>): Promise<Response | undefined>;
  /** Where handshakes are taken. */
  serves(path: string): boolean;
  readonly connections: number;
  /** Tells everybody that the daemon goes, and closes. */
  close(): void;
}

/** Answered with an error frame; the socket stays. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024;
/** Bun closes with 1009 beyond this. */
const MAX_PAYLOAD_BYTES = 2 * MAX_FRAME_BYTES;
/** The last resort behind `Connection`'s own bound: Bun drops silently at this, so it closes instead. */
const BACKPRESSURE_BYTES = 32 * 1024 * 1024;
/** Bun pings; a peer that does not answer for this long is gone. */
const IDLE_SECONDS = 120;
const MAX_CONNECTIONS = 200;
const PATHS = ["/", "/v1/code/ws"];
/** What we speak, for clients that ask for a subprotocol. */
const SUBPROTOCOL = "claude-code-daemon.v1";

const CLOSE_GOING_AWAY = 1001;

function refuse(error: DaemonError, status?: number): Response {
  const rendered = renderError(error);
  return Response.json(rendered.body, {
    status: status ?? rendered.status,
    ...(status === 426 ? { headers: { upgrade: "websocket", "sec-websocket-version": "13" } } : {}),
  });
}

export function createSocketServer(deps: SocketServerDeps): SocketServer {
  const sockets = new Set<ServerWebSocket<SocketData>>();
  return {
    handlers: {
      maxPayloadLength: MAX_PAYLOAD_BYTES,
      backpressureLimit: BACKPRESSURE_BYTES,
      closeOnBackpressureLimit: true,
      idleTimeout: IDLE_SECONDS,
      sendPings: true,
      // A small compressed frame could inflate past every bound, and loopback has no need of it.
      perMessageDeflate: false,
      open(socket) {
        sockets.add(socket);
        socket.data.connection = new Connection(
          deps,
          {
            send: (text) => socket.send(text),
            bufferedBytes: () => socket.getBufferedAmount(),
            close: (code, reason) => socket.close(code, reason),
            terminate: () => socket.terminate(),
          },
          socket.data.mayAnswer,
        );
      },
      message(socket, message) {
        const { connection } = socket.data;
        if (typeof message !== "string") connection?.receiveBinary();
        else if (message.length > MAX_FRAME_BYTES) connection?.tooLarge(MAX_FRAME_BYTES);
        else connection?.receive(message);
      },
      drain(socket) {
        socket.data.connection?.drained();
      },
      close(socket) {
        sockets.delete(socket);
        socket.data.connection?.closed();
      },
    },
    serves: (path) => PATHS.includes(path),
    get connections() {
      return sockets.size;
    },
    upgrade: async (request, server) => {
      if (request.method !== "GET") {
        return refuse(
          new DaemonError("method_not_allowed", "A WebSocket begins with GET.", { detail: { allow: ["GET"] } }),
        );
      }
      if (sockets.size >= MAX_CONNECTIONS) {
        return refuse(new DaemonError("overloaded", `${MAX_CONNECTIONS} WebSockets are open already. Close some.`));
      }
      if (request.headers.get("sec-websocket-version") !== "13") {
        return refuse(new DaemonError("invalid_request", "Only WebSocket version 13 is spoken here."), 426);
      }
      const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
      const data: SocketData = { mayAnswer: await deps.mayAnswer(request, server), connection: undefined };
      const upgraded = server.upgrade(request, {
        data,
        ...(offered.includes(SUBPROTOCOL) ? { headers: { "sec-websocket-protocol": SUBPROTOCOL } } : {}),
      });
      return upgraded ? undefined : refuse(new DaemonError("invalid_request", "This is no WebSocket handshake."));
    },
    close: () => {
      for (const socket of sockets) socket.close(CLOSE_GOING_AWAY, "The daemon is stopping.");
    },
  };
}
