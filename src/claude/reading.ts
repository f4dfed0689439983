/**
 * What one turn's lines have said so far, and the steps that lines of every kind share. The machine itself stands in
 * events.ts; how each kind of line is read, in read-stream.ts, read-lines.ts and read-result.ts.
 */
import { DaemonError } from "../errors.ts";
import type { EndReason, PermissionDenial, TurnEnd, TurnEvent, Usage } from "../turn/events.ts";
import type { Json } from "../turn/message.ts";
import { type Block, type BlockWriter, createBlockWriter } from "./blocks.ts";
import type { FaultEvidence } from "./faults.ts";
import { add, usageOf, zero } from "./usage.ts";

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

/** One message of the API, while it streams. */
export interface ApiMessage {
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

export interface Reading {
  readonly options: TurnReaderOptions;
  /** Events of the line that is being read. */
  readonly out: TurnEvent[];
  readonly blocks: BlockWriter;
  readonly evidence: FaultEvidence;
  /** Ids of the messages that came as a stream. */
  readonly streamed: Set<string>;
  readonly previousCostUsd: number;
  totalCostUsd: number;
  current: ApiMessage | undefined;
  /** The last message ended without a reason: by an interrupt, or because its stream broke. */
  cutShort: boolean;
  model: string;
  modelStarted: boolean;
  callsReady: boolean;
  ended: boolean;
  settled: boolean;
  unclean: boolean;
  stopReason: string | undefined;
  stopSequence: string | undefined;
  /** Finished messages of this part, and of the parts before it. */
  part: Usage;
  earlier: Usage;
  /** The message that streams. */
  open: Usage | undefined;
}

export function createReading(options: TurnReaderOptions): Reading {
  const out: TurnEvent[] = [];
  const previousCostUsd = options.previousCostUsd ?? 0;
  return {
    options,
    out,
    blocks: createBlockWriter(out, {
      clientTools: options.clientTools ?? [],
      kind: options.kind ?? "chat",
      withheld: options.structuredOutput === true,
    }),
    evidence: { agentStarted: false },
    streamed: new Set(),
    previousCostUsd,
    totalCostUsd: previousCostUsd,
    current: undefined,
    cutShort: false,
    model: "",
    modelStarted: false,
    callsReady: false,
    ended: false,
    settled: false,
    unclean: false,
    stopReason: undefined,
    stopSequence: undefined,
    part: zero(),
    earlier: zero(),
    open: undefined,
  };
}

/** Usage of this part of the turn so far. */
export function partUsage({ open, part }: Reading): Usage {
  return open ? add(part, open) : part;
}

/** The API has begun to answer; told once in a part. */
export function startModel(reading: Reading, id: string | undefined, usage: Json | undefined): void {
  if (id !== undefined) reading.model = id;
  if (reading.modelStarted) return;
  reading.modelStarted = true;
  reading.out.push({ type: "model-start", model: reading.model, usage: usageOf(usage) });
}

/** Ends the blocks that are open. A client call that was cut is no call: without its end nobody runs it. */
export function finishBlocks({ current, blocks }: Reading): void {
  for (const [index, block] of current?.blocks.entries() ?? []) {
    if (!block || !current || block.type === "call") continue;
    blocks.finish(block);
    current.blocks[index] = undefined;
  }
}

export function notice(reading: Reading, code: string, text: string): void {
  reading.out.push({ type: "notice", code, text });
}

/** The turn has failed. */
export function fail(reading: Reading, error: DaemonError): never {
  reading.ended = true;
  reading.unclean = true;
  throw error;
}

export function brokeOff(reading: Reading): never {
  return fail(
    reading,
    new DaemonError("claude_failed", "The model API's answer broke off in the middle. Send the request again.", {
      detail: reading.evidence.agentStarted ? { reason: "connection", agentStarted: true } : { reason: "connection" },
    }),
  );
}

export interface EndFacts {
  costUsd: number | undefined;
  numTurns: number | undefined;
  denials: PermissionDenial[];
  usage: Usage;
  structured?: Json;
}

/** `raw` is the API's or the CLI's own word for the reason. */
export function makeEnd(reading: Reading, unified: EndReason, facts: EndFacts, raw = reading.stopReason): TurnEnd {
  const { stopSequence } = reading;
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

export function pushEnd(reading: Reading, unified: EndReason, facts: EndFacts, raw = reading.stopReason): void {
  reading.ended = true;
  reading.out.push(makeEnd(reading, unified, facts, raw));
}
