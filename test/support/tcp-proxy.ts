/** A TCP proxy on loopback that loses connections the ways a network does: closed, reset, or forgotten without a word. */
import { connect, createServer, type Socket } from "node:net";

export interface TcpProxy extends AsyncDisposable {
  readonly url: string;
  /** Where new connections lead. */
  target: number;
  /** Connections so far. */
  readonly connections: number;
  /** Ends every open connection from the far side. */
  close(how: "FIN" | "RST"): void;
  /** What is open stays open and leads nowhere from now on, as after a firewall has forgotten it. New ones work. */
  forget(): void;
}

export async function startTcpProxy(): Promise<TcpProxy> {
  const pairs = new Set<{ near: Socket; far: Socket; forgotten: boolean }>();
  let connections = 0;
  const server = createServer((near) => {
    connections++;
    const pair = { near, far: connect(proxy.target, "127.0.0.1"), forgotten: false };
    pairs.add(pair);
    const pass = (from: Socket, to: Socket) => {
      from.on("data", (bytes) => void (pair.forgotten || to.write(bytes)));
      from.on("error", () => undefined);
      from.on("close", () => {
        if (!pair.forgotten) to.destroy();
      });
    };
    pass(near, pair.far);
    pass(pair.far, near);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  const proxy: TcpProxy = {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    target: 0,
    get connections() {
      return connections;
    },
    close: (how) => {
      for (const { near } of pairs) {
        if (how === "FIN") near.end();
        else near.resetAndDestroy();
      }
    },
    forget: () => {
      for (const pair of pairs) pair.forgotten = true;
    },
    [Symbol.asyncDispose]: async () => {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      server.close();
    },
  };
  return proxy;
}
