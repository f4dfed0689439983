/** Sessions on the real claude and a scripted API: a registry over a store file that outlives it. */
import { join } from "node:path";
import { launchClaude } from "../../src/claude/process.ts";
import type { LaunchOptions } from "../../src/claude/transport.ts";
import type { AgentSession, SessionTurn } from "../../src/sessions/agent-sessions.ts";
import type { EventFrame } from "../../src/sessions/hub.ts";
import { Pool } from "../../src/sessions/pool.ts";
import { DEFAULT_POOL_OPTIONS, type PoolOptions } from "../../src/sessions/pool-options.ts";
import { type RegistryDeps, SessionRegistry } from "../../src/sessions/registry.ts";
import type { Session } from "../../src/sessions/session.ts";
import { createTerminalSessions } from "../../src/sessions/terminal.ts";
import { runTurn } from "../../src/sessions/turn.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { collect, type TurnResult } from "../../src/turn/collect.ts";
import type { TurnEvent } from "../../src/turn/events.ts";
import type { JsonObject } from "../../src/turn/message.ts";
import { quietLogger } from "../claude/harness.ts";
import { type AnthropicApi, startAnthropicApi } from "../support/anthropic-api.ts";
import { CLAUDE_FEATURES, CLAUDE_PATH, CLAUDE_VERSION, type ClaudeHome, createClaudeHome } from "../support/claude.ts";

export interface SessionsUnderTest extends AsyncDisposable {
  registry: SessionRegistry;
  store: Store;
  pool: Pool;
  api: AnthropicApi;
  home: ClaudeHome;
  launches: LaunchOptions[];
  /** A new registry over the same file, home and API, as after a restart of the daemon. */
  restart(): Promise<void>;
}

export interface SessionsOptions {
  pool?: Partial<PoolOptions>;
  deps?: Partial<RegistryDeps>;
  storePath?: string;
}

export async function startSessions(options: SessionsOptions = {}): Promise<SessionsUnderTest> {
  const api = startAnthropicApi();
  const home = await createClaudeHome();
  const launches: LaunchOptions[] = [];
  const path = options.storePath ?? join(home.path, "..", "state", "state.db");

  const open = () => {
    const store = openSqliteStore({ path, log: quietLogger });
    const pool = new Pool(
      {
        spawn: (launch) => {
          launches.push(launch);
          return launchClaude(launch, {
            claude: { path: CLAUDE_PATH, version: CLAUDE_VERSION, features: CLAUDE_FEATURES },
            environment: home.environment(api.url),
            passEnv: ["IS_SANDBOX"],
            own: { ports: [], hosts: [] },
            instanceId: `test-${crypto.randomUUID()}`,
            logger: quietLogger,
            track: () => undefined,
            untrack: () => undefined,
          });
        },
        chatLaunch: { kind: "chat", cwd: home.cwd, trusted: false, persist: false, clientTools: true },
        initialized: () => undefined,
        fingerprint: async () => undefined,
        log: quietLogger,
      },
      {
        ...DEFAULT_POOL_OPTIONS,
        limit: 6,
        memoryLimitBytes: 8e9,
        chatSpares: 0,
        profileSpares: 0,
        ...options.pool,
      },
    );
    const registry = new SessionRegistry({
      store,
      processes: pool,
      runTurn,
      changes: undefined,
      modelFlag: async (model) => model.split(":")[1],
      isTrusted: async () => false,
      denyPaths: [],
      stallTimeoutMs: 300_000,
      log: quietLogger,
      now: Date.now,
      resolveWorkspace: async (asked) => asked ?? home.cwd,
      terminal: createTerminalSessions(join(home.path, ".claude")),
      permissionWaitMs: 60_000,
      defaultPermissionMode: "acceptEdits",
      bypassAllowed: false,
      ...options.deps,
    });
    return { store, pool, registry };
  };

  const close = async (state: { store: Store; pool: Pool; registry: SessionRegistry }) => {
    await state.registry.close();
    await state.pool.close();
    await state.store.close();
  };

  const self: SessionsUnderTest = {
    ...open(),
    api,
    home,
    launches,
    restart: async () => {
      await close(self);
      Object.assign(self, open());
      await self.registry.recover();
    },
    [Symbol.asyncDispose]: async () => {
      await close(self);
      await api[Symbol.asyncDispose]();
      await home[Symbol.asyncDispose]();
    },
  };
  return self;
}

export function prompt(text: string, more: Partial<SessionTurn> = {}): SessionTurn {
  return {
    content: [{ type: "text", text }],
    verbatim: true,
    signal: new AbortController().signal,
    ...more,
  };
}

/** Carries out a turn and gives its result. */
export function ask(session: AgentSession, text: string, more: Partial<SessionTurn> = {}): Promise<TurnResult> {
  return collect(session.turn(prompt(text, more)));
}

export const textOfResult = (result: TurnResult): string =>
  result.blocks.map((block) => (block.type === "text" ? block.text : "")).join("");

export interface WatchLog {
  frames: EventFrame[];
  readonly events: JsonObject[];
  dropped: string[];
  /** The first event, past or to come, for which this holds. */
  event(holds: (event: JsonObject) => boolean): Promise<JsonObject>;
  close(): void;
}

const MAX_WAIT_MS = 30_000;

/** A watcher that takes everything. */
export function watch(session: Session, after?: number): WatchLog {
  const checks = new Set<() => void>();
  const log: WatchLog = {
    frames: [],
    dropped: [],
    get events() {
      return log.frames.map((frame) => JSON.parse(frame.text) as JsonObject);
    },
    event: async (holds) => {
      const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
      const check = () => {
        const found = log.events.find(holds);
        if (found) resolve(found);
      };
      const timer = setTimeout(
        () => reject(new Error(`no such event; last ${JSON.stringify(log.events.at(-1))}`)),
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
    close: () => subscription.close(),
  };
  const subscription = session.hub.subscribe(
    {
      deliver: (frame) => {
        log.frames.push(frame);
        for (const check of [...checks]) check();
        return true;
      },
      ready: async () => undefined,
      dropped: (reason) => void log.dropped.push(reason),
    },
    after,
  );
  return log;
}

export async function drain(events: AsyncIterable<TurnEvent>): Promise<TurnEvent[]> {
  const all: TurnEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
