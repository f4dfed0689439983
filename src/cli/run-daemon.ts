/** Runs a daemon in the foreground until it is told to end: what `start` and `demo` have in common. */
import type { HostFacts } from "../config/environment.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { Paths } from "../config/paths.ts";
import { type Daemon, startDaemon } from "../daemon/daemon.ts";
import { handleSignals } from "../daemon/signals.ts";
import { toDaemonError } from "../errors.ts";
import { createLogger, type Logger, type LogLevel } from "../log.ts";
import { VERSION } from "../version.ts";
import { type CliContext, printLine, toTerminalText } from "./context.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { reportFailure, writesToJournal } from "./journal.ts";

export interface RunOptions {
  loaded: LoadedConfig;
  paths: Paths;
  /** The environment that claude's is made of; differs from the daemon's own for `demo`. */
  claudeEnvironment: HostFacts["env"];
  /** Print one JSON line instead of words. */
  json: boolean;
  /** Lines after the address. */
  notes(daemon: Daemon): string[];
  /** After the daemon has ended. */
  cleanUp?(): Promise<void>;
}

function announce(context: CliContext, options: RunOptions, daemon: Daemon): void {
  const { stdout } = context;
  if (options.json) {
    printLine(
      stdout,
      JSON.stringify({ url: daemon.url, addresses: daemon.addresses, pid: process.pid, version: VERSION }),
    );
    return;
  }
  const others = daemon.addresses.slice(1).map((address) => `http://${address}`);
  const also = others.length === 0 ? "" : ` (and ${others.join(", ")})`;
  printLine(stdout, `claude-code-daemon ${VERSION} listens on ${daemon.url}${also}`);
  for (const line of options.notes(daemon)) printLine(stdout, toTerminalText(line, stdout));
}

/** What a stop may take beside the drain: last words, and the processes' own ends. */
const AFTER_DRAIN_MS = 20_000;

/** Journald adds the time itself, and takes the level off the line. */
export function createDaemonLogger(context: CliContext, level: LogLevel): Logger {
  const { env } = context.facts;
  const timestamps = env.JOURNAL_STREAM === undefined && env.INVOCATION_ID === undefined;
  const priorities = writesToJournal(context);
  return createLogger({ level, timestamps, priorities, write: (line) => context.stderr.write(line) });
}

/** Not before it listens, and never a reason to fail: without it everything works, only later by up to a millisecond. */
async function hurryEventLoop(log: Logger): Promise<void> {
  try {
    const { askForShortSlices } = await import("../daemon/scheduling.ts");
    log.debug("asked the kernel for short slices", { granted: askForShortSlices() });
  } catch (error) {
    log.debug("the kernel cannot be asked for short slices", { reason: String(error) });
  }
}

/** Resolves with the exit code once the daemon is down. Throws what prevents it from listening. */
export async function runDaemon(context: CliContext, options: RunOptions): Promise<number> {
  const { loaded, paths } = options;
  const { config } = loaded;
  const log = createDaemonLogger(context, config.log.level);
  for (const warning of loaded.warnings) log.warn(warning);
  const daemon = startDaemon({
    config,
    paths,
    facts: context.facts,
    log,
    startEngine: async (start) => {
      // Not before it listens: half of the program's code is behind this.
      const { assembleEngine } = await import("../daemon/assemble.ts");
      const { claudeEnvironment } = options;
      return assembleEngine({ config, paths, facts: context.facts, claudeEnvironment, log }, start);
    },
  });
  const { NOTIFY_SOCKET: notifySocket } = context.facts.env;
  const notifier =
    notifySocket === undefined ? undefined : (await import("../daemon/notify.ts")).openNotifier(context.facts.env, log);
  daemon.ready.then(
    () => notifier?.ready(),
    () => undefined, // below
  );
  const ended = Promise.withResolvers<number>();
  handleSignals({
    stop: () => {
      notifier?.stopping(config.shutdownTimeoutSeconds * 1000 + AFTER_DRAIN_MS);
      return daemon.stop();
    },
    log,
    drained: () => ended.resolve(0),
    exit: (code) => process.exit(code),
  });
  announce(context, options, daemon);
  void hurryEventLoop(log);
  daemon.ready.catch(async (thrown: unknown) => {
    const error = toDaemonError(thrown);
    await reportFailure(context, error);
    await daemon.stop();
    ended.resolve(exitCodeOf(error));
  });
  const code = await ended.promise;
  await options.cleanUp?.();
  return code;
}
