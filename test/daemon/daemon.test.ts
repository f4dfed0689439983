import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { readHostFacts } from "../../src/config/environment.ts";
import { openListFile } from "../../src/config/list-file.ts";
import { resolveConfig } from "../../src/config/load.ts";
import { startDaemon } from "../../src/daemon/daemon.ts";
import { readInfo } from "../../src/daemon/lock.ts";
import { DaemonError } from "../../src/errors.ts";
import { createLogger } from "../../src/log.ts";
import type { TurnRunner } from "../../src/turn/runner.ts";
import { requires } from "../support/requires.ts";
import { HELLO, scriptedEngine, startTestDaemon, type TestDaemon } from "./harness.ts";

const silent = createLogger({ level: "error", timestamps: false, write: () => undefined });

function secondDaemon(first: TestDaemon, port: number, home = first.paths.home): DaemonError {
  const facts = { ...readHostFacts(), env: { HOME: home }, cwd: home };
  const { config } = resolveConfig({ flags: { port: String(port) }, facts, home });
  const paths = {
    ...first.paths,
    ...(home === first.paths.home
      ? {}
      : {
          stateDirectory: `${home}/state`,
          lockFile: `${home}/state/lock`,
          infoFile: `${home}/state/info`,
          chatDirectory: `${home}/state/chat`,
        }),
  };
  try {
    startDaemon({ config, paths, facts, log: silent, startEngine: async () => scriptedEngine(HELLO) });
  } catch (error) {
    if (error instanceof DaemonError) return error;
    throw error;
  }
  throw new Error("a second daemon started");
}

describe("listening", () => {
  requires("linux")("on both loopback addresses and on no wildcard", async () => {
    await using server = await startTestDaemon({ flags: { "websocket-port": "0" } });
    const hex = server.port.toString(16).toUpperCase().padStart(4, "0");
    const listening = ["/proc/net/tcp", "/proc/net/tcp6"]
      .flatMap((path) => (existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(1) : []))
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === "0A" && fields[1]?.endsWith(`:${hex}`))
      .map((fields) => fields[1]);
    expect(listening.sort()).toEqual([`00000000000000000000000001000000:${hex}`, `0100007F:${hex}`].sort());
    expect((await fetch(`http://[::1]:${server.port}/v1/health`)).status).toBe(200);
  });

  test("a taken port is refused with what to do, on either address, and leaves nothing open", async () => {
    await using first = await startTestDaemon();
    for (const hostname of ["127.0.0.1", "::1"]) {
      const other = Bun.serve({ hostname, port: 0, fetch: () => new Response("") });
      try {
        const error = secondDaemon(first, other.port ?? 0, `${first.paths.home}/other`);
        expect(error.message).toContain(`Port ${other.port} is taken on ${hostname === "::1" ? "[::1]" : hostname}`);
        expect(error.message).toContain(`--port ${(other.port ?? 0) + 1}`);
        expect(error.detail.exit).toBe(75);
        if (hostname === "::1") await expect(fetch(`http://127.0.0.1:${other.port}/`)).rejects.toThrow();
      } finally {
        await other.stop(true);
      }
    }
  });

  test("a second port serves the same", async () => {
    const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("") });
    const free = probe.port ?? 0;
    await probe.stop(true);
    await using server = await startTestDaemon({ flags: { "websocket-port": String(free) } });
    expect(server.daemon.addresses).toContain(`127.0.0.1:${free}`);
    const response = await fetch(`http://127.0.0.1:${free}/v1/health`, {
      headers: { origin: `http://localhost:${server.port}` },
    });
    expect(response.status).toBe(200);
  });
});

describe("one daemon per state directory", () => {
  test("a second one is refused, told where the first is, and the state is untouched", async () => {
    await using first = await startTestDaemon();
    const error = secondDaemon(first, 0);
    expect(error.message).toContain(`process ${process.pid}, at http://127.0.0.1:${first.port}`);
    expect(error.detail.exit).toBe(75);
    expect(readInfo(first.paths.infoFile)?.url).toBe(`http://127.0.0.1:${first.port}`);
    expect((await fetch(`${first.daemon.url}/v1/health`)).status).toBe(200);
  });
  test("when the first has ended its place is free, and its files are private", async () => {
    await using first = await startTestDaemon();
    expect(statSync(first.paths.lockFile).mode & 0o777).toBe(0o600);
    expect(statSync(first.paths.infoFile).mode & 0o777).toBe(0o600);
    expect(statSync(first.paths.stateDirectory).mode & 0o777).toBe(0o700);
    await first.daemon.stop();
    expect(existsSync(first.paths.infoFile)).toBe(false);
    expect(() => secondDaemon(first, 0)).toThrow("a second daemon started");
  });
});

describe("an origin allowed while the daemon runs", () => {
  test("may call with the next request, and no more once it is revoked", async () => {
    await using server = await startTestDaemon();
    const call = async () =>
      (await fetch(`${server.daemon.url}/v1/health`, { headers: { origin: "https://app.example" } })).status;
    const list = openListFile(server.paths.originsFile);
    expect(await call()).toBe(403);
    list.add("https://app.example");
    expect(await call()).toBe(200);
    list.remove("https://app.example");
    expect(await call()).toBe(403);
  });
});

describe("before claude is found", () => {
  test("the daemon answers for itself, and turns wait", async () => {
    const found = Promise.withResolvers<void>();
    await using server = await startTestDaemon({
      engine: async (runner) => {
        await found.promise;
        return scriptedEngine(runner);
      },
    });
    const health = (await (await fetch(`${server.daemon.url}/v1/health`)).json()) as Record<string, unknown>;
    expect(health).toMatchObject({ status: "ok", claude: { path: null, version: null, logged_in: null } });
    const turn = fetch(`${server.daemon.url}/v1/chat/completions`, {
      method: "POST",
      body: '{"model":"sonnet","messages":[{"role":"user","content":"hi"}]}',
    });
    found.resolve();
    expect(await (await turn).text()).toContain("hello");
  });
  test("where it cannot be used, health says 503 and why, and turns fail with the remedy", async () => {
    await using server = await startTestDaemon({
      engine: async () => {
        throw new DaemonError("claude_missing", "Claude Code was not found. Install it.");
      },
    });
    await expect(server.daemon.ready).rejects.toThrow("not found");
    const response = await fetch(`${server.daemon.url}/v1/health`);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      status: "unavailable",
      claude: { problem: "Claude Code was not found. Install it." },
    });
    const turn = await fetch(`${server.daemon.url}/v1/chat/completions`, {
      method: "POST",
      body: '{"model":"sonnet","messages":[{"role":"user","content":"hi"}]}',
    });
    expect(turn.status).toBe(503);
    expect(await turn.text()).toContain("Install it");
  });
});

describe("stopping", () => {
  const ask = (server: TestDaemon) =>
    fetch(`${server.daemon.url}/v1/chat/completions`, {
      method: "POST",
      body: '{"model":"sonnet","stream":true,"messages":[{"role":"user","content":"hi"}]}',
    });

  test("a running turn is finished, whole, before the daemon ends", async () => {
    const [began, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow: TurnRunner = async function* (request) {
      for await (const event of HELLO(request)) {
        yield event;
        if (event.type !== "model-start") continue;
        began.resolve();
        await finish.promise;
      }
    };
    let closed = false;
    await using server = await startTestDaemon({
      engine: async (runner) =>
        scriptedEngine(runner, {
          close: async () => {
            closed = true;
          },
        }),
      runner: slow,
    });
    const response = await ask(server);
    await began.promise;
    const stopped = server.daemon.stop();
    expect(closed).toBe(false);
    finish.resolve();
    expect(await response.text()).toContain("[DONE]");
    await stopped;
    expect(closed).toBe(true);
    await expect(fetch(`${server.daemon.url}/v1/health`)).rejects.toThrow();
  });

  test("a turn that does not end is interrupted at the deadline, and its answer is closed properly", async () => {
    const began = Promise.withResolvers<void>();
    const endless: TurnRunner = async function* (request) {
      for await (const event of HELLO(request)) {
        if (event.type === "turn-end") {
          began.resolve();
          await new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
          yield { ...event, reason: { unified: "interrupted", raw: undefined } };
        } else yield event;
      }
    };
    await using server = await startTestDaemon({
      env: { CLAUDE_CODE_DAEMON_SHUTDOWN_TIMEOUT_SECONDS: "0" },
      runner: endless,
    });
    const response = await ask(server);
    await began.promise;
    await server.daemon.stop();
    expect(await response.text()).toContain("hello");
  });

  test("an engine that does not close does not keep the daemon", async () => {
    const server = await startTestDaemon({
      engine: async (runner) => scriptedEngine(runner, { close: () => Promise.reject(new Error("stuck")) }),
    });
    await server.daemon.ready;
    await server[Symbol.asyncDispose]();
    expect(existsSync(server.paths.lockFile)).toBe(false);
  });
});
