/**
 * One turn on one process: from the prompt (or a resumed process's own answer) through pauses for client calls to the
 * result. Lines become events through `claude/events.ts`; here is what needs a process and time: settings, stop
 * sequences, pauses, permissions, the watchdog, interrupts, backpressure.
 *
 * Over 300 lines: one state machine whose states are read together.
 */

import { createTurnReader, type TurnReader } from "../claude/events.ts";
import type { ClaudeMessage } from "../claude/messages.ts";
import { DEFAULT_SETTINGS } from "../claude/settings.ts";
import type {
  ClaudeProcess,
  ClientCallRequest,
  ClientCallResult,
  ExitReport,
  PermissionPrompt,
  ProcessListener,
} from "../claude/transport.ts";
import { DaemonError } from "../errors.ts";
import type { EndReason, TurnEnd, TurnEvent } from "../turn/events.ts";
import type { AssistantBlock, ClientResultBlock, JsonObject, UserBlock } from "../turn/message.ts";
import type { PartOptions, PartOutcome, Turn, TurnInput, TurnOptions } from "./contracts.ts";
import { EventQueue } from "./event-queue.ts";
import { StopFilter } from "./stop-filter.ts";

/** An interrupted process that has not wound up after this long is ended. */
const WIND_UP_MS = 5_000;
/** The CLI's cost is a sum over the process's life: what it was at the end of the turn before. */
const costs = new WeakMap<ClaudeProcess, number>();

/**
 * Begins a turn on a process that nobody else uses. The process must be idle (or freshly resumed) and stays its owner's:
 * the turn never ends it, except where it does not wind up after an interrupt.
 */
export function runTurn(process: ClaudeProcess, input: TurnInput, options: TurnOptions): Turn {
  return new RunningTurn(process, input, options);
}

type ClientCallEvent = Extract<TurnEvent, { type: `client-call-${string}` }>;

interface ClientCall {
  /** The CLI has asked for its result. */
  asked: boolean;
  /** Shown to the client; one that is not is answered by us. */
  shown: boolean;
  result: ClientCallResult | undefined;
}

const ONE_AT_A_TIME: ClientCallResult = {
  content: [{ type: "text", text: "Not run: the client allows one call at a time. Call it again on its own." }],
  isError: true,
};

class RunningTurn implements Turn {
  readonly turnId: string;
  readonly settled: Promise<PartOutcome>;
  private readonly queue: EventQueue;
  private readonly reader: TurnReader;
  private part: PartOptions;
  private phase: "running" | "paused" | "over" = "running";
  private result: PartOutcome | undefined;
  private settle: (outcome: PartOutcome) => void = () => {};
  private interruptedAs: EndReason | undefined;
  private windUp: Timer | undefined;
  private watchdog: Timer | undefined;
  private lastLineAt = performance.now();
  private readonly runningTools = new Set<string>();
  private readonly prompts = new Map<string, AbortController>();
  private readonly calls = new Map<string, ClientCall>();
  private stopFilter: StopFilter | undefined;
  private answer: AssistantBlock[] = [];
  private textParts: string[] = [];
  private claudeSessionId: string | undefined;
  private lastLineUuid: string | undefined;
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
    const { promise, resolve } = Promise.withResolvers<PartOutcome>();
    this.settled = promise;
    this.settle = resolve;
    this.reader = createTurnReader({
      clientTools: options.clientTools,
      kind: process.launch.kind,
      previousCostUsd: costs.get(process) ?? 0,
      structuredOutput: options.structuredOutput,
      followContinuations: process.launch.kind === "agent",
    });
    this.queue = new EventQueue({ pause: () => process.pauseReading(), resume: () => process.resumeReading() });
    process.listen(this.listener());
    this.announce();
    for (const replay of input.early ?? []) replay(this.listener());
    void this.begin(input);
  }

  get outcome(): PartOutcome | undefined {
    return this.result;
  }

  get waiting(): readonly string[] {
    return [...this.calls].filter(([, call]) => call.shown && !call.result).map(([id]) => id);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TurnEvent, void, undefined> {
    let ended = false;
    try {
      for (;;) {
        const event = this.queue.take();
        if (event === undefined) {
          await this.queue.arrival();
          continue;
        }
        ended = event.type === "turn-end";
        yield event;
        if (ended) return;
      }
    } catch (error) {
      ended = true;
      throw error;
    } finally {
      if (!ended) {
        this.queue.drop();
        void this.interrupt();
      }
    }
  }

  continue(results: ClientResultBlock[], more: UserBlock[], options: PartOptions): void {
    if (this.phase !== "paused") throw new DaemonError("internal", "This turn does not wait for results.");
    this.phase = "running";
    this.result = undefined;
    this.part = options;
    this.answer = [];
    this.stopFilter = undefined;
    this.lastLineAt = performance.now();
    this.announce();
    void this.resume(results, more);
  }

  async interrupt(): Promise<void> {
    this.endAs("interrupted");
    await this.settled;
  }

  /** Settings, then the prompt: the first request of the turn must already carry them. */
  private async begin(input: TurnInput): Promise<void> {
    try {
      // Not awaited: the first token need not wait for it. Tools do, in `beforeEdit`.
      void this.options.changes?.before();
      await this.applySettings();
      if (this.phase === "over" || !input.content) return;
      this.prompted = true;
      await this.process.prompt(input.content, { verbatim: input.verbatim });
    } catch (error) {
      this.fail(error);
    }
  }

  private async resume(results: ClientResultBlock[], more: UserBlock[]): Promise<void> {
    try {
      await this.applySettings();
      // Before the results: the CLI folds a waiting message into the request that carries them.
      if (more.length > 0) await this.process.prompt(more, { verbatim: true });
      for (const result of results) {
        const call = this.calls.get(result.callId);
        if (!call) continue;
        call.result = toCallResult(result);
        this.answerCall(result.callId, call);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  /** Always said, also when neutral: a process keeps what the turn before set. It costs nothing where nothing changes. */
  private async applySettings(): Promise<void> {
    await this.process.applySettings(this.part.settings ?? DEFAULT_SETTINGS);
  }

  /** `turn-start` of a part, the client's signal, the watchdog. */
  private announce(): void {
    const { turnId, sessionId, model } = this.options;
    this.queue.open({ type: "turn-start", turnId, sessionId, model, ignored: this.part.ignored });
    if (this.part.signal.aborted) queueMicrotask(this.onAbort);
    else this.part.signal.addEventListener("abort", this.onAbort, { once: true });
    this.armWatchdog(this.options.stallTimeoutMs);
  }

  private listener(): ProcessListener {
    return {
      message: (message) => this.read(message),
      clientCall: (call) => this.clientCall(call),
      permission: (prompt) => this.ask(prompt),
      cancelled: (id) => this.cancelled(id),
      beforeEdit: (tool, input) => this.beforeEdit(tool, input),
      exited: (report) => this.exited(report),
    };
  }

  private read(message: ClaudeMessage): void {
    this.lastLineAt = performance.now();
    this.note(message);
    let events: readonly TurnEvent[];
    try {
      events = this.reader.read(message);
    } catch (error) {
      this.fail(error);
      events = [];
    }
    for (const event of events) this.take(event);
    if (this.phase === "running" && this.reader.callsReady) this.pause();
    if (!this.reader.settled) return;
    costs.set(this.process, this.reader.totalCostUsd);
    this.wound();
  }

  /** Where the process stands, for resuming and branching. */
  private note(message: ClaudeMessage): void {
    if (message.type === "assistant" && message.parent_tool_use_id === null && typeof message.uuid === "string") {
      this.lastLineUuid = message.uuid;
    } else if (
      (message.type === "system" && message.subtype === "init") ||
      (message.type === "result" && this.claudeSessionId === undefined)
    ) {
      if (typeof message.session_id === "string" && message.session_id !== this.claudeSessionId) {
        this.claudeSessionId = message.session_id;
        this.options.begun?.(message.session_id);
      }
    }
  }

  private take(event: TurnEvent): void {
    if (this.phase === "over") return;
    switch (event.type) {
      case "text-start":
        if (this.part.stop.length > 0) this.stopFilter = new StopFilter(this.part.stop);
        this.textParts = [];
        break;
      case "text-delta":
        if (this.stopFilter) {
          this.takeText(event.id, event.text, this.stopFilter);
          return;
        }
        this.textParts.push(event.text);
        break;
      case "text-end": {
        const held = this.stopFilter?.flush() ?? "";
        if (held !== "") {
          this.textParts.push(held);
          this.queue.push({ type: "text-delta", id: event.id, text: held });
        }
        this.answer.push({ type: "text", text: this.textParts.join("") });
        break;
      }
      case "tool-run":
        this.runningTools.add(event.id);
        break;
      case "tool-end":
        this.runningTools.delete(event.id);
        break;
      case "client-call-start":
      case "client-call-delta":
      case "client-call-end":
        this.takeCall(event);
        return;
      case "turn-end":
        this.finish(event);
        return;
      default:
        break;
    }
    this.queue.push(event);
  }

  private takeText(id: string, text: string, filter: StopFilter): void {
    const { text: shown, hit } = filter.push(text);
    if (shown !== "") {
      this.textParts.push(shown);
      this.queue.push({ type: "text-delta", id, text: shown });
    }
    if (hit === undefined) return;
    this.queue.push({ type: "text-end", id });
    this.endByUs("stop-sequence", hit);
  }

  /** A call beyond the one that the client allows is not shown; we answer it. */
  private takeCall(event: ClientCallEvent): void {
    let call = this.calls.get(event.id);
    if (!call || event.type === "client-call-start") {
      const crowded = !this.part.parallelCalls && this.waiting.length > 0;
      call = { asked: call?.asked ?? false, shown: !crowded, result: crowded ? ONE_AT_A_TIME : undefined };
      this.calls.set(event.id, call);
      if (crowded) this.cut = true;
    }
    if (!call.shown) {
      if (event.type === "client-call-end") this.answerCall(event.id, call);
      return;
    }
    this.queue.push(event);
    if (event.type === "client-call-end") {
      const input = parseArguments(event.arguments);
      this.answer.push({ type: "client-call", id: event.id, name: event.name, input });
    }
  }

  private clientCall(request: ClientCallRequest): void {
    this.lastLineAt = performance.now();
    // It may come before its block has streamed to the end.
    const call = this.calls.get(request.callId) ?? { asked: true, shown: true, result: undefined };
    call.asked = true;
    this.calls.set(request.callId, call);
    this.answerCall(request.callId, call);
  }

  private answerCall(callId: string, call: ClientCall): void {
    if (!call.asked || !call.result) return;
    this.process.answerClientCall(callId, call.result);
    this.calls.delete(callId);
  }

  private pause(): void {
    const end = this.reader.pause();
    if (this.waiting.length === 0) return;
    this.phase = "paused";
    this.disarm();
    void this.publish(end, () => this.report(this.cut && this.process.launch.kind === "chat" ? "unclean" : "paused"));
  }

  private ask(prompt: PermissionPrompt): void {
    const abort = new AbortController();
    this.prompts.set(prompt.requestId, abort);
    const { turnId } = this;
    void this.options.permissions
      .ask(prompt, {
        turnId,
        signal: abort.signal,
        emit: (event) => void (this.phase !== "over" && this.queue.push(event)),
      })
      .then((answer) => {
        if (!this.prompts.delete(prompt.requestId)) return;
        this.lastLineAt = performance.now();
        this.process.answerPermission(prompt.requestId, answer);
      });
  }

  private cancelled(id: string): void {
    this.prompts.get(id)?.abort();
    this.prompts.delete(id);
    this.calls.delete(id);
  }

  private async beforeEdit(tool: string, input: JsonObject): Promise<void> {
    await this.options.changes?.beforeEdit(tool, input);
  }

  private exited(report: ExitReport): void {
    clearTimeout(this.windUp);
    if (this.phase !== "over") {
      const agentStarted = this.reader.agentStarted;
      const message = "claude ended in the middle of the turn. Send the request again.";
      this.fail(
        report.failure ??
          new DaemonError("claude_crashed", message, {
            detail: agentStarted ? { agentStarted } : {},
            cause: new Error(`exit ${report.code ?? report.signal}: ${report.stderrTail}`),
          }),
      );
    }
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
    const end: TurnEnd = {
      type: "turn-end",
      reason: { unified, raw: stopSequence === undefined ? undefined : "stop_sequence" },
      ...(stopSequence === undefined ? {} : { stopSequence }),
      usage: this.reader.usage,
      costUsd: undefined,
      numTurns: undefined,
      filesChanged: undefined,
      permissionDenials: [],
    };
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
    if (this.reader.settled || !this.prompted || !this.process.alive || this.windUp) return;
    this.windUp = setTimeout(() => void this.process.close({ now: true }), WIND_UP_MS);
    this.process.interrupt().catch(() => void this.process.close({ now: true }));
  }

  /** The CLI's result has come: the process takes the next prompt. */
  private wound(): void {
    clearTimeout(this.windUp);
    // While the turn's changes are still being told, its report settles it.
    if (this.phase === "over" && this.result) this.quiet(this.result);
  }

  private close(): void {
    this.phase = "over";
    this.disarm();
    for (const abort of this.prompts.values()) abort.abort();
    this.prompts.clear();
    this.calls.clear();
  }

  private disarm(): void {
    clearTimeout(this.watchdog);
    this.part.signal.removeEventListener("abort", this.onAbort);
  }

  private cleanState(): PartOutcome["state"] {
    if (!this.process.alive) return "gone";
    return this.cut || this.reader.unclean || !this.reader.settled ? "unclean" : "clean";
  }

  private report(state: PartOutcome["state"]): void {
    this.result = this.makeOutcome(state);
    if (state !== "paused" && (this.reader.settled || !this.prompted || state === "gone")) this.quiet(this.result);
  }

  /** Nothing of this turn comes any more: what it holds is let go. */
  private quiet(outcome: PartOutcome): void {
    clearTimeout(this.windUp);
    this.process.listen(undefined);
    this.settle(outcome);
  }

  private makeOutcome(state: PartOutcome["state"]): PartOutcome {
    const { answer, claudeSessionId, lastLineUuid } = this;
    return { state, answer, claudeSessionId, lastLineUuid };
  }

  /** One timer a turn, not one a line. */
  private armWatchdog(delayMs: number): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      const quietMs = performance.now() - this.lastLineAt;
      const excused = this.runningTools.size > 0 || this.prompts.size > 0 || this.queue.paused;
      if (excused) this.armWatchdog(this.options.stallTimeoutMs);
      else if (quietMs < this.options.stallTimeoutMs) this.armWatchdog(this.options.stallTimeoutMs - quietMs);
      else this.endAs("stalled");
    }, delayMs);
  }
}

function toCallResult(block: ClientResultBlock): ClientCallResult {
  const content: ClientCallResult["content"] = [];
  for (const part of block.content) {
    if (part.type === "text") content.push({ type: "text", text: part.text });
    else if (part.type === "document") content.push({ type: "text", text: part.data });
    else if (part.source.kind === "base64") {
      content.push({ type: "image", mediaType: part.source.mediaType, data: part.source.data });
    } else content.push({ type: "text", text: part.source.url });
  }
  return { content, isError: block.isError };
}

function parseArguments(json: string): JsonObject {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
  } catch {
    return {};
  }
}
