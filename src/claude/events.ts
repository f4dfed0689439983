/**
 * From lines of the CLI to events of one turn: a state machine without I/O. Its traps, all measured:
 *
 * - `assistant` lines repeat what was streamed (they complete tool input), but a line whose message was never streamed is
 *   the only copy (non-streaming fallback, local slash commands).
 * - The CLI goes on by itself after `max_tokens`, a refusal, a broken stream. What it adds then answers a line that
 *   the client never sent: the turn ends at the cut, and what follows is not read.
 * - A block starts with its first content, so that a restart before it leaves no trace.
 */
import type { TurnEnd, TurnEvent, Usage } from "../turn/events.ts";
import type { ClaudeMessage } from "./messages.ts";
import { readAssistant, readSystem, readUser } from "./read-lines.ts";
import { readResult } from "./read-result.ts";
import { readStream } from "./read-stream.ts";
import { createReading, makeEnd, partUsage, type TurnReaderOptions } from "./reading.ts";
import { add, zero } from "./usage.ts";

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

export function createTurnReader(options: TurnReaderOptions = {}): TurnReader {
  const reading = createReading(options);
  const { out, evidence } = reading;
  let active = options.promptUuid === undefined;

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
    if (reading.ended && message.type !== "result") return out;
    if (!active) activate(message);
    if (!active) return out;
    switch (message.type) {
      case "stream_event":
        // Subagents do not stream to us; if one ever does, it is not the answer.
        if (message.parent_tool_use_id === null) readStream(reading, message);
        break;
      case "assistant":
        readAssistant(reading, message);
        break;
      case "user":
        readUser(reading, message);
        break;
      case "system":
        readSystem(reading, message);
        break;
      case "result":
        readResult(reading, message);
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
      return reading.callsReady;
    },
    pause() {
      const usage = partUsage(reading);
      reading.earlier = add(reading.earlier, usage);
      reading.part = zero();
      reading.open = undefined;
      reading.callsReady = false;
      reading.modelStarted = false;
      return makeEnd(
        reading,
        "tool-calls",
        { costUsd: undefined, numTurns: undefined, denials: [], usage },
        "tool_use",
      );
    },
    get ended() {
      return reading.ended;
    },
    get settled() {
      return reading.settled;
    },
    get agentStarted() {
      return evidence.agentStarted;
    },
    get unclean() {
      return reading.unclean;
    },
    get usage() {
      return partUsage(reading);
    },
    get totalCostUsd() {
      return reading.totalCostUsd;
    },
  };
}
