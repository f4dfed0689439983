/** The machine's ways to the outside, as Unix sockets: a proxy for TLS that lets few hosts through, and the model API. */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface WayOut extends AsyncDisposable {
  /** Hosts that were asked for and refused. */
  readonly refused: string[];
}

const MAX_REQUEST_LINE_CHARS = 4096;

function join(one: Socket, other: Socket): void {
  one.on("error", () => other.destroy()).on("close", () => other.destroy());
  other.on("error", () => one.destroy()).on("close", () => one.destroy());
  one.pipe(other);
  other.pipe(one);
}

function listening(path: string, onConnection: (socket: Socket) => void): Promise<Server & AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    onConnection(socket);
  });
  const { promise, resolve } = Promise.withResolvers<Server & AsyncDisposable>();
  const close = async () => {
    for (const socket of open) socket.destroy();
    server.close();
  };
  server.listen(path, () => resolve(Object.assign(server, { [Symbol.asyncDispose]: close })));
  return promise;
}

/** `CONNECT host:443` to the allowed hosts; everything else is refused and noted. Listens until it is disposed of. */
export async function openProxy(path: string, allowed: readonly string[]): Promise<WayOut> {
  const refused: string[] = [];
  const server = await listening(path, (socket) => {
    let head = "";
    socket.on("error", () => socket.destroy());
    const read = (bytes: Buffer) => {
      head += bytes.toString("latin1");
      if (head.length > MAX_REQUEST_LINE_CHARS) return void socket.destroy();
      if (!head.includes("\r\n\r\n")) return;
      socket.off("data", read);
      const [, host = "", port = ""] = /^CONNECT ([^:\s]+):(\d+) /.exec(head) ?? [];
      if (!allowed.includes(host) || port !== "443") {
        refused.push(host === "" ? (head.split("\r\n")[0] ?? "") : `${host}:${port}`);
        return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      }
      socket.pause();
      const outside = connect(443, host, () => {
        socket.write("HTTP/1.1 200 Connected\r\n\r\n");
        join(socket, outside);
      });
      outside.on("error", () => socket.destroy());
    };
    socket.on("data", read);
  });
  return { refused, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Everything that comes in on the socket goes to this port of the host's loopback. */
export async function openRelay(path: string, port: number): Promise<AsyncDisposable> {
  return listening(path, (socket) => join(socket, connect(port, "127.0.0.1")));
}
