/** `session show --follow`: a session's events as they come. */
import { DaemonError } from "../errors.ts";
import { type CliContext, printLine, toTerminalText } from "./context.ts";
import { describeEvent, type EventObject } from "./session-text.ts";
import { readSse } from "./sse.ts";
import { styleOf } from "./style.ts";

/**
 * Shows events until the session is closed. Throws `claude_failed` (exit 69) where the stream ends before that: the daemon
 * has stopped.
 */
export async function followEvents(
  body: ReadableStream<Uint8Array>,
  context: CliContext,
  json: boolean,
): Promise<void> {
  const { stdout } = context;
  const style = styleOf(stdout, context);
  const safe = (text: string) => toTerminalText(text, stdout);
  /** Which kind of text the line that is not ended yet is of. */
  let open: "code_delta" | "thinking_delta" | undefined;
  const endLine = () => {
    if (open !== undefined) printLine(stdout);
    open = undefined;
  };
  try {
    for await (const data of readSse(body)) {
      if (json) {
        printLine(stdout, data);
        if (data.includes('"session_closed"') && (JSON.parse(data) as EventObject).type === "session_closed") return;
        continue;
      }
      const event = JSON.parse(data) as EventObject;
      const { type, text } = event;
      if (type === "code_delta" || type === "thinking_delta") {
        if (open !== type) endLine();
        open = type;
        stdout.write(type === "code_delta" ? safe(text ?? "") : style.faint(safe(text ?? "")));
        continue;
      }
      const lines = describeEvent(event);
      if (lines.length > 0) endLine();
      for (const { text: line, paint } of lines) {
        const shown = safe(line);
        printLine(stdout, paint === undefined ? shown : style[paint](shown));
      }
      if (type === "session_closed") return;
    }
  } finally {
    endLine();
  }
  throw new DaemonError("claude_failed", "The daemon has stopped; the session is kept.");
}
