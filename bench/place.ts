/**
 * Where a benchmark runs: the scripted API, isolated homes, daemons, bare processes and one-shot `claude -p`. All that it
 * starts ends with it, and nothing of the caller's environment but PATH reaches any of it.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toArgs } from "../src/claude/args.ts";
import { toEnvironment } from "../src/claude/env.ts";
import { featuresOf } from "../src/claude/features.ts";
import type { LaunchOptions } from "../src/claude/transport.ts";
import { packagedClaude } from "../test/support/claude-package.ts";
import { type Bare, type OneShot, oneShot, startBare } from "./bare.ts";
import { descendants, quiet } from "./proc.ts";

const ROOT = join(import.meta.dir, "..");
const CLAUDE = packagedClaude(join(ROOT, "node_modules/@anthropic-ai/claude-code")).path;

export interface Daemon {
  pid: number;
  url: string;
  /** From exec to the line that says the address. */
  startMs: number;
  /** Its own state, HOME and working directory. */
  home: string;
  health(): Promise<Health>;
  /** Settles when its spares are there and everything below it is calm. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export interface Health {
  processes: { live: number; busy: number; idle: number; spare: number; limit: number };
  pool: { hits: number; misses: number };
}

export interface Place extends AsyncDisposable {
  /** The commands to measure with; one that was not compiled runs from source. */
  command: readonly string[];
  /** A fresh directory. */
  directory(name: string): string;
  startDaemon(options?: {
    home?: string;
    env?: Record<string, string>;
    warm?: boolean;
    claude?: string;
  }): Promise<Daemon>;
  /** A bare process, launched as the daemon launches its own. Booted, not initialized. */
  startBare(launch?: Partial<LaunchOptions>, claude?: string): Promise<Bare>;
  /** A `claude` whose turns all take the same time (steady-claude.ts). */
  steadyClaude: string;
  /** One `claude -p` with the flags that a chat process has. */
  oneShot(prompt: string): Promise<OneShot>;
}

async function startApi(): Promise<{ url: string; stop(): Promise<void> }> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "api.ts")], {
    env: {},
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  for await (const chunk of child.stdout) {
    const stop = async () => {
      child.kill();
      await child.exited;
    };
    return { url: `http://127.0.0.1:${new TextDecoder().decode(chunk).trim()}`, stop };
  }
  throw new Error("the scripted API did not start");
}

/** Compiles the binary unless it runs from source. */
function commandOf(source: boolean, directory: string): string[] {
  if (source) return [process.execPath, "--no-env-file", "--config=/dev/null", join(ROOT, "src", "main.ts")];
  const outfile = join(directory, "claude-code-daemon");
  const built = Bun.spawnSync([process.execPath, join(ROOT, "bin", "build.ts"), `--outfile=${outfile}`], {
    cwd: ROOT,
    stderr: "pipe",
  });
  if (built.exitCode !== 0) throw new Error(`the binary could not be built: ${built.stderr}`);
  return [outfile];
}

export async function createPlace(options: { source: boolean }): Promise<Place> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "claude-code-daemon-bench-")));
  const api = await startApi();
  const ends: (() => Promise<unknown>)[] = [];
  const directory = (name: string) => {
    const path = mkdtempSync(join(root, `${name}-`));
    return path;
  };
  const environment = (home: string) => ({
    PATH: process.env.PATH ?? "/usr/bin:/bin",
    HOME: home,
    TMPDIR: root,
    LANG: "C.UTF-8",
    SHELL: "/bin/sh",
    ANTHROPIC_API_KEY: "sk-ant-fake-for-benchmarks",
    ANTHROPIC_BASE_URL: api.url,
    // As root, Claude Code asks for this in some modes.
    IS_SANDBOX: "1",
  });
  const command = commandOf(options.source, root);
  const bareHome = directory("bare");
  const cwd = directory("chat");
  const chat: LaunchOptions = { kind: "chat", cwd, trusted: false, persist: false, clientTools: true };
  const features = featuresOf(await version());

  async function version(): Promise<string> {
    const child = Bun.spawn([CLAUDE, "--version"], { env: environment(bareHome), stdout: "pipe" });
    return (await new Response(child.stdout).text()).trim().split(" ")[0] ?? "";
  }

  /** The same environment and flags as the daemon's own processes. */
  const launchOf = (launch: LaunchOptions, claude = CLAUDE) => ({
    argv: [claude, ...toArgs(launch, features)],
    cwd: launch.cwd,
    env: toEnvironment(launch, {
      base: environment(bareHome),
      passEnv: [],
      instanceId: "bench",
      processMarker: "bench",
      own: { ports: [], hosts: [] },
    }),
  });

  const steadyClaude = join(root, "steady-claude");
  const script = join(import.meta.dir, "steady-claude.ts");
  writeFileSync(
    steadyClaude,
    `#!/bin/sh\nexec "${process.execPath}" --no-env-file --config=/dev/null "${script}" "$@"\n`,
    { mode: 0o755 },
  );

  async function startDaemon(options: Parameters<Place["startDaemon"]>[0] = {}): Promise<Daemon> {
    const { home = directory("daemon"), env = {}, warm = true, claude = CLAUDE } = options;
    const work = join(home, "work");
    mkdirSync(work, { recursive: true });
    const start = performance.now();
    const child = Bun.spawn([...command, "start", "--json", "--port=0", `--claude=${claude}`, "--log-level=error"], {
      cwd: work,
      env: { ...environment(home), ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    const startMs = performance.now() - start;
    reader.releaseLock();
    const { url } = JSON.parse(new TextDecoder().decode(value)) as { url: string };
    const health = async () => (await (await fetch(`${url}/v1/health`)).json()) as Health;
    const below = () => [child.pid, ...descendants(child.pid)];
    const settled = async () => {
      const until = performance.now() + 10_000;
      while ((await health()).processes.spare === 0 && performance.now() < until) await Bun.sleep(25);
      await quiet(below);
    };
    let ended: Promise<void> | undefined;
    const end = async () => {
      child.kill("SIGTERM");
      await child.exited;
    };
    const stop = () => {
      ended ??= end();
      return ended;
    };
    ends.push(stop);
    if (warm) await settled();
    return { pid: child.pid, url, startMs, home, health, settled, stop };
  }

  return {
    command,
    directory,
    startDaemon,
    steadyClaude,
    startBare: async (launch = {}, claude = CLAUDE) => {
      const bare = startBare(launchOf({ ...chat, ...launch }, claude));
      ends.push(bare.end);
      await bare.booted();
      await quiet(() => [bare.pid]);
      return bare;
    },
    oneShot: (prompt) => oneShot(launchOf({ ...chat, clientTools: false }), prompt),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(ends.map((end) => end()));
      await api.stop();
      rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    },
  };
}
