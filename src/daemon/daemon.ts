/** The life of one daemon: lock, listen, serve, drain, end. */
import { mkdirSync } from "node:fs";
import { createApp } from "../api/app.ts";
import { DEFAULT_FORMAT_LIMITS } from "../api/shared/format.ts";
import { createId } from "../api/shared/ids.ts";
import type { HealthFacts } from "../api/system/health.ts";
import type { RouteFacts } from "../api/system/openapi.ts";
import { livenessResponse } from "../api/system/routes.ts";
import { createSocketServer } from "../api/ws/server.ts";
import { MARKER } from "../claude/env.ts";
import type { HostFacts } from "../config/environment.ts";
import { ensurePrivateDirectory } from "../config/files.ts";
import { openListFile } from "../config/list-file.ts";
import type { Paths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../log.ts";
import { createGateRules } from "../security/rules.ts";
import { createWorkspaceChanges } from "../workspace/workspace-changes.ts";
import { createEngineHost, type Engine, type EngineStart } from "./engine.ts";
import { createExecution, executeRules, executionFacts } from "./execution.ts";
import { ownCpuMs, releaseCode, releaseWhenIdle } from "./idle-memory.ts";
import { isInsideSession } from "./inside-session.ts";
import { type Listener, listen } from "./listen.ts";
import { readInfo, removeInfo, takeLock, writeInfo } from "./lock.ts";
import { createRefusals } from "./refusals.ts";
import { createRuns } from "./runs.ts";
import { Calls, connected, createServe } from "./serve.ts";

export interface DaemonOptions {
  config: Config;
  paths: Paths;
  facts: HostFacts;
  log: Logger;
  /** Starts the engine. Called when the daemon listens, which does not wait for it. */
  startEngine(start: EngineStart): Promise<Engine>;
  /** How long `GET /v1/health` waits for claude to say whether it is logged in; default 5 s. */
  lookMs?: number;
}

export interface Daemon {
  /** On the literal loopback address. */
  url: string;
  addresses: readonly string[];
  /** Settles once claude is found and checked; rejects with the remedy where it cannot be used. */
  ready: Promise<void>;
  health(): HealthFacts;
  routes(): RouteFacts[];
  /** Drains within the configured time, then interrupts; ends every child. Idempotent, bounded, never rejects. */
  stop(): Promise<void>;
}

/** Claude's first answer takes half a second on a quiet machine. */
const LOOK_MS = 5_000;
const DRAIN_POLL_MS = 20;
/** After the drain: time for interrupted turns to send their last words. */
const LAST_WORDS_MS = 2_000;
/** For the processes to go; what is left after that is the reaper's. */
const CLOSE_ENGINE_MS = 8_000;

/** True where the work was done in time. */
async function within(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, timeoutMs, false);
  const done = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([done, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a daemon. Throws where the state directory, the lock or the port cannot be had, with nothing left behind. */
export function startDaemon(options: DaemonOptions): Daemon {
  const { config, paths, facts, log, lookMs = LOOK_MS } = options;
  const startedAt = performance.now();
  ensurePrivateDirectory(paths.stateDirectory, facts.uid);
  const lock = takeLock(paths.lockFile, () => readInfo(paths.infoFile));
  mkdirSync(paths.chatDirectory, { recursive: true, mode: 0o700 });

  let stopping = false;
  const origins = openListFile(paths.originsFile);
  const workspaces = openListFile(paths.workspacesFile);
  const starting = Promise.withResolvers<Engine>();
  const host = createEngineHost(starting.promise, log);
  const instanceId = crypto.randomUUID();
  const createChanges = (stateDirectory: string) =>
    createWorkspaceChanges({
      stateDirectory,
      searchPath: facts.env.PATH ?? "",
      home: paths.home,
      ...(facts.env.XDG_CONFIG_HOME === undefined ? {} : { xdgConfigHome: facts.env.XDG_CONFIG_HOME }),
      log,
    });
  const changes = createChanges(paths.stateDirectory);
  const executor = createExecution({
    config,
    paths,
    facts,
    instanceId,
    changes,
    createChanges,
    log,
  });
  const runs = executor && createRuns(executor);
  const refusals = createRefusals({ log, now: () => performance.now() });
  const health = (): HealthFacts => ({
    uptimeSeconds: (performance.now() - startedAt) / 1000,
    stopping,
    claude: host.claude(),
    pool: host.pool(),
    openSessions: host.openSessions(),
    activity: host.activity(),
    ownRssBytes: process.memoryUsage.rss(),
    execution: executionFacts(executor),
    refused: refusals.facts(),
    problems: [origins.problem(), workspaces.problem(), host.problem()].filter((problem) => problem !== undefined),
  });
  const bodyLimits = {
    maxBodyBytes: config.limits.bodyMib * 1024 * 1024,
    bodyTimeoutMs: config.limits.bodySeconds * 1000,
  };
  const idleSeconds = config.limits.idleConnectionSeconds;
  const calls = new Calls();
  const streamEnded = (request: Request) => calls.streamEnded(request);
  const marker = { name: MARKER, value: instanceId };
  const sessionParts = {
    registry: host.sessions,
    deniedPaths: [paths.stateDirectory, paths.configDirectory],
    log,
  };
  const sockets = createSocketServer({
    ...sessionParts,
    mayAnswer: async (request, server) => !(await isInsideSession(connected(request, server), marker)),
  });
  const app = createApp({
    formats: {
      runner: host.runner,
      models: host.models,
      log,
      now: Date.now,
      newId: createId,
      streamEnded,
      limits: { ...DEFAULT_FORMAT_LIMITS, ...bodyLimits },
    },
    archive: host.archive,
    sessions: {
      ...sessionParts,
      mayAnswer: async (request) => !(await isInsideSession(calls.callerOf(request), marker)),
      keepAliveMs: DEFAULT_FORMAT_LIMITS.keepAliveMs,
      ...bodyLimits,
      streamEnded,
    },
    code: {
      executor: runs?.executor,
      rules: executeRules(config),
      resolveDirectory: async ({ workspace, sessionId }) => {
        if (sessionId !== undefined) return host.sessionDirectory(sessionId);
        return workspace === undefined ? undefined : host.resolveWorkspace(workspace);
      },
      log,
      ...bodyLimits,
      streamEnded,
    },
    system: {
      health,
      look: () => within(host.look(), lookMs),
      metrics: host.metrics,
    },
    log,
  });
  const ports: number[] = [];
  const open = (port: number, portKey: string): Listener =>
    listen({
      host: config.host,
      port,
      portKey,
      websocket: sockets.handlers,
      idleSeconds,
      createFetch: (taken) =>
        createServe({
          app,
          sockets,
          calls,
          refusals,
          log,
          rules: createGateRules({
            port: taken,
            siblingPorts: ports,
            hosts: config.hosts,
            origins: config.origins,
            allowedOrigins: origins.entries,
            proxies: config.proxies,
            maxBodyBytes: bodyLimits.maxBodyBytes,
          }),
          idleSeconds,
          liveness: () => livenessResponse(health()),
        }),
    });
  const listeners: Listener[] = [];
  try {
    for (const [port, key] of [
      [config.port, "port"],
      [config.websocketPort, "websocket_port"],
    ] as const) {
      if (key === "websocket_port" && port === 0) continue;
      const listener = open(port, key);
      listeners.push(listener);
      ports.push(listener.port);
    }
    const url = `http://${listeners[0]?.addresses[0] ?? ""}`;
    writeInfo(paths.infoFile, { pid: process.pid, url, startedAt: new Date().toISOString() });
    options.startEngine({ ports, instanceId, changes }).then(starting.resolve, starting.reject);
    host.ready.then(
      () => log.info("claude is ready", { path: host.claude().path, version: host.claude().version }),
      () => undefined, // told by whoever started the daemon
    );
    const stopReleasing =
      process.platform === "linux" ? releaseWhenIdle({ cpuMs: ownCpuMs, release: releaseCode, log }) : undefined;
    let ended: Promise<void> | undefined;
    const end = async () => {
      stopping = true;
      stopReleasing?.();
      const pending = listeners.reduce((sum, listener) => sum + listener.pending(), 0);
      log.info("stopping", { pending });
      const closed = Promise.all(listeners.map((listener) => listener.stop()));
      // Not until the last connection is closed: a page that watches events would hold it for good.
      const idle = async (limitMs: number): Promise<boolean> => {
        const until = performance.now() + limitMs;
        while (calls.answering + host.running() + (runs?.running() ?? 0) > 0) {
          if (performance.now() >= until) return false;
          await Bun.sleep(DRAIN_POLL_MS);
        }
        return true;
      };
      runs?.drain();
      const drainMs = config.shutdownTimeoutSeconds * 1000;
      const [sessionsDone, callsDone] = await Promise.all([within(host.drainSessions(), drainMs), idle(drainMs)]);
      if (!sessionsDone || !callsDone) {
        log.warn("interrupting what still runs");
        host.interruptTurns();
        runs?.interrupt();
        await idle(LAST_WORDS_MS);
      }
      sockets.close();
      const engine = within(host.close(), CLOSE_ENGINE_MS);
      await within(closed, LAST_WORDS_MS);
      await within(Promise.all(listeners.map((listener) => listener.stop({ now: true }))), LAST_WORDS_MS);
      if (!(await engine)) log.warn("some claude processes are left to the reaper");
      removeInfo(paths.infoFile);
      lock.release();
      log.info("stopped");
    };
    return {
      url,
      addresses: listeners.flatMap((listener) => listener.addresses),
      ready: host.ready,
      health,
      routes: app.routes,
      stop: () => {
        ended ??= end();
        return ended;
      },
    };
  } catch (error) {
    for (const listener of listeners) void listener.stop({ now: true });
    lock.release();
    throw error;
  }
}
