/** Frames of server-sent events. LF line ends; JSON never holds a raw line break, so one `data:` line is enough. */

export const SSE_CONTENT_TYPE = "text/event-stream; charset=utf-8";

/** One frame from JSON text that is already encoded. */
export function sseFrame(json: string): string {
  return `data: ${json}\n\n`;
}

/** One named frame. `event` is a constant of ours, never a client's string. */
export function sseEvent(event: string, json: string): string {
  return `event: ${event}\ndata: ${json}\n\n`;
}
