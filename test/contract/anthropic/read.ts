/** Reads streams of messages as strictly as the strictest client does. */

export interface Frame {
  type: string;
  index?: number;
  content_block?: Record<string, unknown>;
  delta?: Record<string, unknown>;
  [key: string]: unknown;
}

const KNOWN = [
  "message_start",
  "content_block_start",
  "content_block_delta",
  "content_block_stop",
  "message_delta",
  "message_stop",
  "ping",
  "error",
];

/** All frames. Throws where one is not `event:`, `data:` and a blank line, or of a type that clients do not know. */
export function framesOf(raw: string): Frame[] {
  if (!raw.endsWith("\n\n")) throw new Error("the stream ends inside a frame");
  return raw
    .slice(0, -2)
    .split("\n\n")
    .map((text) => {
      const match = /^event: (\w+)\ndata: ([^\n]+)$/.exec(text);
      if (!match) throw new Error(`no frame: ${text}`);
      const frame = JSON.parse(match[2] ?? "") as Frame;
      if (frame.type !== match[1] || !KNOWN.includes(frame.type)) throw new Error(`no known event: ${text}`);
      return frame;
    });
}

/** All text, by the rules of Messages: start first, blocks one after the other, one end. */
export function textOf(raw: string): string {
  const frames = framesOf(raw);
  if (frames[0]?.type !== "message_start") throw new Error("message_start is not first");
  let text = "";
  let next = 0;
  let open: string | undefined;
  let ended = false;
  for (const [place, frame] of frames.entries()) {
    if (frame.type === "message_start" && place > 0) throw new Error("a second message_start");
    if (ended && frame.type !== "message_stop" && frame.type !== "ping") throw new Error("a block after the end");
    if (frame.type === "content_block_start") {
      if (open !== undefined || frame.index !== next) throw new Error("blocks are not one after the other");
      open = String(frame.content_block?.type);
    } else if (frame.type === "content_block_delta") {
      if (open === undefined || frame.index !== next) throw new Error("a delta outside of its block");
      if (frame.delta?.type === "text_delta" && open === "text") text += frame.delta.text;
    } else if (frame.type === "content_block_stop") {
      if (open === undefined || frame.index !== next) throw new Error("the end of a block that is not open");
      open = undefined;
      next++;
    } else if (frame.type === "message_delta") {
      if (open !== undefined) throw new Error("a block is still open at the end");
      ended = true;
    }
  }
  if (!ended) throw new Error("no message_delta");
  return text;
}
