/** stdout of one claude: read at its pace, and not at all while nobody takes it, so that claude waits. */
import type { FdSocketOptions, Socket, UnixSocketOptions } from "bun";
import { createLineFramer } from "./framing.ts";
import { Pace } from "./pace.ts";

/** Our end of a socket pair, or where none could be had the runtime's own stream. */
export type OutputSource = { fd: number } | { stream: ReadableStream<Uint8Array> };

export interface OutputOptions {
  source: OutputSource;
  maxLineBytes: number;
  /** Called synchronously for each line, in order; must not throw. */
  line(text: string): void;
}

/** What reads. While it is held no chunk comes, but for those that are under way. */
interface Intake {
  hold(): void;
  release(): void;
  /** Reads no more. Idempotent. */
  close(): void;
}

interface IntakeEvents {
  chunk(bytes: Uint8Array): void;
  end(): void;
  failed(error: unknown): void;
}

export class ClaudeOutput {
  #paused: PromiseWithResolvers<void> | undefined;
  /** Running while the writer is given time to write more. */
  #pacing: Timer | undefined;
  #askedAt = performance.now();
  readonly #intake: Intake;
  /**
   * Settles at EOF with the bytes of a line that never ended; throws `claude_failed` at a line beyond the bound, after
   * which nothing is read any more.
   */
  readonly done: Promise<number>;

  constructor({ source, maxLineBytes, line }: OutputOptions) {
    const framer = createLineFramer(maxLineBytes);
    const pace = new Pace();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.done = promise;
    const failed = (error: unknown) => {
      reject(error);
      clearTimeout(this.#pacing);
      this.#intake.close();
    };
    const events: IntakeEvents = {
      chunk: (bytes) => {
        const waitedMs = performance.now() - this.#askedAt;
        try {
          for (const text of framer.push(bytes)) line(text);
        } catch (error) {
          failed(error);
          return;
        }
        const pauseMs = pace.afterRead(bytes.length, waitedMs);
        this.#askedAt = performance.now();
        if (pauseMs > 0) this.#pauseFor(pauseMs);
      },
      end: () => {
        clearTimeout(this.#pacing);
        this.#pacing = undefined;
        resolve(framer.pendingBytes);
      },
      failed,
    };
    this.#intake = "fd" in source ? readSocket(source.fd, events) : readStream(source.stream, events);
  }

  /** Lines of the chunk in hand still come (a chunk is at most what the pipe held). */
  pause(): void {
    this.#paused ??= Promise.withResolvers<void>();
    this.#intake.hold();
  }

  resume(): void {
    this.#paused?.resolve();
    this.#paused = undefined;
    this.#releaseIfWanted();
  }

  /** Settles at once where nothing is paused. */
  async whileReading(): Promise<void> {
    while (this.#paused) await this.#paused.promise;
  }

  #pauseFor(ms: number): void {
    // Several chunks may be under way when the first of them asks for a pause.
    if (this.#pacing) return;
    this.#intake.hold();
    this.#pacing = setTimeout(() => {
      this.#pacing = undefined;
      this.#releaseIfWanted();
    }, ms);
  }

  #releaseIfWanted(): void {
    if (this.#paused || this.#pacing) return;
    this.#askedAt = performance.now();
    this.#intake.release();
  }
}

function readSocket(fd: number, { chunk, end, failed }: IntakeEvents): Intake {
  let socket: Socket | undefined;
  let held = false;
  let closed = false;
  const options: FdSocketOptions = {
    fd,
    socket: {
      open: (opened) => {
        socket = opened;
        if (closed) opened.terminate();
        else if (held) opened.pause();
      },
      data: (_, bytes) => {
        if (!closed) chunk(bytes);
      },
      end,
      close: end,
      error: (_, error) => failed(error),
    },
  };
  // bun-types 1.4.5 has these options, but not `connect` with them.
  Bun.connect(options as unknown as UnixSocketOptions).catch(failed);
  return {
    hold: () => {
      held = true;
      socket?.pause();
    },
    release: () => {
      held = false;
      socket?.resume();
    },
    close: () => {
      closed = true;
      socket?.terminate();
    },
  };
}

function readStream(stream: ReadableStream<Uint8Array>, { chunk, end, failed }: IntakeEvents): Intake {
  const reader = stream.getReader();
  let held: PromiseWithResolvers<void> | undefined;
  let closed = false;
  const release = () => {
    held?.resolve();
    held = undefined;
  };
  const read = async () => {
    while (!closed) {
      if (held) await held.promise;
      const { value, done } = await reader.read();
      if (done) return end();
      if (!closed) chunk(value);
    }
  };
  read().catch(failed);
  return {
    hold: () => {
      held ??= Promise.withResolvers<void>();
    },
    release,
    close: () => {
      closed = true;
      release();
      void reader.cancel().catch(() => undefined);
    },
  };
}
