/**
 * A session's events as server-sent events, at the pace of the reader. One who falls behind is let go of by the hub and
 * taken up again from the store once it has read what it was sent: nothing is lost, and what waits for it is bounded.
 */
import type { EventFrame, Hub, Subscription } from "../../sessions/hub.ts";

export interface EventStreamOptions {
  hub: Hub;
  /** Everything after this seq; undefined: from now on. */
  after: number | undefined;
  keepAliveMs: number;
  /** Which events this reader gets. */
  select(frame: EventFrame): boolean;
  /** After this one the stream ends. */
  isLast(frame: EventFrame): boolean;
  /** Called once, when the stream has ended or the reader is gone; true in the latter case. */
  closed(gone: boolean): void;
  /** Called when the last frame has gone to the socket. */
  ended(): void;
}

/** Of frames that wait for the socket. A single larger frame passes when nothing else waits. */
const MAX_PENDING_CHARS = 1024 * 1024;
/** Tells a browser how soon to come back, and sends the headers off. */
const OPENING = "retry: 1000\n\n";

export function toEventFrame(frame: EventFrame): string {
  return `id: ${frame.seq}\nevent: ${frame.type}\ndata: ${frame.text}\n\n`;
}

export function streamEvents(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { hub } = options;
  const bytes = new TextEncoder();
  let pending = OPENING;
  let position = options.after ?? hub.lastSeq;
  let subscription: Subscription | undefined;
  let ended = false;
  let wakeReader: (() => void) | undefined;
  let wakeReplay: (() => void) | undefined;
  let quiet = true;

  const wake = () => {
    wakeReader?.();
    wakeReader = undefined;
  };
  const end = (gone: boolean) => {
    if (ended) return;
    ended = true;
    clearInterval(ticker);
    subscription?.close();
    wakeReplay?.();
    wake();
    options.closed(gone);
  };
  const subscribe = () => {
    subscription = hub.subscribe(
      {
        deliver: (frame) => {
          if (pending !== "" && pending.length + frame.text.length > MAX_PENDING_CHARS) return false;
          position = frame.seq;
          if (!options.select(frame)) return true;
          pending += toEventFrame(frame);
          if (options.isLast(frame)) end(false);
          else if (wakeReader) setImmediate(wake);
          return true;
        },
        ready: () =>
          new Promise((resolve) => {
            if (pending === "") resolve();
            else wakeReplay = resolve;
          }),
        dropped: (reason) => {
          subscription = undefined;
          if (reason === "closed") end(false);
        },
      },
      position,
    );
  };
  const ticker = setInterval(() => {
    if (quiet && pending === "") {
      pending = ":\n\n";
      wake();
    }
    quiet = true;
  }, options.keepAliveMs);
  subscribe();

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // A loop: a wake that was meant for an earlier read may come late, and a pull that brings nothing is not repeated.
        while (pending === "" && !ended) {
          await new Promise<void>((resolve) => {
            wakeReader = resolve;
          });
        }
        if (pending !== "") {
          quiet = false;
          controller.enqueue(bytes.encode(pending));
          pending = "";
          wakeReplay?.();
          wakeReplay = undefined;
          if (!ended && subscription === undefined) subscribe();
        }
        if (ended && pending === "") {
          controller.close();
          options.ended();
        }
      },
      cancel: () => end(true),
    },
    { highWaterMark: 0 },
  );
}
