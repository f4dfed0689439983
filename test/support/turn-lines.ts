/** Reads the lines of a bare claude through the turn reader, as an owner does. */
import { createTurnReader, type TurnReader } from "../../src/claude/events.ts";
import type { ClaudeMessage } from "../../src/claude/messages.ts";
import type { TurnReaderOptions } from "../../src/claude/reading.ts";
import type { TurnEnd, TurnEvent } from "../../src/turn/events.ts";
import type { BareClaude } from "./claude.ts";

export interface ReadTurn {
  events: TurnEvent[];
  /** What the reader threw. */
  error: unknown;
  reader: TurnReader;
}

/** All of a turn's lines through a new reader; never throws. */
export function readTurn(lines: Iterable<ClaudeMessage>, options: TurnReaderOptions = {}): ReadTurn {
  const reader = createTurnReader(options);
  const events: TurnEvent[] = [];
  let error: unknown;
  for (const line of lines) {
    try {
      events.push(...reader.read(line));
    } catch (thrown) {
      error ??= thrown;
    }
    if (reader.callsReady) events.push(reader.pause());
  }
  return { events, error, reader };
}

/** Prompts, waits for the result, reads the turn. */
export async function runTurn(claude: BareClaude, prompt: string, options: TurnReaderOptions = {}): Promise<ReadTurn> {
  const from = claude.lines.length;
  claude.prompt(prompt);
  return readTurn(await claude.turn(from), options);
}

export function shownText(events: readonly TurnEvent[]): string {
  return events.map((event) => (event.type === "text-delta" ? event.text : "")).join("");
}

/** The types in order, runs of one type once. */
export function typesOf(events: readonly TurnEvent[]): string[] {
  const types = events.map((event) => event.type);
  return types.filter((type, index) => type !== types[index - 1]);
}

export function endOf(events: readonly TurnEvent[]): TurnEnd | undefined {
  return events.findLast((event) => event.type === "turn-end");
}
