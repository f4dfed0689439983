/**
 * Bytes to lines. LF only (U+2028 is legal inside JSON, so no readline), bounded, and linear: a chunk of whole lines is
 * decoded once, the pieces of a long line are joined once.
 */
import { DaemonError } from "../errors.ts";

/** Longest line of the CLI that we take: a whole reply with images is a few MB; beyond this it is broken. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024;

const LF = 10;

export interface LineFramer {
  /** The lines that this chunk completes. Keeps the chunk: the caller must not reuse it. Throws `claude_failed`. */
  push(chunk: Uint8Array): string[];
  /** Bytes of a line that never ended. */
  readonly pendingBytes: number;
}

/** A framer for one stream. After it has thrown it is used up. */
export function createLineFramer(maxLineBytes: number = MAX_LINE_BYTES): LineFramer {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;

  const hold = (bytes: Uint8Array) => {
    if (bytes.length === 0) return;
    pendingBytes += bytes.length;
    if (pendingBytes > maxLineBytes)
      throw new DaemonError("claude_failed", "Claude Code wrote a line without end and was stopped. Try again.");
    pending.push(bytes);
  };

  return {
    push(chunk) {
      const last = chunk.lastIndexOf(LF);
      if (last === -1) {
        hold(chunk);
        return [];
      }
      let text: string;
      if (pending.length === 0) {
        text = decoder.decode(chunk.subarray(0, last));
      } else {
        // Only the first line can be long: join its pieces once, and decode the rest of the chunk by itself.
        const first = chunk.indexOf(LF);
        hold(chunk.subarray(0, first));
        text = decoder.decode(Buffer.concat(pending));
        if (last > first) text += decoder.decode(chunk.subarray(first, last));
      }
      pending = [];
      pendingBytes = 0;
      hold(chunk.subarray(last + 1));
      return text.split("\n");
    },
    get pendingBytes() {
      return pendingBytes;
    },
  };
}
