/** One run: its directories, its environment, its process tree, and the bounds that end it. */
import { mkdirSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { setPriority } from "node:os";
import { dirname, join } from "node:path";
import { createProcessGroup } from "./cgroup.ts";
import type { ChangesWatch, ExecutionEvent, ExecutionRequest, ExecutionResult, LimitHit } from "./contract.ts";
import { placeFiles, removeTree } from "./directories.ts";
import type { Interpreter } from "./languages.ts";
import type { Sandbox } from "./locate-sandbox.ts";
import { readOutput } from "./output.ts";
import { type Protection, protect } from "./protect.ts";
import type { ExecutorDeps } from "./runner.ts";
import { measureTree } from "./watch.ts";

/** In the environment of everything that one run starts. */
const EXECUTION_MARKER = "CLAUDE_CODE_DAEMON_EXECUTION";
/** How often a run's memory and processes are measured: a tree can outgrow its limit for this long. */
const MEASURE_INTERVAL_MS = 50;
/** Nice value of a run, so that however many processes it makes, the daemon gets its turn to end them. */
const RUN_NICE = 10;
/** A run that writes this many times its kept output is ended. */
const FLOOD_FACTOR = 64;
const SCRATCH_BYTES = 64 * 1024 * 1024;

interface Prepared {
  workDirectory: string;
  codePath: string;
  /** Puts the code into a workspace: after its before-state is known, so that it is no change. */
  placeCode(): Promise<void>;
  /** Removes what was put outside the run's own directory. Idempotent. */
  cleanUp(): Promise<void>;
}

/** Puts code and files where the run will find them. */
async function prepare(
  request: ExecutionRequest,
  interpreter: Interpreter,
  own: string,
  id: string,
): Promise<Prepared> {
  const name = `main.${interpreter.extension}`;
  if (request.workspace === undefined) {
    const workDirectory = join(own, "work");
    mkdirSync(workDirectory, { mode: 0o700 });
    await placeFiles(workDirectory, [
      { path: name, content: new TextEncoder().encode(request.code) },
      ...request.files,
    ]);
    const nothing = async () => undefined;
    return { workDirectory, codePath: join(workDirectory, name), placeCode: nothing, cleanUp: nothing };
  }
  await placeFiles(request.workspace, request.files);
  // Bun resolves imports from the file's own place, so for it the file must stand in the workspace while it runs.
  const codePath = interpreter.ownBun ? join(request.workspace, `.${id}.${interpreter.extension}`) : join(own, name);
  return {
    workDirectory: request.workspace,
    codePath,
    placeCode: () => writeFile(codePath, request.code, { flag: "wx", mode: 0o600 }),
    cleanUp: () => rm(codePath, { force: true }),
  };
}

function environmentOf(
  mark: string,
  interpreter: Interpreter,
  workDirectory: string,
  temporary: string,
  deps: ExecutorDeps,
) {
  const path = [dirname(interpreter.program), "/usr/local/bin", "/usr/bin", "/bin"];
  return {
    PATH: [...new Set(path)].join(":"),
    HOME: temporary,
    TMPDIR: temporary,
    LANG: "C.UTF-8",
    TERM: "dumb",
    PYTHONPATH: workDirectory,
    PYTHONDONTWRITEBYTECODE: "1",
    DO_NOT_TRACK: "1",
    [deps.marker[0]]: deps.marker[1],
    [EXECUTION_MARKER]: mark,
    ...(interpreter.ownBun ? { BUN_BE_BUN: "1", BUN_INSTALL_CACHE_DIR: `${temporary}/bun` } : {}),
  };
}

/** rlimits, set by the shell that becomes the program. `-u` is bash's, `-p` dash's and ash's word for processes. */
function limited(command: readonly string[], limits: ExecutionRequest["limits"]): string[] {
  const seconds = Math.ceil(limits.timeoutMs / 1000) + 1;
  const script = [
    "ulimit -c 0",
    `ulimit -f ${Math.ceil(limits.fileBytes / 512)}`,
    `ulimit -t ${seconds}`,
    `{ ulimit -u ${limits.processes} || ulimit -p ${limits.processes}; } 2>/dev/null`,
    'exec "$@"',
  ].join("; ");
  return ["/bin/sh", "-c", script, "sh", ...command];
}

/**
 * Runs the code and yields `start`, output and `end`. Leaving the iteration ends the run; either way nothing of it is
 * left when the generator returns.
 */
export async function* runOne(
  request: ExecutionRequest,
  interpreter: Interpreter,
  sandbox: Sandbox | undefined,
  deps: ExecutorDeps,
): AsyncGenerator<ExecutionEvent, void, undefined> {
  const id = deps.newId();
  const own = join(deps.directory, id);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  let prepared: Prepared | undefined;
  let protection: Protection | undefined;
  let watch: ChangesWatch | undefined;
  try {
    prepared = await prepare(request, interpreter, own, id);
    protection = request.workspace === undefined ? undefined : protect(request.workspace, deps.secrets);
    watch = deps.watchChanges?.(prepared.workDirectory, id);
    await watch?.before();
    await prepared.placeCode();
    const run = start(request, interpreter, sandbox, { id, own, prepared, protection, deps });
    yield { type: "start", id, language: interpreter.id, sandboxed: sandbox !== undefined };
    try {
      yield* run.events();
    } finally {
      run.end();
      await run.over;
    }
    const blockedPaths = protection?.restore() ?? [];
    protection = undefined;
    await prepared.cleanUp();
    const filesChanged = await watch?.changes();
    const result = { ...(await run.over), id, language: interpreter.id, filesChanged, blockedPaths };
    yield { type: "end", result };
  } finally {
    protection?.restore();
    await prepared?.cleanUp();
    await watch?.close();
    await removeTree(own);
  }
}

interface Run {
  /** Output as it comes; returns when the run is over. */
  events(): AsyncGenerator<ExecutionEvent, void, undefined>;
  /** Ends the run now. A no-op once it is over. */
  end(): void;
  /** Settles when every process of the run is gone. */
  over: Promise<Omit<ExecutionResult, "id" | "language" | "blockedPaths" | "filesChanged">>;
}

interface RunContext {
  id: string;
  own: string;
  prepared: Prepared;
  protection: Protection | undefined;
  deps: ExecutorDeps;
}

function start(
  request: ExecutionRequest,
  interpreter: Interpreter,
  sandbox: Sandbox | undefined,
  { id, own, prepared, protection, deps }: RunContext,
): Run {
  const { limits } = request;
  const { workDirectory, codePath } = prepared;
  const temporary = sandbox?.kind === "bubblewrap" ? "/tmp" : join(own, "tmp");
  if (temporary !== "/tmp") mkdirSync(temporary, { mode: 0o700 });
  // A UUID: what carries it is ended, so it must be nobody else's.
  const mark = crypto.randomUUID();
  const environment = environmentOf(mark, interpreter, workDirectory, temporary, deps);
  const command = limited([interpreter.program, ...interpreter.flags, codePath, ...request.args], limits);
  const readable = [interpreter.shownPath, codePath.startsWith(`${workDirectory}/`) ? undefined : codePath];
  const argv = sandbox
    ? sandbox.wrap(
        command,
        {
          workDirectory,
          readable: readable.filter((path) => path !== undefined),
          frozen: protection?.frozen ?? [],
          hidden: protection?.hidden ?? [],
          environment,
          network: request.network,
          scratchBytes: SCRATCH_BYTES,
        },
        temporary,
      )
    : command;
  // Two more than the run may have: the sandbox's own.
  const group = process.getuid?.() === 0 ? createProcessGroup(id, limits.processes + 2) : undefined;
  const startedAt = performance.now();
  const child = Bun.spawn(group?.wrap(argv) ?? argv, {
    cwd: workDirectory,
    env: sandbox?.kind === "bubblewrap" ? {} : environment,
    stdin: request.stdin ?? "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });

  try {
    setPriority(child.pid, RUN_NICE);
  } catch {
    // It has ended already.
  }

  let limitHit: LimitHit | undefined;
  const end = () => child.kill("SIGKILL");
  const exceed = (limit: LimitHit) => {
    limitHit ??= limit;
    end();
  };
  const deadline = setTimeout(exceed, limits.timeoutMs, "time");
  const measure = setInterval(() => {
    const { threads, residentBytes } = measureTree(child.pid);
    // The wrapper's own two processes are not the run's.
    if (threads > limits.processes + 2) exceed("processes");
    else if (residentBytes > limits.memoryBytes) exceed("memory");
  }, MEASURE_INTERVAL_MS);
  request.signal.addEventListener("abort", end, { once: true });
  if (request.signal.aborted) end();

  const waiting: ExecutionEvent[] = [];
  let wake = Promise.withResolvers<void>();
  const read = (type: "stdout" | "stderr", pipe: ReadableStream<Uint8Array>) =>
    readOutput(pipe, {
      keepBytes: limits.outputBytes,
      floodBytes: limits.outputBytes * FLOOD_FACTOR,
      text(text) {
        waiting.push({ type, text });
        wake.resolve();
      },
      flooded: () => exceed("output"),
    });

  const outputs = Promise.all([read("stdout", child.stdout), read("stderr", child.stderr)]);
  const over = (async () => {
    const exitCode = await child.exited;
    const durationMs = Math.round(performance.now() - startedAt);
    clearTimeout(deadline);
    clearInterval(measure);
    request.signal.removeEventListener("abort", end);
    // A sandbox's processes die with its first one; without a sandbox they must be looked for.
    if (sandbox?.kind !== "bubblewrap") await deps.endStragglers(child.pid, EXECUTION_MARKER, mark);
    const [stdout, stderr] = await outputs;
    await group?.remove();
    const reported = typeof child.signalCode === "string" ? child.signalCode : null;
    const signal = reported ?? (sandbox?.kind === "bubblewrap" ? signalOf(exitCode) : null);
    return {
      exitCode: signal === null ? exitCode : null,
      signal,
      stdout: stdout.text,
      stderr: stderr.text,
      stdoutTruncated: stdout.truncated,
      stderrTruncated: stderr.truncated,
      durationMs,
      limitHit: limitHit ?? (signal === "SIGXCPU" ? ("time" as const) : undefined),
    };
  })();
  let finished = false;
  const settle = () => {
    finished = true;
    wake.resolve();
  };
  over.then(settle, settle);

  return {
    end,
    over,
    async *events() {
      for (;;) {
        const batch = waiting.splice(0);
        yield* batch;
        if (batch.length > 0) continue;
        if (finished) return;
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    },
  };
}

/** The sandbox's first process reports a signal of the program as 128 + its number. */
function signalOf(exitCode: number): string | null {
  const names: Record<number, string> = {
    6: "SIGABRT",
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
  };
  return names[exitCode - 128] ?? null;
}
