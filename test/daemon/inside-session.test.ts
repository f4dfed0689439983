import { expect } from "bun:test";
import { isInsideSession } from "../../src/daemon/inside-session.ts";
import { connected } from "../../src/daemon/serve.ts";
import { requires } from "../support/requires.ts";

const marker = { name: "CLAUDE_CODE_DAEMON_SESSION", value: crypto.randomUUID() };

/** Has this command call us, and gives what was found out about it. */
async function verdictOn(hostname: string, command: (url: string) => string[], env: Record<string, string>) {
  const found = Promise.withResolvers<boolean>();
  const server = Bun.serve({
    hostname,
    port: 0,
    fetch: async (request, own) => {
      found.resolve(await isInsideSession(connected(request, own), marker));
      return new Response("ok");
    },
  });
  const url = `http://${hostname === "::1" ? "[::1]" : hostname}:${server.port}/`;
  const child = Bun.spawn(command(url), { env, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  try {
    return await found.promise;
  } finally {
    await child.exited;
    await server.stop(true);
  }
}

const linux = requires("linux", "curl");
const path = process.env.PATH ?? "";
const marked = { PATH: path, [marker.name]: marker.value };
/** Away from our tree: its parent ends at once. */
const detached = (url: string) => ["sh", "-c", `setsid sh -c 'sleep 0.05; curl -s ${url}' & exit 0`];

linux("a program with the mark of our processes is inside, wherever it hangs in the tree", async () => {
  expect(await verdictOn("127.0.0.1", detached, marked)).toBe(true);
  expect(await verdictOn("::1", detached, marked)).toBe(true);
});

linux("a child that threw its environment away is inside as well", async () => {
  expect(await verdictOn("127.0.0.1", (url) => ["env", "-i", "curl", "-s", url], { PATH: path })).toBe(true);
});

linux("another program of this user is not", async () => {
  expect(await verdictOn("127.0.0.1", detached, { PATH: path })).toBe(false);
  expect(await verdictOn("::1", detached, { PATH: path })).toBe(false);
  expect(await verdictOn("127.0.0.1", detached, { PATH: path, [marker.name]: "another-daemon-of-this-user" })).toBe(
    false,
  );
});

linux("who cannot be told counts as inside", async () => {
  expect(await isInsideSession(undefined, marker)).toBe(true);
  expect(await isInsideSession({ peer: { address: "127.0.0.1", port: 1 }, localPort: 2 }, marker)).toBe(true);
});
