/** stdout of one claude: read chunk by chunk, so that what nobody takes stays in the pipe and claude waits. */
import { createLineFramer } from "./framing.ts";
import { paced } from "./pace.ts";

export interface OutputOptions {
  stream: ReadableStream<Uint8Array>;
  maxLineBytes: number;
  /** Called synchronously for each line, in order; must not throw. */
  line(text: string): void;
}

export class ClaudeOutput {
  readonly #options: OutputOptions;
  #paused: PromiseWithResolvers<void> | undefined;
  /**
   * Settles at EOF with the bytes of a line that never ended; throws `claude_failed` at a line beyond the bound, after
   * which nothing is read any more.
   */
  readonly done: Promise<number>;

  constructor(options: OutputOptions) {
    this.#options = options;
    this.done = this.#read();
  }

  /** Lines of the chunk in hand still come (a chunk is at most what the pipe held). */
  pause(): void {
    this.#paused ??= Promise.withResolvers<void>();
  }

  resume(): void {
    this.#paused?.resolve();
    this.#paused = undefined;
  }

  /** Settles at once where nothing is paused. */
  async whileReading(): Promise<void> {
    while (this.#paused) await this.#paused.promise;
  }

  async #read(): Promise<number> {
    const framer = createLineFramer(this.#options.maxLineBytes);
    const reader = this.#options.stream.getReader();
    const read = paced(() => reader.read());
    try {
      for (;;) {
        if (this.#paused) await this.whileReading();
        const { value, done } = await read();
        if (done) return framer.pendingBytes;
        for (const line of framer.push(value)) this.#options.line(line);
      }
    } finally {
      void reader.cancel().catch(() => undefined);
    }
  }
}
