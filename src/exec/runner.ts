/**
 * Runs code of a client. One run is one process tree with a deadline; whatever ends it, nothing of it is
 * left: no process, no file of ours.
 */
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ChangesWatch, ExecutionEvent, ExecutionRequest, Language } from "./contract.ts";
import { removeTree } from "./directories.ts";
import {
  chooseInterpreter,
  describeLanguage,
  findInterpreters,
  type Interpreter,
  type LanguageOptions,
} from "./languages.ts";
import { locateSandbox, type Sandbox, type SandboxState } from "./locate-sandbox.ts";
import { runOne } from "./run.ts";

export interface ExecutorDeps {
  languages: LanguageOptions;
  /** 0700; holds a directory for each running execution. */
  directory: string;
  allowUnsandboxed: boolean;
  /** Absolute paths that code may not read even inside its workspace. */
  secrets: readonly string[];
  /** Set in the run's environment, so that what it starts is known as ours: name and value. */
  marker: readonly [name: string, value: string];
  /** Ends what an unsandboxed run left behind: descendants and processes whose environment says `name=value`. */
  endStragglers(pid: number, name: string, value: string): Promise<void>;
  /** Watches a directory for what the run changes there; absent: `filesChanged` stays undefined. */
  watchChanges?: (directory: string, id: string) => ChangesWatch;
  newId(): string;
  log: Logger;
}

export interface ExecutionState {
  sandbox: Sandbox["kind"] | undefined;
  /** Why code is not run, and what to do about it. */
  problem: string | undefined;
}

export interface Executor {
  /** What can run here; versions are asked of the programs once. */
  languages(): Promise<Language[]>;
  /** Whether code runs sandboxed, and if it cannot run, why. For health and `doctor`. */
  state(): Promise<ExecutionState>;
  /** The last answer of `state`, without looking again; undefined before the first. */
  known(): ExecutionState | undefined;
  /**
   * Runs code. The first event is `start`, the last `end`. Throws `unsupported` (no sandbox), `invalid_request`,
   * `queue_full`. Aborting the signal, or leaving the iteration, ends the run.
   */
  run(request: ExecutionRequest): AsyncGenerator<ExecutionEvent, void, undefined>;
}

/** Runs at a time: each may take a core and its memory limit. */
const MAX_CONCURRENT_RUNS = 4;
const VERSION_TIMEOUT_MS = 5_000;
/** A failed probe is repeated at the next request after this long: the user may have installed a sandbox. */
const PROBE_AGAIN_MS = 10_000;

export function createExecutor(deps: ExecutorDeps): Executor {
  let running = 0;
  let probe: { at: number; state: Promise<SandboxState> } | undefined;
  let versions: Promise<Language[]> | undefined;
  let swept: Promise<void> | undefined;
  let last: ExecutionState | undefined;

  const sandboxState = async (): Promise<SandboxState> => {
    probe ??= { at: performance.now(), state: locateSandbox(deps.languages.path) };
    let state = await probe.state;
    if (!state.sandbox && performance.now() - probe.at > PROBE_AGAIN_MS) {
      probe = { at: performance.now(), state: locateSandbox(deps.languages.path) };
      state = await probe.state;
    }
    last = { sandbox: state.sandbox?.kind, problem: deps.allowUnsandboxed ? undefined : state.problem };
    return state;
  };

  return {
    languages() {
      versions ??= Promise.all(
        findInterpreters(deps.languages).map(async (each) => describeLanguage(each, await askVersion(each))),
      );
      return versions;
    },
    async state() {
      const { sandbox, problem } = await sandboxState();
      return last ?? { sandbox: sandbox?.kind, problem };
    },
    known: () => last,
    async *run(request) {
      const interpreter = chooseInterpreter(request.language, findInterpreters(deps.languages));
      const { sandbox, problem } = await sandboxState();
      if (!sandbox && !deps.allowUnsandboxed) {
        throw new DaemonError("unsupported", `Code is not run without a sandbox. ${problem}`);
      }
      if (running >= MAX_CONCURRENT_RUNS) {
        throw new DaemonError("queue_full", `${MAX_CONCURRENT_RUNS} executions are running. Try again shortly.`, {
          detail: { retryAfterSeconds: 1 },
        });
      }
      running++;
      try {
        // What a killed daemon could not remove. Nothing of ours can be there yet.
        swept ??= removeTree(deps.directory);
        await swept;
        yield* runOne(request, interpreter, sandbox, deps);
      } finally {
        running--;
      }
    },
  };
}

async function askVersion({ program, versionFlags, ownBun }: Interpreter): Promise<string | undefined> {
  if (ownBun) return `Bun ${Bun.version}`;
  if (versionFlags.length === 0) return undefined;
  const child = Bun.spawn([program, ...versionFlags], {
    env: { LC_ALL: "C" },
    cwd: "/",
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: VERSION_TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const line = `${stdout}\n${stderr}`.trim().split("\n")[0]?.trim();
  return line === "" ? undefined : line?.slice(0, 200);
}
