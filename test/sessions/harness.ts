/** The whole engine on the real claude and a scripted API, in a home of its own. */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { launchClaude } from "../../src/claude/process.ts";
import type { ClaudeProcess, LaunchOptions } from "../../src/claude/transport.ts";
import { createEngine, type Engine, type EngineDeps, type EngineOptions } from "../../src/sessions/engine.ts";
import { type RegistryDeps, SessionRegistry } from "../../src/sessions/registry.ts";
import { createTerminalSessions } from "../../src/sessions/terminal.ts";
import { runTurn } from "../../src/sessions/turn.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import { collect, type TurnResult } from "../../src/turn/collect.ts";
import type { TurnEvent } from "../../src/turn/events.ts";
import type { AssistantBlock, Message } from "../../src/turn/message.ts";
import type { TurnRequest } from "../../src/turn/request.ts";
import { quietLogger } from "../claude/harness.ts";
import { type AnthropicApi, startAnthropicApi } from "../support/anthropic-api.ts";
import { CLAUDE_FEATURES, CLAUDE_PATH, CLAUDE_VERSION, type ClaudeHome, createClaudeHome } from "../support/claude.ts";

export interface Running extends AsyncDisposable {
  engine: Engine<SessionRegistry>;
  /** Where agents work. */
  workspace: string;
  api: AnthropicApi;
  home: ClaudeHome;
  /** Every process that was started, oldest first. */
  launches: LaunchOptions[];
  ask(request: Partial<TurnRequest> & { messages: Message[] }): AsyncIterable<TurnEvent>;
  answer(request: Partial<TurnRequest> & { messages: Message[] }): Promise<TurnResult>;
}

export interface RunningOptions {
  pool?: Partial<EngineOptions["pool"]>;
  options?: Partial<EngineOptions>;
  deps?: Partial<EngineDeps<SessionRegistry>>;
  registry?: Partial<RegistryDeps>;
  environment?: Record<string, string>;
  /** A scripted claude in place of the real one. */
  claudePath?: string;
  /** Stands between the engine and each of its processes. */
  wrap?(process: ClaudeProcess): ClaudeProcess;
}

/** No spares unless asked for: a test then knows which processes there are. */
export async function startEngine(given: RunningOptions = {}): Promise<Running> {
  const api = startAnthropicApi();
  const home = await createClaudeHome();
  const launches: LaunchOptions[] = [];
  const workspace = join(dirname(home.path), "workspace");
  await mkdir(workspace);
  const store = openSqliteStore({ path: join(dirname(home.path), "state", "state.db"), log: quietLogger });
  const transcriptDirectory = join(dirname(home.path), "transcripts");
  await mkdir(transcriptDirectory, { mode: 0o700 });
  const engine = createEngine(
    {
      launch: (options) => {
        launches.push(options);
        const process = launchClaude(options, {
          claude: { path: given.claudePath ?? CLAUDE_PATH, version: CLAUDE_VERSION, features: CLAUDE_FEATURES },
          environment: home.environment(api.url, given.environment),
          passEnv: ["IS_SANDBOX"],
          own: { ports: [], hosts: [] },
          instanceId: `test-${crypto.randomUUID()}`,
          logger: quietLogger,
          track: () => undefined,
          untrack: () => undefined,
        });
        return given.wrap?.(process) ?? process;
      },
      claude: () => ({ version: CLAUDE_VERSION, features: CLAUDE_FEATURES }),
      chatDirectory: home.cwd,
      transcriptDirectory,
      fingerprint: async () => undefined,
      store,
      sessions: (processes, models) =>
        new SessionRegistry({
          store,
          processes,
          runTurn,
          changes: undefined,
          modelFlag: async (name) => (await models.get(name)).launchModel,
          isTrusted: async () => false,
          denyPaths: [],
          stallTimeoutMs: 300_000,
          log: quietLogger,
          now: Date.now,
          resolveWorkspace: async (asked) => asked ?? workspace,
          terminal: createTerminalSessions(join(home.path, ".claude")),
          permissionWaitMs: 60_000,
          defaultPermissionMode: "acceptEdits",
          bypassAllowed: false,
          ...given.registry,
        }),
      log: quietLogger,
      ...given.deps,
    },
    {
      pool: { limit: 8, memoryLimitBytes: 8e9, chatSpares: 0, profileSpares: 0, ...given.pool },
      aliases: {},
      forwardSampling: false,
      stallTimeoutMs: 300_000,
      ...given.options,
    },
  );
  const ask: Running["ask"] = (request) => engine.run(turnRequest(request));
  return {
    engine,
    api,
    home,
    launches,
    workspace,
    ask,
    answer: (request) => collect(ask(request)),
    async [Symbol.asyncDispose]() {
      await engine.sessions.close();
      await engine.close();
      await store.close();
      await api[Symbol.asyncDispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

export function turnRequest(request: Partial<TurnRequest> & { messages: Message[] }): TurnRequest {
  return {
    model: "opus",
    system: undefined,
    tools: [],
    toolChoice: { type: "auto" },
    parallelToolCalls: true,
    output: {},
    claudeCode: {},
    unsupported: [],
    optionNames: {},
    retry: { attempt: 0 },
    signal: new AbortController().signal,
    ...request,
  };
}

export const user = (...texts: string[]): Message => ({
  role: "user",
  content: texts.map((text) => ({ type: "text", text })),
});

export const said = (text: string): Message => ({ role: "assistant", content: [{ type: "text", text }] });

/** What a client puts back into its history after an answer. */
export function asHistory(result: TurnResult): Message {
  const content: AssistantBlock[] = [];
  for (const block of result.blocks) {
    if (block.type === "text") content.push({ type: "text", text: block.text });
    if (block.type === "client-call") {
      content.push({ type: "client-call", id: block.id, name: block.name, input: JSON.parse(block.arguments) });
    }
  }
  return { role: "assistant", content };
}

export const textOfResult = (result: TurnResult): string =>
  result.blocks.map((block) => (block.type === "text" ? block.text : "")).join("");
