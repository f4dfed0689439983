/**
 * Running git where nothing of the user's or the repository's configuration is heard: every command works on a private
 * git directory of ours, whose config we write. No hooks, no fsmonitor, no filters, no textconv, no pager, no prompts,
 * no lazy fetches, no replace refs; because GIT_DIR is given, git never looks at who owns the directory.
 *
 * A repository's own config is read by `git config` alone, which executes nothing.
 */
import { realpathSync, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

/** Longest run of one command; a killed one counts as failed. */
const MAX_RUN_MS = 60_000;
/** Most bytes taken from one command; more is a failure. 100,000 new paths are about 6 MB. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
const MAX_STDERR_CHARS = 2000;

export interface GitPlace {
  /** The private git directory. */
  gitDir: string;
  workTree: string;
  /** Where paths are relative to; the work tree or below. */
  cwd: string;
  indexFile?: string;
  /** The user's object directories, for reading only: git touches the mtime of what it finds there when it writes. */
  alternates?: readonly string[];
}

export interface GitResult {
  ok: boolean;
  /** -1 where it did not run to its end. */
  exitCode: number;
  stdout: Buffer;
  /** For the log. */
  stderr: string;
}

export interface GitRun {
  input?: Uint8Array;
  signal?: AbortSignal;
  /** Lets `status` write what it has learned into the index. */
  refreshIndex?: boolean;
}

const NOT_STARTED: GitResult = { ok: false, exitCode: -1, stdout: Buffer.alloc(0), stderr: "not started" };

/** The first git in absolute directories of PATH, by its real path; undefined where there is none. */
export function findGit(searchPath: string): string | undefined {
  for (const directory of searchPath.split(delimiter)) {
    // An empty or relative element would run a `git` of the workspace.
    if (!isAbsolute(directory)) continue;
    try {
      const path = realpathSync(join(directory, "git"));
      const found = statSync(path);
      if (found.isFile() && (found.mode & 0o111) !== 0) return path;
    } catch {
      // Not in this directory.
    }
  }
  return undefined;
}

const BASE_ENVIRONMENT = {
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_NO_LAZY_FETCH: "1",
  GIT_NO_REPLACE_OBJECTS: "1",
  GIT_FLUSH: "0",
};

/** A path inside GIT_ALTERNATE_OBJECT_DIRECTORIES, quoted so that colons and quotes in it are safe. */
const quoteAlternate = (path: string) => `"${path.replace(/["\\]/g, "\\$&").replace(/\n/g, "\\n")}"`;

export class Git {
  readonly #path: string;
  readonly #running = new Set<ReturnType<typeof Bun.spawn>>();
  #closed = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Runs a command in a private git directory. Never rejects: a failure to start is `ok: false`. */
  run(place: GitPlace, args: readonly string[], options: GitRun = {}): Promise<GitResult> {
    const environment: Record<string, string> = {
      ...BASE_ENVIRONMENT,
      // Old versions do not know GIT_CONFIG_GLOBAL: a HOME without anything does the same.
      HOME: place.gitDir,
      XDG_CONFIG_HOME: place.gitDir,
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_DIR: place.gitDir,
      GIT_WORK_TREE: place.workTree,
    };
    if (options.refreshIndex) environment.GIT_OPTIONAL_LOCKS = "1";
    if (place.indexFile !== undefined) environment.GIT_INDEX_FILE = place.indexFile;
    if (place.alternates !== undefined && place.alternates.length > 0) {
      environment.GIT_ALTERNATE_OBJECT_DIRECTORIES = place.alternates.map(quoteAlternate).join(delimiter);
    }
    return this.#spawn(args, place.cwd, environment, options);
  }

  /** Makes a private git directory. */
  init(gitDir: string): Promise<GitResult> {
    const environment = { ...BASE_ENVIRONMENT, HOME: gitDir, GIT_CONFIG_GLOBAL: "/dev/null", GIT_DIR: gitDir };
    // No work tree yet: `init` probes what the file system can do in the git directory itself.
    return this.#spawn(["init", "--quiet", "--template="], "/", environment, {});
  }

  /**
   * Reads settings as the user's own git would see them: the system's, the user's and, where `gitDir` is given, the
   * repository's, with includes. `git config` executes nothing and does not care who owns the repository.
   */
  readConfig(
    pattern: string,
    place: { home: string; xdgConfigHome?: string },
    gitDir: string | undefined,
  ): Promise<GitResult> {
    const environment: Record<string, string> = { LC_ALL: "C", HOME: place.home, GIT_TERMINAL_PROMPT: "0" };
    if (place.xdgConfigHome !== undefined) environment.XDG_CONFIG_HOME = place.xdgConfigHome;
    if (gitDir !== undefined) environment.GIT_DIR = gitDir;
    return this.#spawn(["config", "-z", "--includes", "--get-regexp", pattern], "/", environment, {});
  }

  /** The commit that a repository stands at; undefined where there is none yet. `rev-parse` executes nothing. */
  async headOf(gitDir: string): Promise<string | undefined> {
    const environment = { ...BASE_ENVIRONMENT, HOME: "/nonexistent", GIT_CONFIG_GLOBAL: "/dev/null", GIT_DIR: gitDir };
    const { stdout } = await this.#spawn(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], "/", environment, {});
    return /^[0-9a-f]{40}\n$/.exec(stdout.toString("latin1"))?.[0].trim();
  }

  async #spawn(
    args: readonly string[],
    cwd: string,
    env: Record<string, string>,
    { input, signal }: GitRun,
  ): Promise<GitResult> {
    if (this.#closed || signal?.aborted) return NOT_STARTED;
    let child: Bun.Subprocess<Uint8Array | "ignore", "pipe", "pipe">;
    try {
      child = Bun.spawn([this.#path, "--no-pager", ...args], {
        cwd,
        env,
        stdin: input ?? "ignore",
        stdout: "pipe",
        stderr: "pipe",
        killSignal: "SIGKILL",
        timeout: MAX_RUN_MS,
      });
    } catch (error) {
      return { ...NOT_STARTED, stderr: String(error) };
    }
    this.#running.add(child);
    const kill = () => child.kill("SIGKILL");
    signal?.addEventListener("abort", kill);
    try {
      const [stdout, stderr] = await Promise.all([readBounded(child.stdout, kill), new Response(child.stderr).text()]);
      const exitCode = await child.exited;
      const finished = child.signalCode === null && stdout !== undefined;
      return {
        ok: finished && exitCode === 0,
        exitCode: finished ? exitCode : -1,
        stdout: stdout ?? Buffer.alloc(0),
        stderr: stderr.slice(-MAX_STDERR_CHARS),
      };
    } finally {
      signal?.removeEventListener("abort", kill);
      this.#running.delete(child);
    }
  }

  /** Ends what still runs; nothing starts any more. */
  async close(): Promise<void> {
    this.#closed = true;
    const running = [...this.#running];
    for (const child of running) child.kill("SIGKILL");
    await Promise.all(running.map((child) => child.exited));
  }
}

async function readBounded(stream: ReadableStream<Uint8Array>, tooMuch: () => void): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) {
      tooMuch();
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
