/** The code API on a real server: routes and WebSocket over sessions on the real claude. The gate stands in `daemon/`. */
import { join } from "node:path";
import { Elysia } from "elysia";
import { createSessionRoutes } from "../../src/api/sessions/routes.ts";
import { DEFAULT_FORMAT_LIMITS } from "../../src/api/shared/format.ts";
import { createSocketRoutes } from "../../src/api/ws/routes.ts";
import { createSocketServer, type SocketData, type SocketServer } from "../../src/api/ws/server.ts";
import type { JsonObject } from "../../src/turn/message.ts";
import { createWorkspaceChanges } from "../../src/workspace/workspace-changes.ts";
import { quietLogger } from "../claude/harness.ts";
import { type SessionsOptions, type SessionsUnderTest, startSessions } from "../sessions/session-harness.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

export interface CodeApi extends AsyncDisposable {
  sessions: SessionsUnderTest;
  sockets: SocketServer;
  url: string;
  /** False makes every caller one from inside a session. */
  mayAnswer: boolean;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body?: unknown): Promise<Response>;
  connect(): Promise<SocketClient>;
}

const MAX_WAIT_MS = 30_000;

export interface SocketClient {
  frames: JsonObject[];
  socket: WebSocket;
  send(frame: unknown): void;
  /** The first frame, past or to come and not before `from`, for which this holds. */
  frame(holds: (frame: JsonObject) => boolean, from?: number): Promise<JsonObject>;
  closed: Promise<{ code: number; reason: string }>;
  close(): Promise<void>;
}

export async function connectSocket(url: string): Promise<SocketClient> {
  const socket = new WebSocket(url);
  const frames: JsonObject[] = [];
  const checks = new Set<() => void>();
  const closing = Promise.withResolvers<{ code: number; reason: string }>();
  socket.onmessage = (event) => {
    frames.push(JSON.parse(String(event.data)));
    for (const check of [...checks]) check();
  };
  socket.onclose = (event) => closing.resolve({ code: event.code, reason: event.reason });
  const opened = Promise.withResolvers<void>();
  socket.onopen = () => opened.resolve();
  socket.onerror = () => opened.reject(new Error("the WebSocket was refused"));
  await opened.promise;
  return {
    frames,
    socket,
    closed: closing.promise,
    send: (frame) => socket.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
    frame: async (holds, from = 0) => {
      const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
      const check = () => {
        const found = frames.slice(from).find(holds);
        if (found) resolve(found);
      };
      const timer = setTimeout(
        () => reject(new Error(`no such frame; last: ${JSON.stringify(frames.slice(-3))}`)),
        MAX_WAIT_MS,
      );
      checks.add(check);
      check();
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
        checks.delete(check);
      }
    },
    close: async () => {
      socket.close();
      await closing.promise;
    },
  };
}

export async function startCodeApi(options: SessionsOptions = {}): Promise<CodeApi> {
  const scratch = await createTmpDir("code-api-");
  const changes = createWorkspaceChanges({
    stateDirectory: scratch.join("changes"),
    home: scratch.join("home"),
    searchPath: process.env.PATH ?? "",
    log: quietLogger,
  });
  const sessions = await startSessions({ ...options, deps: { changes, ...options.deps } });
  const registry = async () => sessions.registry;
  const shared = { registry, mayAnswer: () => self.mayAnswer, deniedPaths: [], log: quietLogger };
  const app = new Elysia({ normalize: false })
    .use(createSessionRoutes({ ...shared, ...DEFAULT_FORMAT_LIMITS, streamEnded: () => {} }))
    .use(createSocketRoutes());
  const sockets = createSocketServer(shared);
  const server = Bun.serve<SocketData>({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    development: false,
    websocket: sockets.handlers,
    fetch: async (request, own) => {
      const upgrade = request.headers.get("upgrade") === "websocket";
      if (upgrade && sockets.serves(new URL(request.url).pathname)) return sockets.upgrade(request, own);
      return app.handle(request);
    },
  });
  const url = `http://127.0.0.1:${server.port}`;
  const clients: SocketClient[] = [];
  const self: CodeApi = {
    sessions,
    sockets,
    url,
    mayAnswer: true,
    get: (path, headers = {}) => fetch(url + path, { headers }),
    post: (path, body) =>
      fetch(url + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    connect: async () => {
      const client = await connectSocket(`${url.replace("http", "ws")}/`);
      clients.push(client);
      return client;
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.socket.close();
      await sessions[Symbol.asyncDispose]();
      await changes.close();
      await server.stop(true);
      await scratch[Symbol.asyncDispose]();
    },
  };
  return self;
}

export const workspaceOf = (api: CodeApi, ...parts: string[]): string => join(api.sessions.home.cwd, ...parts);
