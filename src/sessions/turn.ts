/**
 * One turn on one process: from the prompt (or a resumed process's own answer) through pauses for client calls to the
 * result. Lines become events through `claude/events.ts`; what of them the client sees is turn-content.ts. Here is what
 * needs a process and time: settings, pauses, interrupts, ends, backpressure.
 */
import { createTurnReader, type TurnReader } from "../claude/events.ts";
import type { ClaudeMessage } from "../claude/messages.ts";
import { DEFAULT_SETTINGS } from "../claude/settings.ts";
import type { ClaudeProcess, ExitReport, ProcessListener } from "../claude/transport.ts";
import { DaemonError } from "../errors.ts";
import type { EndReason, TurnEnd, TurnEvent } from "../turn/events.ts";
import type { ClientResultBlock, UserBlock } from "../turn/message.ts";
import type { PartOptions, PartOutcome, Turn, TurnInput, TurnOptions } from "./contracts.ts";
import { EventQueue } from "./event-queue.ts";
import { TurnContent } from "./turn-content.ts";
import { exitFault, makeOwnEnd, WindUp } from "./turn-ends.ts";
import { TurnPrompts } from "./turn-prompts.ts";
import { TurnStandpoint } from "./turn-standpoint.ts";
import { Watchdog } from "./watchdog.ts";

/** The CLI's cost is a sum over the process's life: what it was at the end of the turn before. */
const costs = new WeakMap<ClaudeProcess, number>();

/**
 * Begins a turn on a process that nobody else uses. The process must be idle (or freshly resumed) and stays its owner's:
 * the turn never ends it, except where it does not wind up after an interrupt.
 */
export function runTurn(process: ClaudeProcess, input: TurnInput, options: TurnOptions): Turn {
  return new RunningTurn(process, input, options);
}

class RunningTurn implements Turn {
  readonly turnId: string;
  private readonly quieted = Promise.withResolvers<PartOutcome>();
  readonly settled = this.quieted.promise;
  private readonly queue: EventQueue;
  private readonly reader: TurnReader;
  private part: PartOptions;
  private phase: "running" | "paused" | "over" = "running";
  private result: PartOutcome | undefined;
  private interruptedAs: EndReason | undefined;
  private readonly windUp: WindUp;
  private readonly watchdog: Watchdog;
  private readonly prompts: TurnPrompts;
  private readonly content: TurnContent;
  private readonly standpoint: TurnStandpoint;
  /** The memory of the process is not the history any more, by our own doing. */
  private cut = false;
  /** Claude works, or is about to: an interrupt must wait for its result. */
  private prompted: boolean;
  private readonly onAbort = () => void this.interrupt();

  constructor(
    private readonly process: ClaudeProcess,
    input: TurnInput,
    private readonly options: TurnOptions,
  ) {
    this.turnId = options.turnId;
    this.part = options;
    this.prompted = input.content === undefined;
    this.reader = createTurnReader({
      clientTools: options.clientTools,
      kind: process.launch.kind,
      previousCostUsd: costs.get(process) ?? 0,
      structuredOutput: options.structuredOutput,
      followContinuations: process.launch.kind === "agent",
    });
    this.queue = new EventQueue({ pause: () => process.pauseReading(), resume: () => process.resumeReading() });
    this.content = new TurnContent(process, this.queue, options);
    this.standpoint = new TurnStandpoint(options.begun);
    this.windUp = new WindUp(process);
    this.watchdog = new Watchdog({
      limitMs: options.stallTimeoutMs,
      excused: () => this.content.toolsRun || this.prompts.waiting > 0 || this.queue.paused,
      stalled: () => this.endAs("stalled"),
    });
    this.prompts = new TurnPrompts({
      process,
      permissions: options.permissions,
      turnId: options.turnId,
      emit: (event) => void (this.phase !== "over" && this.queue.push(event)),
      answered: () => this.watchdog.sign(),
    });
    process.listen(this.listener());
    this.announce();
    for (const replay of input.early ?? []) replay(this.listener());
    void this.begin(input);
  }

  get outcome(): PartOutcome | undefined {
    return this.result;
  }

  get waiting(): readonly string[] {
    return this.content.calls.waiting;
  }

  [Symbol.asyncIterator](): AsyncGenerator<TurnEvent, void, undefined> {
    return this.queue.events(() => void this.interrupt());
  }

  continue(results: ClientResultBlock[], more: UserBlock[], options: PartOptions): void {
    if (this.phase !== "paused") throw new DaemonError("internal", "This turn does not wait for results.");
    this.phase = "running";
    this.result = undefined;
    this.part = options;
    this.content.begin(options);
    this.announce();
    void this.resume(results, more);
  }

  async interrupt(): Promise<void> {
    this.endAs("interrupted");
    await this.settled;
  }

  /**
   * Settings, then the prompt: the first request of the turn must already carry them. Said also when neutral, a process
   * keeps what the turn before set; it costs nothing where nothing changes.
   */
  private async begin(input: TurnInput): Promise<void> {
    try {
      // Not awaited: the first token need not wait for it. Tools do, in `beforeEdit`.
      void this.options.changes?.before();
      await this.process.applySettings(this.part.settings ?? DEFAULT_SETTINGS);
      if (this.phase === "over" || !input.content) return;
      this.prompted = true;
      await this.process.prompt(input.content, { verbatim: input.verbatim, uuid: this.standpoint.newPrompt() });
    } catch (error) {
      this.fail(error);
    }
  }

  private async resume(results: ClientResultBlock[], more: UserBlock[]): Promise<void> {
    try {
      await this.process.applySettings(this.part.settings ?? DEFAULT_SETTINGS);
      // Before the results: the CLI folds a waiting message into the request that carries them.
      if (more.length > 0) await this.process.prompt(more, { verbatim: true });
      this.content.calls.answer(results);
    } catch (error) {
      this.fail(error);
    }
  }

  /** `turn-start` of a part, the client's signal, the watchdog. */
  private announce(): void {
    const { turnId, sessionId, model } = this.options;
    this.queue.open({ type: "turn-start", turnId, sessionId, model, ignored: this.part.ignored });
    if (this.part.signal.aborted) queueMicrotask(this.onAbort);
    else this.part.signal.addEventListener("abort", this.onAbort, { once: true });
    this.watchdog.start();
  }

  private listener(): ProcessListener {
    return {
      message: (message) => this.read(message),
      clientCall: ({ callId }) => {
        this.watchdog.sign();
        this.content.calls.ask(callId);
      },
      permission: (prompt) => this.prompts.ask(prompt),
      cancelled: (id) => {
        this.prompts.cancel(id);
        this.content.calls.cancel(id);
      },
      beforeEdit: async (tool, input) => this.options.changes?.beforeEdit(tool, input),
      exited: (report) => this.exited(report),
    };
  }

  private read(message: ClaudeMessage): void {
    this.watchdog.sign();
    this.standpoint.note(message);
    let events: readonly TurnEvent[] = [];
    try {
      events = this.reader.read(message);
    } catch (error) {
      this.fail(error);
    }
    for (const event of events) this.take(event);
    if (this.phase === "running" && this.reader.callsReady) this.pause();
    if (!this.reader.settled) return;
    costs.set(this.process, this.reader.totalCostUsd);
    this.wound();
  }

  private take(event: TurnEvent): void {
    if (this.phase === "over") return;
    if (event.type === "turn-end") {
      this.finish(event);
      return;
    }
    const stopSequence = this.content.show(event);
    if (stopSequence !== undefined) this.endByUs("stop-sequence", stopSequence);
  }

  private pause(): void {
    const end = this.reader.pause();
    if (this.waiting.length === 0) return;
    this.phase = "paused";
    this.disarm();
    const unclean = this.cut || this.content.hidden;
    void this.publish(end, () => this.report(unclean && this.process.launch.kind === "chat" ? "unclean" : "paused"));
  }

  private exited(report: ExitReport): void {
    this.windUp.done();
    this.fail(exitFault(report, this.reader.agentStarted));
    this.report("gone");
  }

  /** The reader's own end, or ours for it: completed with what the turn changed, then given out. */
  private finish(end: TurnEnd): void {
    const reason = this.interruptedAs;
    const told = reason && end.reason.unified === "interrupted" ? { ...end.reason, unified: reason } : end.reason;
    const byCut = !this.reader.settled;
    this.close();
    void this.publish({ ...end, reason: told }, () => {
      if (byCut) this.windUpNow();
      this.report(this.cleanState());
    });
  }

  /** Ends the answer before claude does, or before it has begun. */
  private endByUs(unified: EndReason, stopSequence?: string): void {
    this.cut = true;
    this.close();
    const report = () => this.report(this.process.alive ? "unclean" : "gone");
    const end = makeOwnEnd(unified, this.reader.usage, stopSequence);
    this.windUpNow();
    void this.publish(end, report);
  }

  private async publish(end: TurnEnd, report: () => void): Promise<void> {
    const filesChanged = await this.options.changes?.changes();
    report();
    this.queue.push({ ...end, filesChanged });
  }

  private fail(error: unknown): void {
    if (this.phase === "over") return;
    this.cut = true;
    this.close();
    this.report(this.process.alive ? "unclean" : "gone");
    this.queue.fail(error);
    if (!this.reader.settled) this.windUpNow();
  }

  /** The client is gone, or somebody asked: claude stops, and its own result ends the turn. */
  private endAs(reason: EndReason): void {
    if (this.interruptedAs || this.phase === "over") return;
    this.interruptedAs = reason;
    if (this.prompted) {
      this.cut = true;
      this.windUpNow();
    } else this.endByUs(reason);
  }

  private windUpNow(): void {
    if (!this.reader.settled && this.prompted && this.process.alive) this.windUp.begin();
  }

  /** The CLI's result has come: the process takes the next prompt. */
  private wound(): void {
    this.windUp.done();
    // While the turn's changes are still being told, its report settles it.
    if (this.phase === "over" && this.result) this.quiet(this.result);
  }

  private close(): void {
    this.phase = "over";
    this.disarm();
    this.prompts.clear();
    this.content.calls.clear();
  }

  private disarm(): void {
    this.watchdog.stop();
    this.part.signal.removeEventListener("abort", this.onAbort);
  }

  private cleanState(): PartOutcome["state"] {
    if (!this.process.alive) return "gone";
    return this.cut || this.content.hidden || this.reader.unclean || !this.reader.settled ? "unclean" : "clean";
  }

  private report(state: PartOutcome["state"]): void {
    const { promptUuid, claudeSessionId, lastLineUuid } = this.standpoint;
    this.result = { state, answer: this.content.answer, promptUuid, claudeSessionId, lastLineUuid };
    if (state !== "paused" && (this.reader.settled || !this.prompted || state === "gone")) this.quiet(this.result);
  }

  /** Nothing of this turn comes any more: what it holds is let go. */
  private quiet(outcome: PartOutcome): void {
    this.windUp.done();
    this.process.listen(undefined);
    this.quieted.resolve(outcome);
  }
}
