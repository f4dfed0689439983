/**
 * The real `claude` for tests: its path and version, an isolated home, and a bare driver of its lines (for tests of what
 * stands below `src/claude/process.ts`, and for bench/ as the "bare process").
 */
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { type ClaudeFeatures, featuresOf } from "../../src/claude/features.ts";
import type { ClaudeMessage } from "../../src/claude/messages.ts";
import type { JsonObject } from "../../src/turn/message.ts";
import { type PackagedClaude, packagedClaude } from "./claude-package.ts";
import { createTmpDir } from "./tmp-dir.ts";

const dependency = (name: string) =>
  packagedClaude(fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url)));

/** The newest version that the daemon was tried with: the pinned development dependency; never the user's own. */
export const NEWEST_CLAUDE = dependency("@anthropic-ai/claude-code");
/** The oldest one that the daemon takes, a pinned development dependency too. */
export const floorClaude = (): PackagedClaude => dependency("claude-code-floor");

/** What the tests drive: the newest, or what `bun run matrix` names. */
function underTest(): PackagedClaude {
  const path = process.env.CLAUDE_CODE_DAEMON_TEST_CLAUDE;
  if (path === undefined) return NEWEST_CLAUDE;
  const version = /^\d+\.\d+\.\d+/.exec(Bun.spawnSync([path, "--version"], { cwd: "/" }).stdout.toString())?.[0];
  if (version === undefined) throw new Error(`CLAUDE_CODE_DAEMON_TEST_CLAUDE=${path} does not answer --version`);
  return { path, version };
}

export const { path: CLAUDE_PATH, version: CLAUDE_VERSION } = underTest();
/** What that version can do: the daemon's own table, so that tests expect of a version what the daemon does. */
export const CLAUDE_FEATURES: ClaudeFeatures = featuresOf(CLAUDE_VERSION);

export interface ClaudeHome extends AsyncDisposable {
  /** HOME: empty, private. */
  readonly path: string;
  /** A neutral empty working directory beside it. */
  readonly cwd: string;
  /** What the child gets: nothing of the caller's environment but PATH. */
  environment(apiUrl: string, extra?: Record<string, string>): Record<string, string>;
}

/** An isolated home: no login, no settings, no traffic but to the given API. Removed with its scope. */
export async function createClaudeHome(): Promise<ClaudeHome> {
  const directory = await createTmpDir("claude-home-");
  const path = directory.join("home");
  const cwd = directory.join("work");
  const tmp = directory.join("tmp");
  for (const made of [path, cwd, tmp]) await mkdir(made, { mode: 0o700 });
  return {
    path,
    cwd,
    environment: (apiUrl, extra = {}) => ({
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      HOME: path,
      TMPDIR: tmp,
      LANG: "C.UTF-8",
      SHELL: "/bin/sh",
      ANTHROPIC_API_KEY: "sk-ant-fake-for-tests",
      ANTHROPIC_BASE_URL: apiUrl,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      DISABLE_TELEMETRY: "1",
      DISABLE_ERROR_REPORTING: "1",
      DISABLE_AUTOUPDATER: "1",
      CLAUDE_CODE_ATTRIBUTION_HEADER: "0",
      CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1",
      // As root, bypassPermissions asks for this (CI containers run as root).
      IS_SANDBOX: "1",
      ...extra,
    }),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

/** The launch line of a chat process; agent tests drop `--tools=` and add what they need. */
export const CHAT_ARGS = [
  "-p",
  "--input-format=stream-json",
  "--output-format=stream-json",
  "--verbose",
  "--include-partial-messages",
  "--strict-mcp-config",
  "--setting-sources=",
  "--tools=",
  "--no-session-persistence",
];
/** The same with Claude's own tools, all of them allowed. */
export const AGENT_ARGS = [
  ...CHAT_ARGS.filter((flag) => !["--tools=", "--no-session-persistence"].includes(flag)),
  "--permission-mode=bypassPermissions",
];

export interface BareClaude extends AsyncDisposable {
  readonly pid: number;
  readonly exited: Promise<number>;
  /** Every line since the start, parsed. */
  readonly lines: (ClaudeMessage | JsonObject)[];
  send(line: JsonObject): void;
  prompt(content: string | JsonObject[]): void;
  control(subtype: string, payload?: JsonObject): Promise<JsonObject>;
  /** The first line, past or to come and not before `from`, for which this holds. */
  waitForLine(predicate: (line: ClaudeMessage) => boolean, from?: number): Promise<ClaudeMessage>;
  /** The lines from `from` (an index into `lines`) to the next `result`, that one included. */
  turn(from?: number): Promise<ClaudeMessage[]>;
  stderr(): Promise<string>;
}

export interface BareOptions {
  home: ClaudeHome;
  apiUrl: string;
  args?: string[];
  cwd?: string;
  env?: Record<string, string>;
  /** Executable other than the pinned claude (fake-claude.ts). */
  path?: string;
  /** Answers control requests of the CLI (mcp_message, can_use_tool): the `response` payload. */
  answer?: (request: JsonObject) => JsonObject | undefined;
}

const MAX_WAIT_MS = 30_000;

/** Starts a claude without anything of ours around it. Killed with its scope. */
export function startBareClaude(options: BareOptions): BareClaude {
  const child = Bun.spawn([options.path ?? CLAUDE_PATH, ...(options.args ?? CHAT_ARGS)], {
    cwd: options.cwd ?? options.home.cwd,
    env: options.home.environment(options.apiUrl, options.env),
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const lines: (ClaudeMessage | JsonObject)[] = [];
  const watchers = new Set<() => void>();
  const answers = new Map<string, (response: JsonObject) => void>();
  let requestCount = 0;
  let ended = false;
  const stderr = new Response(child.stderr).text();

  const send = (line: JsonObject) => {
    child.stdin.write(`${JSON.stringify(line)}\n`);
    void child.stdin.flush();
  };

  function receive(line: JsonObject): void {
    if (line.type === "control_response") {
      const response = line.response as JsonObject;
      answers.get(String(response.request_id))?.(response);
      return;
    }
    if (line.type === "control_request") {
      const answer = options.answer?.(line.request as JsonObject);
      if (answer !== undefined) {
        const response = { subtype: "success", request_id: line.request_id ?? null, response: answer };
        send({ type: "control_response", response });
      }
    }
    lines.push(line);
    for (const check of [...watchers]) check();
  }

  const reading = (async () => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of child.stdout) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) if (part !== "") receive(JSON.parse(part));
    }
    ended = true;
    for (const check of [...watchers]) check();
  })();

  async function waitForLine(predicate: (line: ClaudeMessage) => boolean, from = 0): Promise<ClaudeMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<ClaudeMessage>();
    let position = from;
    const check = () => {
      for (; position < lines.length; position++) {
        const line = lines[position] as ClaudeMessage;
        if (predicate(line)) return resolve(line);
      }
      if (ended) void stderr.then((text) => reject(new Error(`claude ended before the line came: ${text}`)));
    };
    watchers.add(check);
    const timer = setTimeout(
      () => reject(new Error(`no such line within ${MAX_WAIT_MS} ms; last: ${JSON.stringify(lines.at(-1))}`)),
      MAX_WAIT_MS,
    );
    check();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      watchers.delete(check);
    }
  }

  return {
    pid: child.pid,
    exited: child.exited,
    lines,
    send,
    prompt: (content) =>
      send({
        type: "user",
        message: { role: "user", content },
        parent_tool_use_id: null,
        session_id: "",
        uuid: crypto.randomUUID(),
        client_composed: true,
      }),
    control: (subtype, payload = {}) => {
      const id = `test-${++requestCount}`;
      const { promise, resolve } = Promise.withResolvers<JsonObject>();
      answers.set(id, resolve);
      send({ type: "control_request", request_id: id, request: { subtype, ...payload } });
      return promise;
    },
    waitForLine,
    turn: async (from = 0) => {
      const last = await waitForLine((line) => line.type === "result", from);
      return lines.slice(from, lines.indexOf(last) + 1) as ClaudeMessage[];
    },
    stderr: () => stderr,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      await reading.catch(() => undefined);
    },
  };
}
