/** The daemon as its own process, from source, with the real claude and a scripted API. */
import { fileURLToPath } from "node:url";
import { CLAUDE_PATH, type ClaudeHome, createClaudeHome } from "../support/claude.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** What bin/claude-code-daemon runs, without asking install.sh for the Bun that runs this test. */
const COMMAND = [process.execPath, "--no-env-file", "--config=/dev/null", `${ROOT}src/main.ts`];
const MAX_START_MS = 30_000;

export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Runs one command to its end. */
export async function runCommand(words: string[], env: Record<string, string>, cwd: string): Promise<Ran> {
  const child = Bun.spawn([...COMMAND, ...words], { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

export interface Running extends AsyncDisposable {
  url: string;
  pid: number;
  home: ClaudeHome;
  env: Record<string, string>;
  stderr(): string;
  /** Nobody reads its stderr any more; of its stdout nobody has since the first line. */
  closeOutput(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  exited: Promise<number>;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

export async function startFromSource(options: {
  apiUrl: string;
  flags?: string[];
  env?: Record<string, string>;
  /** Run in this home, which stays its maker's, instead of a new one. */
  home?: ClaudeHome;
}): Promise<Running> {
  const home = options.home ?? (await createClaudeHome());
  const env = { ...home.environment(options.apiUrl), CLAUDE_CODE_DAEMON_CLAUDE: CLAUDE_PATH, ...options.env };
  const child = Bun.spawn([...COMMAND, "start", "--json", "--port=0", ...(options.flags ?? [])], {
    cwd: home.cwd,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let stderr = "";
  const errors = child.stderr.getReader();
  const read = (async () => {
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await errors.read();
      if (done) return;
      stderr += decoder.decode(value, { stream: true });
    }
  })();
  const stop = async () => {
    child.kill("SIGTERM");
    await child.exited;
    await read;
    if (!options.home) await home[Symbol.asyncDispose]();
  };
  const firstLine = async () => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const bytes of child.stdout) {
      text += decoder.decode(bytes, { stream: true });
      if (text.includes("\n")) return text;
    }
    throw new Error(`it ended without an address:\n${stderr}`);
  };
  const tooLate = setTimeout(() => child.kill("SIGKILL"), MAX_START_MS);
  try {
    const { url } = JSON.parse(await firstLine()) as { url: string };
    return {
      url,
      pid: child.pid,
      home,
      env,
      stderr: () => stderr,
      closeOutput: () => errors.cancel(),
      kill: (signal) => child.kill(signal),
      exited: child.exited,
      post: (path, body, init = {}) =>
        fetch(url + path, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
          ...init,
        }),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(tooLate);
  }
}
