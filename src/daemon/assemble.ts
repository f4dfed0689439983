/** The composition root: from configuration to a running engine. Nothing here decides anything but who is given what. */
import { realpathSync, rmSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { MARKER } from "../claude/env.ts";
import type { ClaudeInstallation } from "../claude/locate.ts";
import { launchClaude } from "../claude/process.ts";
import { type Reaper, startReaper, sweep } from "../claude/reaper.ts";
import type { HostFacts } from "../config/environment.ts";
import { ensurePrivateDirectory } from "../config/files.ts";
import type { Paths } from "../config/paths.ts";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../log.ts";
import type { ProcessSource } from "../sessions/contracts.ts";
import { DailyUsage } from "../sessions/daily-usage.ts";
import { createEngine } from "../sessions/engine.ts";
import { MetricsRecorder } from "../sessions/metrics.ts";
import type { LearningCatalog } from "../sessions/models.ts";
import { defaultProcessLimits, type PoolOptions } from "../sessions/pool-options.ts";
import { SessionRegistry } from "../sessions/registry.ts";
import { createTerminalSessions } from "../sessions/terminal.ts";
import { runTurn } from "../sessions/turn.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import type { Store } from "../store/store.ts";
import type { WorkspaceChanges } from "../workspace/records.ts";
import { createClaudeLauncher } from "./claude-launcher.ts";
import type { Engine, EngineStart } from "./engine.ts";
import { engineMetrics } from "./engine-metrics.ts";
import { findClaude } from "./find-claude.ts";
import { createLoginWatch } from "./login-watch.ts";
import { createSettingsLogin, requireUsableLogin, type SettingsLogin } from "./settings-login.ts";
import { claudePlace, createWorkspaces, type Workspaces, workspaceRoots } from "./workspaces.ts";

export interface AssembleDeps {
  config: Config;
  paths: Paths;
  facts: HostFacts;
  /** What claude's environment is made of: the daemon's own, but for `demo`. */
  claudeEnvironment: HostFacts["env"];
  log: Logger;
}

const MIB = 1024 * 1024;
/** What retention drops is dropped in passes this far apart, and at once while there is more. */
const PRUNE_INTERVAL_MS = 10 * 60_000;
const PRUNE_AGAIN_MS = 1_000;

function poolOptions({ limits }: Config): Pick<PoolOptions, "limit" | "memoryLimitBytes"> & Partial<PoolOptions> {
  const byMemory = defaultProcessLimits(totalmem());
  return {
    limit: limits.processes === 0 ? byMemory.limit : limits.processes,
    memoryLimitBytes: limits.memoryMb === 0 ? byMemory.memoryLimitBytes : limits.memoryMb * MIB,
    processMemoryCapBytes: limits.processMemoryMb * MIB,
    queueLimit: limits.queueLength,
    queueWaitMs: limits.queueWaitSeconds * 1000,
    idleEvictionMs: limits.idleEvictionSeconds * 1000,
    waitingEvictionMs: limits.clientCallWaitSeconds * 1000,
    waitingLimit: limits.clientCallsWaiting,
    suspendAfterMs: limits.suspendAfterSeconds * 1000,
    chatSpares: limits.chatSpares,
    profileSpares: limits.profileSpares,
  };
}

/** Keeps the store within its retention; returns what ends that. */
function pruneRegularly(store: Store, log: Logger): () => void {
  let timer: Timer;
  const schedule = (delayMs: number) => {
    timer = setTimeout(pass, delayMs);
    timer.unref();
  };
  const pass = () => {
    store.prune().then(
      (more) => schedule(more ? PRUNE_AGAIN_MS : PRUNE_INTERVAL_MS),
      (error: unknown) => {
        log.warn("old records could not be dropped", { reason: String(error) });
        schedule(PRUNE_INTERVAL_MS);
      },
    );
  };
  schedule(PRUNE_INTERVAL_MS);
  return () => clearTimeout(timer);
}

/** Where the user's claude keeps its settings and sessions. */
function claudeDirectory({ claudeEnvironment, paths }: AssembleDeps): string {
  const place = claudePlace(claudeEnvironment, paths);
  return place.claudeConfigDir ?? join(place.home, ".claude");
}

interface SessionParts {
  store: Store;
  metrics: MetricsRecorder;
  changes: WorkspaceChanges;
  workspaces: Workspaces;
}

function createSessions(deps: AssembleDeps, parts: SessionParts, processes: ProcessSource, models: LearningCatalog) {
  const { config, paths, log } = deps;
  return new SessionRegistry({
    store: parts.store,
    processes,
    runTurn,
    changes: parts.changes,
    modelFlag: async (model) => (await models.get(model)).launchModel,
    resolveWorkspace: parts.workspaces.resolve,
    isTrusted: parts.workspaces.isTrusted,
    metrics: parts.metrics,
    terminal: createTerminalSessions(claudeDirectory(deps)),
    denyPaths: [paths.stateDirectory, paths.configDirectory],
    stallTimeoutMs: config.limits.stallSeconds * 1000,
    permissionWaitMs: config.permissions.waitSeconds * 1000,
    defaultPermissionMode: "acceptEdits",
    bypassAllowed: config.permissions.allowBypass,
    log,
    now: Date.now,
  });
}

const ownAddresses = (deps: AssembleDeps, start: EngineStart) => ({ ports: start.ports, hosts: deps.config.hosts });

interface LauncherParts {
  found: ClaudeInstallation;
  start: EngineStart;
  reaper: Reaper;
  settingsLogin: () => SettingsLogin;
}

function createLauncher(deps: AssembleDeps, { found, start, reaper, settingsLogin }: LauncherParts) {
  const { config, claudeEnvironment, log } = deps;
  return createClaudeLauncher(found, {
    find: () => findClaude(deps),
    start: (options, claude) => {
      const login = options.kind === "chat" ? settingsLogin() : undefined;
      return launchClaude(login?.file === undefined ? options : { ...options, loginSettings: login.file }, {
        claude,
        // As for claude itself, its settings win over what it was started with.
        environment: { ...claudeEnvironment, ...login?.environment },
        passEnv: config.claude.passEnv,
        own: ownAddresses(deps, start),
        instanceId: start.instanceId,
        logger: log,
        track: reaper.track,
        untrack: reaper.untrack,
      });
    },
    now: () => performance.now(),
    log,
  });
}

/**
 * Finds and checks claude, ends what an earlier daemon left, settles its unfinished turns, and puts the engine together.
 * Throws `claude_missing` with the remedy, and what opening the store throws. Whoever assembles closes.
 */
export async function assembleEngine(deps: AssembleDeps, start: EngineStart): Promise<Engine> {
  const { config, paths, facts, claudeEnvironment, log } = deps;
  const { stateDirectory } = paths;
  const [found] = await Promise.all([findClaude(deps), sweep({ stateDirectory, log })]);
  const transcriptDirectory = join(stateDirectory, "transcripts");
  // Histories of a daemon that was killed: nobody will resume them.
  rmSync(transcriptDirectory, { recursive: true, force: true });
  ensurePrivateDirectory(transcriptDirectory, facts.uid);
  const store = openSqliteStore({ path: paths.databaseFile, log });
  const usage = await DailyUsage.open(store.usage, Date.now);
  const metrics = new MetricsRecorder((costUsd) => usage.add(costUsd));
  const stopPruning = pruneRegularly(store, log);
  const reaper = startReaper({ stateDirectory, marker: { name: MARKER, value: start.instanceId }, log });
  const settingsLogin = createSettingsLogin({
    path: join(claudeDirectory(deps), "settings.json"),
    ownFile: join(stateDirectory, "chat-login.json"),
    base: claudeEnvironment,
    own: ownAddresses(deps, start),
    log,
  });
  const launcher = createLauncher(deps, { found, start, reaper, settingsLogin });
  const roots = workspaceRoots(config, facts, paths);
  const workspaces = createWorkspaces(roots, claudePlace(claudeEnvironment, paths));
  const chatDirectory = realpathSync(paths.chatDirectory);
  const neutralChat = { kind: "chat", cwd: chatDirectory, trusted: false, persist: false } as const;
  const engine = createEngine(
    {
      launch: launcher.launch,
      requireChatLogin: () => requireUsableLogin(settingsLogin()),
      claude: launcher.current,
      chatDirectory,
      transcriptDirectory,
      fingerprint: workspaces.fingerprint,
      sessions: (processes, models) =>
        createSessions(deps, { store, metrics, changes: start.changes, workspaces }, processes, models),
      store,
      metrics,
      log,
    },
    {
      pool: poolOptions(config),
      aliases: config.models.aliases,
      forwardSampling: config.models.sampling === "forward",
      stallTimeoutMs: config.limits.stallSeconds * 1000,
    },
  );
  await engine.sessions.recover();
  const login = createLoginWatch({
    ask: async () => {
      const process = launcher.launch({ ...neutralChat, clientTools: false });
      try {
        return (await process.initialize({ systemPrompt: "" })).login !== undefined;
      } finally {
        void process.close();
      }
    },
    failures: () => engine.metrics().turnsEnded.claude_logged_out ?? 0,
    now: () => performance.now(),
  });
  return {
    runner: engine.run,
    models: engine.models,
    claude: () => {
      const { path, version } = launcher.current();
      const unusable = launcher.problem();
      const problem = unusable?.message ?? login.problem();
      return { usable: unusable === undefined, path, version, loggedIn: login.loggedIn(), problem };
    },
    pool: engine.status,
    sessions: engine.sessions,
    archive: {
      ...store.responses,
      put: (record) => {
        store.responses.put(record);
        // Its client comes back to it, whatever becomes of this process. A failure is the store's own to report.
        store.flush().catch(() => undefined);
      },
    },
    openSessions: () => engine.sessions.open,
    problem: () => store.problem(),
    metrics: () => engineMetrics(engine.metrics()),
    activity: () => ({ firstTokens: metrics.firstTokens(), today: usage.current() }),
    sessionDirectory: async (id) => (await engine.sessions.require(id)).record.workspace,
    resolveWorkspace: workspaces.resolve,
    warm: async () => {
      engine.warm();
      // The same question that warming asks: only one process is started for it.
      await engine.models.list();
      login.learn((await engine.describe()).login !== undefined);
    },
    look: async () => {
      await Promise.all([launcher.look(), login.look()]);
    },
    close: async () => {
      stopPruning();
      await engine.sessions.close();
      await engine.close();
      usage.write();
      await store.close();
      await reaper.close();
    },
  };
}
