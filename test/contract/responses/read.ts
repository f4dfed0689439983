/** Reads Responses streams as strictly as the strictest client does. */

export interface StreamEvent {
  type: string;
  sequence_number: number;
  output_index?: number;
  content_index?: number;
  item_id?: string;
  delta?: string;
  text?: string;
  item?: Item;
  part?: { type: string; text?: string };
  response?: ResponseObject;
  claude_code?: Record<string, unknown>;
  [key: string]: unknown;
}

export interface Item {
  id: string;
  type: string;
  status?: string;
  content?: { type: string; text?: string; refusal?: string }[];
  summary?: { type: string; text: string }[];
  arguments?: string;
  [key: string]: unknown;
}

export interface ResponseObject {
  id: string;
  status: string;
  output: Item[];
  error: { code: string; message: string } | null;
  usage: Record<string, unknown> | null;
  [key: string]: unknown;
}

export const TERMINAL = ["response.completed", "response.incomplete"];

/** All events. Throws where a frame is not one `event:` line, one `data:` line and a blank one, or out of sequence. */
export function eventsOf(raw: string): StreamEvent[] {
  if (!raw.endsWith("\n\n")) throw new Error("the stream ends inside a frame");
  return raw
    .slice(0, -2)
    .split("\n\n")
    .map((frame, index) => {
      const [name, data, ...rest] = frame.split("\n");
      if (!name?.startsWith("event: ") || !data?.startsWith("data: ") || rest.length > 0) {
        throw new Error(`no frame: ${frame}`);
      }
      const event = JSON.parse(data.slice(6)) as StreamEvent;
      if (event.type !== name.slice(7)) throw new Error(`${name} is not ${event.type}`);
      if (event.sequence_number !== index) throw new Error(`event ${index} has the number ${event.sequence_number}`);
      return event;
    });
}

export function outputText(response: ResponseObject): string {
  return response.output
    .filter((item) => item.type === "message")
    .flatMap((item) => item.content ?? [])
    .map((part) => (part.type === "output_text" ? (part.text ?? "") : ""))
    .join("");
}

/** All text, by the rules of the format: items open and close in order, and the last event says it all again. */
export function textOf(raw: string): string {
  const events = eventsOf(raw);
  if (events[0]?.type !== "response.created" || events[1]?.type !== "response.in_progress") {
    throw new Error("it does not begin with created and in_progress");
  }
  let text = "";
  const open = new Map<string, { text: string; part: boolean }>();
  const done: Item[] = [];
  let items = 0;
  for (const event of events) {
    const { item } = event;
    if (event.type === "response.output_item.added") {
      if (!item?.id || event.output_index !== items++) throw new Error("an item is out of place");
      open.set(item.id, { text: "", part: false });
    } else if (event.type === "response.output_item.done") {
      if (!item || !open.delete(item.id)) throw new Error("an item ends that never began");
      done.push(item);
    } else if (event.type === "response.content_part.added") {
      const entry = open.get(event.item_id ?? "");
      if (!entry) throw new Error("a part without its item");
      entry.part = true;
    } else if (event.type === "response.output_text.delta") {
      const entry = open.get(event.item_id ?? "");
      if (!entry?.part || !event.delta) throw new Error("a delta without its part, or without words");
      entry.text += event.delta;
      text += event.delta;
    } else if (event.type === "response.output_text.done") {
      if (open.get(event.item_id ?? "")?.text !== event.text) throw new Error("the text is not the sum of its deltas");
    }
  }
  const last = events.at(-1)?.response;
  if (!last || open.size > 0) throw new Error("items are left open, or the response is missing");
  if (!Bun.deepEquals(last.output, done)) throw new Error("the last event does not hold the items that were done");
  if (outputText(last) !== text) throw new Error("the last event says something else");
  return text;
}
