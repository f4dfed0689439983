/**
 * One `claude` process: spawned, driven over stdin and stdout, and ended together with everything it started. The parts:
 * input (lines in), framing and parse (lines out), control (our requests), incoming (its requests), descendants (its end).
 */
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Json, JsonObject, UserBlock } from "../turn/message.ts";
import type { PermissionMode } from "../turn/request.ts";
import { toArgs } from "./args.ts";
import { CONTROL_TIMEOUT_MS, ControlRequests } from "./control.ts";
import { listDescendants, signalOne } from "./descendants.ts";
import { PROCESS_MARKER, toEnvironment } from "./env.ts";
import { MAX_LINE_BYTES } from "./framing.ts";
import { IncomingRequests } from "./incoming.ts";
import { parseInitialize, toInitialize } from "./initialize.ts";
import { ClaudeInput } from "./input.ts";
import { DEFAULT_GRACE, endProcess, type Grace, sweep } from "./ladder.ts";
import type { LaunchDeps } from "./launch.ts";
import { ClaudeOutput } from "./output.ts";
import { parseLine, reportUnused } from "./parse.ts";
import { DEFAULT_SETTINGS, toFlagSettings } from "./settings.ts";
import { type Child, exitError, spawn } from "./spawn.ts";
import { createTail, STDERR_TAIL_BYTES } from "./tail.ts";
import type {
  ClaudeProcess,
  ClientCallResult,
  CloseOptions,
  ExitReport,
  InitializeOptions,
  InitializeResult,
  LaunchOptions,
  LiveSettings,
  PermissionAnswer,
  ProcessListener,
  PromptOptions,
} from "./transport.ts";
import { toUserLine } from "./user-line.ts";

/** The first initialize in a fresh home took up to 1.4 s; twenty at once on two busy cores are to pass too. */
const INITIALIZE_TIMEOUT_MS = 60_000;
const INTERRUPT_TIMEOUT_MS = 10_000;
/** How long stdout may stay open behind a process that has exited (a descendant holds it). */
const OUTPUT_GRACE_MS = 1_000;

/**
 * Starts a claude. Throws `invalid_request` for a value that may not become argv, `unsupported` for a base URL that is the
 * daemon, `claude_missing` where the binary is gone, `overloaded` where the machine has no room for a process.
 * Whoever launches closes: `close()` takes the process and its descendants.
 */
export function launchClaude(options: LaunchOptions, deps: LaunchDeps): ClaudeProcess {
  return new Claude(options, deps);
}

class Claude implements ClaudeProcess {
  readonly pid: number;
  readonly launch: LaunchOptions;
  readonly features: LaunchDeps["claude"]["features"];
  readonly startedAt = Date.now();
  readonly exited: Promise<ExitReport>;
  readonly #deps: LaunchDeps;
  readonly #logger: Logger;
  readonly #child: Child;
  readonly #marker = crypto.randomUUID();
  readonly #grace: Grace;
  readonly #input: ClaudeInput;
  readonly #output: ClaudeOutput;
  readonly #control: ControlRequests;
  readonly #incoming: IncomingRequests;
  readonly #stderr = createTail(STDERR_TAIL_BYTES);
  #listener: ProcessListener | undefined;
  #spoke = false;
  #gone = false;
  #suspended = false;
  #settings: string;
  #failure: DaemonError | undefined;
  #endedBy: ExitReport["endedBy"];
  #closing: Promise<ExitReport> | undefined;
  readonly #hurry = Promise.withResolvers<void>();

  constructor(options: LaunchOptions, deps: LaunchDeps) {
    [this.launch, this.features] = [options, deps.claude.features];
    this.#settings = JSON.stringify(toFlagSettings(options.settings ?? DEFAULT_SETTINGS));
    this.#deps = deps;
    this.#grace = deps.grace ?? DEFAULT_GRACE;
    const environment = toEnvironment(options, {
      base: deps.environment,
      passEnv: deps.passEnv,
      instanceId: deps.instanceId,
      processMarker: this.#marker,
      own: deps.own,
    });
    this.#child = spawn([deps.claude.path, ...toArgs(options, deps.claude.features)], options.cwd, environment);
    this.pid = this.#child.pid;
    deps.track(this.pid);
    this.#logger = deps.logger.child({ pid: this.pid });
    this.#logger.debug("claude started", { kind: options.kind });
    this.#input = new ClaudeInput(this.#child.stdin);
    // A write that fails means that the process is going: its exit says so to everybody who waits.
    const write = (line: JsonObject) => void this.#write(line).catch(() => undefined);
    this.#control = new ControlRequests(write);
    this.#incoming = new IncomingRequests({ write, listener: () => this.#listener, logger: this.#logger });
    this.#output = new ClaudeOutput({
      stream: this.#child.stdout,
      maxLineBytes: deps.maxLineBytes ?? MAX_LINE_BYTES,
      line: (line) => this.#receive(line),
    });
    this.exited = this.#follow();
  }

  get alive(): boolean {
    return !this.#gone && !this.#input.closed;
  }

  get suspended(): boolean {
    return this.#suspended;
  }

  listen(listener: ProcessListener | undefined): void {
    this.#listener = listener;
  }

  async initialize(options: InitializeOptions): Promise<InitializeResult> {
    const { payload, server } = toInitialize(options, this.launch, this.features);
    if (server) this.#incoming.offer(server);
    return parseInitialize(await this.#control.send("initialize", payload, INITIALIZE_TIMEOUT_MS));
  }

  async prompt(content: UserBlock[], { uuid = crypto.randomUUID(), ...options }: PromptOptions): Promise<string> {
    await this.#write(toUserLine(content, { ...options, uuid, features: this.features }));
    return uuid;
  }

  answerClientCall(callId: string, result: ClientCallResult): boolean {
    return this.#incoming.answerClientCall(callId, result);
  }

  answerPermission(requestId: string, answer: PermissionAnswer): boolean {
    return this.#incoming.answerPermission(requestId, answer);
  }

  async setModel(model: string): Promise<void> {
    await this.control("set_model", { model });
  }

  async setPermissionMode(mode: PermissionMode): Promise<void> {
    await this.control("set_permission_mode", { mode });
  }

  async applySettings(settings: LiveSettings): Promise<void> {
    const [payload, text] = [toFlagSettings(settings), JSON.stringify(toFlagSettings(settings))];
    if (text === this.#settings) return;
    // Unknown while under way and after a failure: the next call then says everything again.
    this.#settings = "";
    await this.control("apply_flag_settings", { settings: payload });
    this.#settings = text;
  }

  control(subtype: string, payload: JsonObject, timeoutMs: number = CONTROL_TIMEOUT_MS): Promise<Json> {
    return this.#control.send(subtype, payload, timeoutMs);
  }

  async interrupt(): Promise<void> {
    if (this.alive) await this.control("interrupt", {}, INTERRUPT_TIMEOUT_MS);
  }

  suspend(): void {
    if (this.#suspended || !this.alive || this.#closing) return;
    this.#suspended = signalOne(this.pid, "SIGSTOP");
  }

  wake(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    signalOne(this.pid, "SIGCONT");
  }

  pauseReading(): void {
    if (!this.#closing) this.#output.pause();
  }

  resumeReading(): void {
    this.#output.resume();
  }

  close(options: CloseOptions = {}): Promise<ExitReport> {
    if (!this.#gone) this.#failure ??= options.failure;
    if (options.now === true) this.#hurry.resolve();
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<ExitReport> {
    // A claude whose output nobody reads could not come to its end.
    this.resumeReading();
    this.wake();
    const descendants = this.#gone ? [] : await listDescendants(this.pid);
    if (!this.#gone) {
      await endProcess({
        pid: this.pid,
        exited: this.#child.exited,
        hurry: this.#hurry.promise,
        closeInput: () => this.#input.end(),
        rung: (name) => {
          this.#endedBy = name;
        },
        grace: this.#grace,
      });
    }
    const report = await this.exited;
    // A chat process has no tools: what it started itself is in its tree, and reading all of /proc is not worth it.
    const marker = this.launch.kind === "agent" ? { name: PROCESS_MARKER, value: this.#marker } : undefined;
    await sweep({ descendants, marker, graceMs: this.#grace.sweepMs, logger: this.#logger });
    return report;
  }

  #write(line: JsonObject): Promise<void> {
    this.wake();
    return this.#input.write(line);
  }

  async #follow(): Promise<ExitReport> {
    const output = this.#drainOutput();
    const errors = this.#drainStderr();
    const code = await this.#child.exited;
    this.#gone = true;
    this.#suspended = false;
    this.#deps.untrack(this.pid);
    // Paused by a slow client: what was said before the exit is still to come.
    await this.#output.whileReading();
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, OUTPUT_GRACE_MS);
    await Promise.race([Promise.all([output, errors]), timeout.promise]);
    clearTimeout(timer);
    const signal = this.#child.signalCode === null ? null : String(this.#child.signalCode);
    const report: ExitReport = {
      code: signal === null ? code : null,
      signal,
      endedBy: this.#endedBy,
      stderrTail: this.#stderr.text(),
      failure: this.#failure,
    };
    this.#input.end();
    this.#control.close(this.#failure ?? exitError(report, this.#spoke));
    const fields = { code, signal: signal ?? undefined, endedBy: report.endedBy };
    if (this.#closing) this.#logger.debug("claude ended", fields);
    else {
      this.#logger.warn("claude ended by itself", { ...fields, stderr: report.stderrTail });
      // A killed claude leaves the commands of its tools behind.
      if (this.launch.kind === "agent") void this.close();
    }
    this.#listener?.exited(report);
    return report;
  }

  async #drainOutput(): Promise<void> {
    try {
      const bytes = await this.#output.done;
      if (bytes > 0) this.#logger.warn("claude ended in the middle of a line", { bytes });
    } catch (error) {
      this.#failure = error instanceof DaemonError ? error : undefined;
      this.#logger.error("claude's output cannot be read", { error: String(error) });
      // Nobody reads any more: a claude that blocks on its output would not see EOF.
      void this.close({ now: true });
    }
  }

  #receive(line: string): void {
    const parsed = parseLine(line);
    this.#spoke = true;
    try {
      switch (parsed.kind) {
        case "message":
          this.#listener?.message(parsed.message);
          return;
        case "request":
          this.#incoming.handle(parsed.id, parsed.request);
          return;
        case "response":
          if (!this.#control.settle(parsed.id, parsed.result)) this.#logger.debug("claude answered what was not asked");
          return;
        case "cancel":
          this.#incoming.cancel(parsed.id);
          return;
        default:
          reportUnused(parsed, line.length, this.#logger);
      }
    } catch (error) {
      // A listener must not throw; if it does, the next lines still count.
      this.#logger.error("a line of claude could not be handled", { error: String(error) });
    }
  }

  async #drainStderr(): Promise<void> {
    try {
      for await (const chunk of this.#child.stderr) this.#stderr.add(chunk);
    } catch (error) {
      this.#logger.debug("claude's stderr cannot be read", { error: String(error) });
    }
  }
}
