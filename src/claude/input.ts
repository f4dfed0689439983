/** stdin of one claude: whole lines in order, bounded, with backpressure for those who wait. */
import type { FileSink } from "bun";
import { DaemonError } from "../errors.ts";
import type { JsonObject } from "../turn/message.ts";

/** Bytes that may wait for the pipe: several of the largest request bodies. More means that nobody reads. */
export const MAX_WAITING_BYTES = 256 * 1024 * 1024;

export class ClaudeInput {
  readonly #sink: FileSink;
  #waitingBytes = 0;
  #closed = false;

  constructor(sink: FileSink) {
    this.#sink = sink;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Settles when the pipe has taken the line. Throws `claude_crashed` once nobody reads any more. */
  async write(line: JsonObject): Promise<void> {
    if (this.#closed) throw gone();
    const text = `${JSON.stringify(line)}\n`;
    if (this.#waitingBytes + text.length > MAX_WAITING_BYTES)
      throw new DaemonError("claude_failed", "Claude Code has stopped reading its input. Try again.");
    this.#waitingBytes += text.length;
    try {
      // Both may return a promise, and either may be the one that fails (EPIPE).
      const written = this.#sink.write(text);
      await Promise.all([written, this.#sink.flush()]);
    } catch (error) {
      this.#closed = true;
      throw gone(error);
    } finally {
      this.#waitingBytes -= text.length;
    }
  }

  /** EOF after what was written. Idempotent; never throws. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      void Promise.resolve(this.#sink.end()).catch(() => undefined);
    } catch {
      // The reader is gone: that is what EOF was to bring about.
    }
  }
}

function gone(cause?: unknown): DaemonError {
  return new DaemonError("claude_crashed", "Claude Code ended before it could take the message. Try again.", { cause });
}
