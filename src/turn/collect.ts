/** A non-streamed answer is the collected stream: one engine path, never two. */
import type { TurnEnd, TurnEvent } from "./events.ts";
import type { JsonObject } from "./message.ts";

/** `round` counts how often Claude's own tools, or a notice, came before the block. */
export type ResultBlock =
  | { type: "text"; text: string; round: number }
  | { type: "thinking"; text: string; signature: string | undefined; round: number }
  | { type: "client-call"; id: string; name: string; arguments: string };

/** One use of Claude's own tools, as an answer reports it beside the text. */
export interface ToolActivity {
  id: string;
  name: string;
  input: JsonObject;
  isError: boolean | undefined;
}

export interface TurnResult {
  turnId: string;
  sessionId: string | undefined;
  model: string;
  ignored: string[];
  /** In the order in which they began. */
  blocks: ResultBlock[];
  activity: ToolActivity[];
  end: TurnEnd;
}

/**
 * Stands between two texts of one answer that Claude's own work lies between, in formats that know only one text. Texts
 * of the same round follow each other as they are: the client sends back exactly what the model said.
 */
export const ROUND_SEPARATOR = "\n\n";

/** The answer's text (or its thinking) as one string, as an encoder streams it. */
export function joinText(blocks: readonly ResultBlock[], type: "text" | "thinking" = "text"): string {
  let joined = "";
  let round = 0;
  for (const block of blocks) {
    if (block.type === "client-call" || block.type !== type || block.text === "") continue;
    if (joined !== "" && block.round !== round) joined += ROUND_SEPARATOR;
    joined += block.text;
    round = block.round;
  }
  return joined;
}

/** Consumes a whole turn. Throws what the turn throws; a stream without `turn-end` is our own bug. */
export async function collect(events: AsyncIterable<TurnEvent>): Promise<TurnResult> {
  const blocks: ResultBlock[] = [];
  const open = new Map<string, { type: string; parts: string[]; block: ResultBlock }>();
  const activity = new Map<string, ToolActivity>();
  let start: Extract<TurnEvent, { type: "turn-start" }> | undefined;
  let end: TurnEnd | undefined;
  let round = 0;

  const begin = (id: string, block: ResultBlock) => {
    blocks.push(block);
    open.set(id, { type: block.type, parts: [], block });
  };
  const add = (id: string, text: string) => open.get(id)?.parts.push(text);
  const finish = (id: string): { parts: string[]; block: ResultBlock } | undefined => {
    const entry = open.get(id);
    open.delete(id);
    return entry;
  };

  for await (const event of events) {
    switch (event.type) {
      case "turn-start":
        start = event;
        break;
      case "text-start":
        begin(event.id, { type: "text", text: "", round });
        break;
      case "thinking-start":
        begin(event.id, { type: "thinking", text: "", signature: undefined, round });
        break;
      case "client-call-start":
        begin(event.id, { type: "client-call", id: event.id, name: event.name, arguments: "" });
        break;
      case "text-delta":
      case "thinking-delta":
        add(event.id, event.text);
        break;
      case "text-end": {
        const entry = finish(event.id);
        if (entry?.block.type === "text") entry.block.text = entry.parts.join("");
        break;
      }
      case "thinking-end": {
        const entry = finish(event.id);
        if (entry?.block.type === "thinking") {
          entry.block.text = entry.parts.join("");
          entry.block.signature = event.signature;
        }
        break;
      }
      case "client-call-end": {
        const entry = finish(event.id);
        if (entry?.block.type === "client-call") entry.block.arguments = event.arguments;
        break;
      }
      case "tool-start":
      case "notice":
        round++;
        break;
      case "tool-run":
        round++;
        activity.set(event.id, { id: event.id, name: event.name, input: event.input, isError: undefined });
        break;
      case "tool-end": {
        const entry = activity.get(event.id);
        if (entry) entry.isError = event.isError;
        break;
      }
      case "turn-end":
        end = event;
        break;
      default:
        break;
    }
  }
  if (!start || !end) throw new Error("a turn ended without turn-start and turn-end");
  // A turn that was cut (interrupt, watchdog) leaves blocks open: they keep what they have.
  for (const { parts, block } of open.values()) {
    if (block.type !== "client-call") block.text = parts.join("");
  }
  const { turnId, sessionId, model, ignored } = start;
  return { turnId, sessionId, model, ignored, blocks, activity: [...activity.values()], end };
}
