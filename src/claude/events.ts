/**
 * From lines of the CLI to events of one turn: a state machine without I/O. Its traps, all measured:
 *
 * - `assistant` lines repeat what was streamed (they complete tool input), but a line whose message was never streamed is
 *   the only copy (non-streaming fallback, local slash commands).
 * - The CLI goes on by itself after `max_tokens`, a refusal, a broken stream. What it adds then answers a line that
 *   the client never sent: the turn ends at the cut, and what follows is not read.
 * - A block starts with its first content, so that a restart before it leaves no trace.
 *
 * Over 300 lines: one machine whose states are read together; blocks, usage and faults stand in files of their own.
 */
import { DaemonError } from "../errors.ts";
import type { EndReason, PermissionDenial, TurnEnd, TurnEvent, Usage } from "../turn/events.ts";
import type { Json, JsonObject } from "../turn/message.ts";
import { type Block, createBlockWriter } from "./blocks.ts";
import { type FaultEvidence, faultOf, retryFault } from "./faults.ts";
import { isObject } from "./json.ts";
import type { AssistantLine, ClaudeMessage, ResultLine, StreamEventMessage, SystemLine, UserLine } from "./messages.ts";
import { add, merge, subtract, usageOf, zero } from "./usage.ts";

/** Longest announced pause before a retry of the CLI that a turn sits out; below what clients wait for a status. */
const MAX_RETRY_PAUSE_MS = 8_000;

export interface TurnReaderOptions {
  /** Names of the client's tools as the client wrote them; every other tool is Claude's own. */
  clientTools?: readonly string[];
  /** Beside Claude's own tools (agent) some of the client's go by another name (`tool-names.ts`). Default: chat. */
  kind?: "agent" | "chat";
  /** The process's `total_cost_usd` before this turn (`totalCostUsd` of the reader before); 0 for a new process. */
  previousCostUsd?: number;
  /** The CLI's own structured output is on: the answer's text is the validated JSON, nothing else. */
  structuredOutput?: boolean;
  /**
   * Follow the CLI's own continuations after `max_tokens` and refusals, as the terminal does (agents). Default: the turn
   * ends there with `length` or `refusal`, at once, so that the owner can interrupt.
   */
  followContinuations?: boolean;
  /**
   * Read nothing before the CLI says that this prompt's turn began. Only where turns may start by themselves (background
   * tasks on); needs a CLI that reports `command_lifecycle`.
   */
  promptUuid?: string;
}

export interface TurnReader {
  /**
   * What a line means, in order. The array is reused: use it up before the next call. Throws `DaemonError` when the turn
   * has failed; after that, and after `turn-end`, it yields nothing.
   */
  read(message: ClaudeMessage): readonly TurnEvent[];
  /**
   * True once the model waits for the client: its message with client calls is complete (or a subagent made one). The
   * owner ends its response with `pause()` and goes on reading when it has the results.
   */
  readonly callsReady: boolean;
  /** Ends this part of the turn with `tool-calls`; usage and `model-start` begin anew after it. */
  pause(): TurnEnd;
  /** `turn-end` was given, or an error thrown. */
  readonly ended: boolean;
  /** The CLI's `result` for this turn was read: the process takes the next prompt. After a cut it comes later than `ended`. */
  readonly settled: boolean;
  /** Claude's own tools have run: a retry of this turn could repeat their effects. */
  readonly agentStarted: boolean;
  /** The process's memory holds lines that the client never sent (nudge, cut, interrupt, compaction, error). */
  readonly unclean: boolean;
  /** Usage of this part so far, for a turn that its owner ends itself (watchdog). */
  readonly usage: Usage;
  readonly totalCostUsd: number;
}

/** Longest tool output that an event carries; the model saw what it saw. */
const MAX_TOOL_OUTPUT_CHARS = 100_000;

/** One message of the API, while it streams. */
interface ApiMessage {
  id: string;
  blocks: (Block | undefined)[];
  /** Something of it was given out: it cannot be taken back. */
  shown: boolean;
  calls: boolean;
  /** `message_delta` came: it is complete (a broken one ends without). */
  complete: boolean;
  /** Stop reason; null after an interrupt. */
  stop: string | null | undefined;
}

export function createTurnReader(options: TurnReaderOptions = {}): TurnReader {
  const withheld = options.structuredOutput === true;
  const out: TurnEvent[] = [];
  const { blockOf, start, readDelta, finish, ownTools } = createBlockWriter(out, {
    clientTools: options.clientTools ?? [],
    kind: options.kind ?? "chat",
    withheld,
  });
  const streamed = new Set<string>();
  const evidence: FaultEvidence = { agentStarted: false };
  const previousCostUsd = options.previousCostUsd ?? 0;

  let active = options.promptUuid === undefined;
  let current: ApiMessage | undefined;
  /** The last message ended without a reason: by an interrupt, or because its stream broke. */
  let cutShort = false;
  let modelStarted = false;
  let callsReady = false;
  let ended = false;
  let settled = false;
  let unclean = false;
  let totalCostUsd = previousCostUsd;
  let model = "";
  let stopReason: string | undefined;
  let stopSequence: string | undefined;
  /** Finished messages of this part, and of the parts before it. */
  let part = zero();
  let earlier = zero();
  let open: Usage | undefined;

  const partUsage = (): Usage => (open ? add(part, open) : part);

  function startModel(id: string | undefined, usage: Json | undefined): void {
    if (id !== undefined) model = id;
    if (modelStarted) return;
    modelStarted = true;
    out.push({ type: "model-start", model, usage: usageOf(usage) });
  }

  function finishAll(): void {
    for (const [index, block] of current?.blocks.entries() ?? []) {
      // A client call that was cut is no call: without its end nobody runs it.
      if (!block || !current || block.type === "call") continue;
      finish(block);
      current.blocks[index] = undefined;
    }
  }

  function fail(error: DaemonError): never {
    ended = true;
    unclean = true;
    throw error;
  }

  function brokeOff(): never {
    unclean = true;
    return fail(
      new DaemonError("claude_failed", "The model API's answer broke off in the middle. Send the request again.", {
        detail: evidence.agentStarted ? { reason: "connection", agentStarted: true } : { reason: "connection" },
      }),
    );
  }

  function readStream(line: StreamEventMessage): void {
    const { event } = line;
    switch (event.type) {
      case "content_block_delta": {
        const block = current?.blocks[event.index as number];
        if (!current || !block) return;
        readDelta(block, event.delta as JsonObject);
        if (block.started) current.shown = true;
        return;
      }
      case "content_block_start": {
        if (!current) return;
        const content = event.content_block as JsonObject;
        const block = blockOf(content);
        current.blocks[event.index as number] = block;
        if (block.type === "call") current.calls = true;
        if (block.type === "tool" || block.type === "call") start(block);
        // A start may already carry text.
        else readDelta(block, content);
        if (block.started) current.shown = true;
        return;
      }
      case "content_block_stop": {
        const block = current?.blocks[event.index as number];
        if (!current || !block) return;
        // The CLI closes open blocks before it closes a broken message; whether it broke shows only then. A client
        // call is real only in a message that is whole, so it ends there.
        if (block.type === "call") return;
        finish(block);
        current.blocks[event.index as number] = undefined;
        return;
      }
      case "message_start":
        startMessage(event.message as JsonObject);
        return;
      case "message_delta":
        completeMessage(event);
        return;
      case "message_stop":
        stopMessage();
        return;
      default:
        return;
    }
  }

  function startMessage(message: JsonObject): void {
    // A second start without an end: the stream was restarted from its first word.
    if (current && !current.complete && current.shown) brokeOff();
    // Some CLIs close a broken answer themselves and prompt the model to go on with it, in words that no client sent.
    if (cutShort) {
      if (options.followContinuations !== true) brokeOff();
      unclean = true;
    }
    if (open) part = add(part, open);
    current = { id: String(message.id), blocks: [], shown: false, calls: false, complete: false, stop: undefined };
    streamed.add(current.id);
    open = usageOf(message.usage);
    startModel(String(message.model), message.usage);
  }

  function completeMessage(event: JsonObject): void {
    if (!current) return;
    const delta = event.delta as JsonObject;
    current.complete = true;
    current.stop = typeof delta.stop_reason === "string" ? delta.stop_reason : null;
    if (open) open = merge(open, event.usage);
    stopReason = current.stop ?? undefined;
    stopSequence = typeof delta.stop_sequence === "string" ? delta.stop_sequence : undefined;
    const cut = current.stop === "max_tokens" || current.stop === "model_context_window_exceeded";
    if (options.followContinuations === true) {
      // The CLI prompts the model to go on; older ones do so without a line that says it.
      if (cut) unclean = true;
      return;
    }
    if (cut) end("length");
    else if (current.stop === "refusal") end("refusal");
  }

  function stopMessage(): void {
    const message = current;
    if (!message) return;
    if (!message.complete && message.shown) brokeOff();
    cutShort = message.stop === null && message.shown;
    if (!cutShort) for (const block of message.blocks) if (block?.type === "call") finish(block);
    if (open) part = add(part, open);
    open = undefined;
    current = undefined;
    if (message.calls && message.stop === "tool_use") callsReady = true;
  }

  /** A cut by us: the answer ends here, whatever the CLI does next. */
  function end(reason: EndReason): void {
    unclean = true;
    finishAll();
    pushEnd(reason, { costUsd: undefined, numTurns: undefined, denials: [], usage: partUsage() });
  }

  interface EndFacts {
    costUsd: number | undefined;
    numTurns: number | undefined;
    denials: PermissionDenial[];
    usage: Usage;
    structured?: Json;
  }

  function makeEnd(unified: EndReason, facts: EndFacts, raw = stopReason): TurnEnd {
    return {
      type: "turn-end",
      reason: { unified, raw },
      ...(unified === "stop-sequence" && stopSequence !== undefined ? { stopSequence } : {}),
      usage: facts.usage,
      costUsd: facts.costUsd,
      numTurns: facts.numTurns,
      filesChanged: undefined,
      permissionDenials: facts.denials,
      ...(facts.structured === undefined ? {} : { structuredOutput: facts.structured }),
    };
  }

  function pushEnd(unified: EndReason, facts: EndFacts, raw = stopReason): void {
    ended = true;
    out.push(makeEnd(unified, facts, raw));
  }

  function readAssistant(line: AssistantLine): void {
    // Older CLIs say it without the flag; what they put there is their own words, never the model's.
    if (line.is_api_error_message === true || (line.error !== undefined && line.message.model === "<synthetic>")) {
      evidence.assistant = line;
      unclean = true;
      return;
    }
    const { message } = line;
    const parentId = line.parent_tool_use_id ?? undefined;
    const repeats = parentId !== undefined || streamed.has(String(message.id));
    if (!repeats) {
      startModel(message.model === "<synthetic>" ? undefined : String(message.model), message.usage);
      if (message.stop_reason !== null && message.model !== "<synthetic>") part = add(part, usageOf(message.usage));
    }
    const content = message.content;
    for (const block of typeof content === "string" ? [{ type: "text", text: content }] : (content as JsonObject[])) {
      if (block.type === "tool_use") readToolUse(block, parentId, repeats && parentId === undefined);
      else if (!repeats) readWhole(block);
    }
  }

  /** A tool call with its whole input. `announced`: its stream has already given start and deltas. */
  function readToolUse(content: JsonObject, parentId: string | undefined, announced: boolean): void {
    const block = blockOf(content);
    const input = isObject(content.input) ? content.input : {};
    if (block.type === "silent") return;
    if (block.type === "call") {
      if (announced) return;
      start(block);
      const json = JSON.stringify(input);
      block.json.push(json);
      out.push({ type: "client-call-delta", id: block.id, json });
      finish(block);
      callsReady = true;
      return;
    }
    if (!announced) start(block, parentId);
    evidence.agentStarted = true;
    out.push({ type: "tool-run", id: block.id, name: block.name, input, parentId });
  }

  /** A block that was never streamed. */
  function readWhole(content: JsonObject): void {
    const block = blockOf(content);
    if (block.type !== "text" && block.type !== "thinking") return;
    readDelta(block, content);
    if (block.type === "thinking" && typeof content.signature === "string") {
      readDelta(block, { signature: content.signature });
    }
    finish(block);
  }

  function readUser(line: UserLine): void {
    // The CLI's own words (continuation, nudge, compaction): the process now remembers what no client said.
    if (line.isSynthetic === true && line.parent_tool_use_id === null) unclean = true;
    const content = line.message.content;
    if (!Array.isArray(content)) return;
    for (const block of content) {
      if (!isObject(block) || block.type !== "tool_result") continue;
      const id = String(block.tool_use_id);
      if (!ownTools.delete(id)) continue;
      out.push({ type: "tool-end", id, output: outputOf(block.content), isError: block.is_error === true });
    }
  }

  function readSystem(line: SystemLine): void {
    switch (line.subtype) {
      case "init":
        if (typeof line.model === "string") model = line.model;
        return;
      case "api_retry": {
        evidence.retry = line;
        // The CLI obeys a `retry-after` of minutes in silence. Whoever asked is better told at once, with the time.
        if (typeof line.retry_delay_ms === "number" && line.retry_delay_ms > MAX_RETRY_PAUSE_MS)
          fail(retryFault(evidence));
        const status = typeof line.error_status === "number" ? ` (${line.error_status})` : "";
        notice("api_retry", `The model API did not answer${status}; claude tries again.`);
        return;
      }
      case "compact_boundary":
        unclean = true;
        notice("compaction", "The conversation grew too long; claude has summarised its older part.");
        return;
      case "model_fallback":
      case "model_refusal_fallback":
      case "model_consent_fallback":
        unclean = true;
        notice("model_fallback", typeof line.content === "string" ? line.content : "claude changed the model.");
        return;
      case "informational":
        if (typeof line.content === "string") notice("information", line.content);
        return;
      default:
        return;
    }
  }

  function notice(code: string, text: string): void {
    out.push({ type: "notice", code, text });
  }

  function readResult(line: ResultLine): void {
    const origin = line.origin;
    // The end of a turn that claude started by itself.
    if (isObject(origin) && origin.kind === "task-notification") return;
    settled = true;
    if (typeof line.total_cost_usd === "number") totalCostUsd = line.total_cost_usd;
    if (ended) return;
    evidence.result = line;
    finishAll();
    const facts: EndFacts = {
      // /clear sets the sum back to 0: then what stands there is this turn's.
      costUsd:
        line.total_cost_usd === undefined
          ? undefined
          : Math.max(0, totalCostUsd >= previousCostUsd ? totalCostUsd - previousCostUsd : totalCostUsd),
      numTurns: line.num_turns,
      denials: (line.permission_denials ?? []).map((denial) => ({
        tool: String(denial.tool_name),
        toolUseId: String(denial.tool_use_id),
        input: isObject(denial.tool_input) ? denial.tool_input : {},
      })),
      usage: line.usage === undefined ? partUsage() : subtract(usageOf(line.usage), earlier),
    };
    const raw = line.stop_reason ?? stopReason ?? line.terminal_reason;
    if (line.terminal_reason?.startsWith("aborted_") === true) {
      unclean = true;
      pushEnd("interrupted", facts, line.terminal_reason);
      return;
    }
    if (line.subtype === "error_max_turns" || line.subtype === "error_max_budget_usd") {
      unclean = true;
      pushEnd("max-turns", facts, line.subtype);
      return;
    }
    if (line.stop_reason === "refusal") {
      unclean = true;
      pushEnd("refusal", facts, "refusal");
      return;
    }
    if (/max_output_tokens/.test(line.is_error ? (line.result ?? "") : "")) {
      pushEnd("length", facts, "max_tokens");
      return;
    }
    // Older CLIs end a broken answer here, with its message still open.
    if (line.is_error && current?.shown === true && !current.complete) brokeOff();
    if (line.is_error || line.subtype !== "success") fail(faultOf(evidence));
    if (withheld) facts.structured = readStructured(line);
    stopReason ??= line.stop_reason ?? undefined;
    pushEnd(endReasonOf(raw), facts, raw);
  }

  function readStructured(line: ResultLine): Json {
    if (line.structured_output === undefined) {
      fail(faultOf({ ...evidence, result: { ...line, subtype: "error_max_structured_output_retries" } }));
    }
    const id = "text-structured";
    const text = JSON.stringify(line.structured_output);
    out.push({ type: "text-start", id }, { type: "text-delta", id, text }, { type: "text-end", id });
    return line.structured_output;
  }

  function activate(message: ClaudeMessage): void {
    const uuids = "user_message_uuids" in message ? message.user_message_uuids : undefined;
    active =
      (message.type === "command_lifecycle" &&
        message.command_uuid === options.promptUuid &&
        message.state === "started") ||
      (Array.isArray(uuids) && uuids.includes(options.promptUuid ?? ""));
  }

  function read(message: ClaudeMessage): readonly TurnEvent[] {
    out.length = 0;
    if (ended && message.type !== "result") return out;
    if (!active) activate(message);
    if (!active) return out;
    switch (message.type) {
      case "stream_event":
        // Subagents do not stream to us; if one ever does, it is not the answer.
        if (message.parent_tool_use_id === null) readStream(message);
        break;
      case "assistant":
        readAssistant(message);
        break;
      case "user":
        readUser(message);
        break;
      case "system":
        readSystem(message);
        break;
      case "result":
        readResult(message);
        break;
      case "rate_limit_event":
        evidence.rateLimit = message;
        break;
      default:
        break;
    }
    return out;
  }

  return {
    read,
    get callsReady() {
      return callsReady;
    },
    pause() {
      const usage = partUsage();
      earlier = add(earlier, usage);
      part = zero();
      open = undefined;
      callsReady = false;
      modelStarted = false;
      return makeEnd("tool-calls", { costUsd: undefined, numTurns: undefined, denials: [], usage }, "tool_use");
    },
    get ended() {
      return ended;
    },
    get settled() {
      return settled;
    },
    get agentStarted() {
      return evidence.agentStarted;
    },
    get unclean() {
      return unclean;
    },
    get usage() {
      return partUsage();
    },
    get totalCostUsd() {
      return totalCostUsd;
    },
  };
}

function endReasonOf(raw: string | undefined): EndReason {
  switch (raw) {
    case "stop_sequence":
      return "stop-sequence";
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length";
    case "refusal":
      return "refusal";
    default:
      return "end";
  }
}

function outputOf(content: Json | undefined): string {
  let text = "";
  if (typeof content === "string") text = content;
  else if (Array.isArray(content)) {
    text = content
      .map((block) => {
        if (!isObject(block)) return "";
        return typeof block.text === "string" ? block.text : `[${String(block.type)}]`;
      })
      .join("\n");
  }
  return text.length > MAX_TOOL_OUTPUT_CHARS ? `${text.slice(0, MAX_TOOL_OUTPUT_CHARS)}…` : text;
}
