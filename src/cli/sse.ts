/** Reads the `data:` fields of a server-sent event stream. */
import { DaemonError } from "../errors.ts";

/** Longest event; our own daemon's are far below it. */
const MAX_EVENT_CHARS = 64 * 1024 * 1024;

/** Yields each event's data. Ends with the stream; leaving it early cancels the request. */
export async function* readSse(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const bytes of body) {
    pending += decoder.decode(bytes, { stream: true });
    if (pending.length > MAX_EVENT_CHARS) throw new DaemonError("claude_failed", "The daemon's answer makes no sense.");
    const events = pending.split("\n\n");
    pending = events.pop() ?? "";
    for (const event of events) {
      const data = event
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(line[5] === " " ? 6 : 5));
      if (data.length > 0) yield data.join("\n");
    }
  }
}
