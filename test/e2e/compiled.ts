/** The compiled binary as a user has it: built once for a test file, started in a directory of the test's choice. */
import { fileURLToPath } from "node:url";
import { type ClaudeHome, createClaudeHome } from "../support/claude.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

export const VERSION = "1.2.3-e2e";
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MAX_START_MS = 30_000;

export interface Binary extends AsyncDisposable {
  path: string;
}

export async function buildBinary(): Promise<Binary> {
  const directory = await createTmpDir("binary-");
  const path = directory.join("claude-code-daemon");
  const build = Bun.spawnSync([process.execPath, `${ROOT}bin/build.ts`, `--outfile=${path}`, `--version=${VERSION}`], {
    stdout: "pipe",
    stderr: "pipe",
  });
  if (build.exitCode !== 0) throw new Error(`the build failed: ${build.stderr}`);
  return { path, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

export interface RunningBinary extends AsyncDisposable {
  url: string;
  pid: number;
  home: ClaudeHome;
  /** What it printed so far, both streams. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  exited: Promise<number>;
  /** A chat completion, not streamed. */
  ask(model: string, content: string): Promise<{ status: number; body: Completion }>;
}

export interface Completion {
  choices: { message: { content: string }; finish_reason: string }[];
  claude_code?: { files_changed?: { path: string; status: string }[] };
}

export interface RunOptions {
  /** `start` or `demo`, and flags. */
  words: string[];
  cwd: string;
  /** What claude is to talk to; for `demo` nothing listens there. */
  apiUrl: string;
  env?: Record<string, string>;
}

/** Starts it on a free port and waits until it has printed its address. Stopped with its scope. */
export async function runBinary(binary: Binary, options: RunOptions): Promise<RunningBinary> {
  const home = await createClaudeHome();
  const child = Bun.spawn([binary.path, ...options.words, "--port=0"], {
    cwd: options.cwd,
    env: { ...home.environment(options.apiUrl), ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  const address = Promise.withResolvers<string>();
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      output += decoder.decode(bytes, { stream: true });
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(output);
      if (found) address.resolve(found[0]);
    }
  };
  const readAll = Promise.all([read(child.stdout), read(child.stderr)]);
  readAll.finally(() => address.reject(new Error(`it ended without an address:\n${output}`)));
  const tooLate = setTimeout(() => address.reject(new Error(`no address in time:\n${output}`)), MAX_START_MS);
  const stop = async () => {
    child.kill("SIGTERM");
    await child.exited;
    await home[Symbol.asyncDispose]();
  };
  try {
    const url = await address.promise;
    return {
      url,
      pid: child.pid,
      home,
      output: () => output,
      kill: (signal) => child.kill(signal),
      exited: child.exited,
      ask: async (model, content) => {
        const response = await fetch(`${url}/v1/chat/completions`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model, messages: [{ role: "user", content }] }),
        });
        return { status: response.status, body: (await response.json()) as Completion };
      },
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(tooLate);
  }
}
