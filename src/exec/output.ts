/** Reads one output pipe to its end: keeps a bounded beginning, passes it on as text, counts the rest. */

export interface OutputOptions {
  /** Bytes kept; what comes after is read and dropped, so that the program is not blocked. */
  keepBytes: number;
  /** Bytes in all after which `flooded` is called. */
  floodBytes: number;
  /** Text of the kept part, in the order it came; characters are never split. */
  text(text: string): void;
  flooded(): void;
}

export interface Output {
  text: string;
  truncated: boolean;
}

/** Settles when the pipe is closed: every process that held it is gone. */
export async function readOutput(pipe: ReadableStream<Uint8Array>, options: OutputOptions): Promise<Output> {
  const decoder = new TextDecoder();
  const parts: string[] = [];
  let total = 0;
  let kept = 0;
  const show = (text: string) => {
    if (text === "") return;
    parts.push(text);
    options.text(text);
  };
  for await (const chunk of pipe) {
    total += chunk.byteLength;
    if (kept < options.keepBytes) {
      const part = chunk.subarray(0, options.keepBytes - kept);
      kept += part.byteLength;
      show(decoder.decode(part, { stream: true }));
    }
    if (total > options.floodBytes) options.flooded();
  }
  const truncated = total > kept;
  // A character cut by the bound is left out; one that the program itself left unfinished shows as U+FFFD.
  if (!truncated) show(decoder.decode());
  return { text: parts.join(""), truncated };
}
