/** A claude of ours for the tests of this folder: the real one (or a fake) in its own home, and a listener that records. */

import { featuresOf } from "../../src/claude/features.ts";
import type { LaunchDeps } from "../../src/claude/launch.ts";
import type { ClaudeMessage } from "../../src/claude/messages.ts";
import { launchClaude } from "../../src/claude/process.ts";
import type {
  ClaudeProcess,
  ClientCallRequest,
  ExitReport,
  LaunchOptions,
  PermissionPrompt,
  ProcessListener,
} from "../../src/claude/transport.ts";
import type { LogFields, Logger } from "../../src/log.ts";
import type { JsonObject } from "../../src/turn/message.ts";
import { CLAUDE_PATH, CLAUDE_VERSION, type ClaudeHome, createClaudeHome, NEWEST_CLAUDE } from "../support/claude.ts";

export const quietLogger: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => quietLogger,
  enabled: () => false,
};

/** A logger whose lines can be looked at. */
export function recordingLogger(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const write = (text: string, fields?: LogFields) => void lines.push(`${text} ${JSON.stringify(fields ?? {})}`);
  const logger: Logger = { ...quietLogger, error: write, warn: write, info: write, debug: write, child: () => logger };
  return { logger, lines };
}

export interface Recorder extends ProcessListener {
  messages: ClaudeMessage[];
  calls: ClientCallRequest[];
  prompts: PermissionPrompt[];
  cancellations: string[];
  edits: { tool: string; input: JsonObject }[];
  reports: ExitReport[];
  /** Settles when this holds; looked at after every event. */
  until(what: string, holds: () => boolean): Promise<void>;
  /** The next turn's `result` that no earlier call has returned. */
  result(): Promise<ClaudeMessage & { type: "result" }>;
  text(): string;
}

const MAX_WAIT_MS = 30_000;

export function recorder(): Recorder {
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const check of [...watchers]) check();
  };
  let taken = 0;
  const results = () => self.messages.filter((message) => message.type === "result");
  const self: Recorder = {
    messages: [],
    calls: [],
    prompts: [],
    cancellations: [],
    edits: [],
    reports: [],
    message(message) {
      self.messages.push(message);
      changed();
    },
    clientCall(call) {
      self.calls.push(call);
      changed();
    },
    permission(prompt) {
      self.prompts.push(prompt);
      changed();
    },
    cancelled(id) {
      self.cancellations.push(id);
      changed();
    },
    async beforeEdit(tool, input) {
      self.edits.push({ tool, input });
      changed();
    },
    exited(report) {
      self.reports.push(report);
      changed();
    },
    async until(what, holds) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const check = () => {
        if (holds()) resolve();
      };
      const timer = setTimeout(
        () => reject(new Error(`${what}: not within ${MAX_WAIT_MS} ms; last ${JSON.stringify(self.messages.at(-1))}`)),
        MAX_WAIT_MS,
      );
      watchers.add(check);
      check();
      try {
        await promise;
      } finally {
        clearTimeout(timer);
        watchers.delete(check);
      }
    },
    async result() {
      const index = taken++;
      await self.until("a result", () => results().length > index);
      const found = results()[index];
      if (found?.type !== "result") throw new Error("no result");
      return found;
    },
    text() {
      return self.messages
        .flatMap((message) => (message.type === "stream_event" ? [message.event.delta as JsonObject | undefined] : []))
        .map((delta) => (typeof delta?.text === "string" ? delta.text : ""))
        .join("");
    },
  };
  return self;
}

export interface Driven extends AsyncDisposable {
  claude: ClaudeProcess;
  seen: Recorder;
  home: ClaudeHome;
  tracked: Set<number>;
}

export interface DriveOptions {
  apiUrl: string;
  launch?: Partial<LaunchOptions>;
  deps?: Partial<LaunchDeps>;
  environment?: Record<string, string>;
  home?: ClaudeHome;
  /** Executable other than the pinned claude. */
  path?: string;
  version?: string;
}

/** Launches; not initialized yet. Everything goes with its scope. */
export async function drive(options: DriveOptions): Promise<Driven> {
  const home = options.home ?? (await createClaudeHome());
  const tracked = new Set<number>();
  const seen = recorder();
  const version = options.version ?? (options.path === undefined ? CLAUDE_VERSION : NEWEST_CLAUDE.version);
  const claude = launchClaude(
    { kind: "chat", cwd: home.cwd, trusted: false, persist: false, clientTools: false, ...options.launch },
    {
      claude: { path: options.path ?? CLAUDE_PATH, version, features: featuresOf(version) },
      environment: home.environment(options.apiUrl, options.environment),
      passEnv: ["IS_SANDBOX"],
      own: { ports: [], hosts: [] },
      instanceId: `test-${crypto.randomUUID()}`,
      logger: quietLogger,
      track: (pid) => void tracked.add(pid),
      untrack: (pid) => void tracked.delete(pid),
      ...options.deps,
    },
  );
  claude.listen(seen);
  return {
    claude,
    seen,
    home,
    tracked,
    async [Symbol.asyncDispose]() {
      await claude.close({ now: true });
      if (options.home === undefined) await home[Symbol.asyncDispose]();
    },
  };
}
