/**
 * The pump: a turn's events through an encoder into a `Response`, at the pace of the reader.
 *
 * Events are pulled ahead of the socket by at most `MAX_PENDING_CHARS` of frames, so a reader that stops reading stops
 * the turn's events and costs no memory. All frames that become ready in one round of the event loop leave in one write, the
 * first ones together with the headers (in a format that opens with a frame of its own): each write wakes the client, on a
 * core that claude could use.
 */
import { toDaemonError } from "../../errors.ts";
import { collect, type TurnResult } from "../../turn/collect.ts";
import type { TurnEvent } from "../../turn/events.ts";
import type { RetryInfo, TurnRequest } from "../../turn/request.ts";
import { baseHeaders, type Exchange, ignoredHeaders, logFailure } from "./exchange.ts";
import type { Encoder, FormatDeps, TurnTranslation } from "./format.ts";

/** Frames that wait for the socket; beyond it no further event is pulled. */
const MAX_PENDING_CHARS = 64 * 1024;

type Step = IteratorResult<TurnEvent, unknown>;
type TurnStart = Extract<TurnEvent, { type: "turn-start" }>;
type ModelStart = Extract<TurnEvent, { type: "model-start" }>;
type PumpDeps = Pick<FormatDeps, "runner" | "limits" | "log" | "streamEnded">;

/** Carries out the turn and gives its whole result. Throws what the turn throws. */
export async function collectTurn(
  deps: PumpDeps,
  exchange: Exchange,
  turn: TurnTranslation,
  retry: RetryInfo,
): Promise<TurnResult> {
  return collect(deps.runner(toRequest(exchange, turn, retry)));
}

/**
 * Carries out the turn as a stream. Resolves once the model has begun to answer, or `commitAfterMs` after the turn was
 * accepted; until then a failure is thrown and the caller gives it a status. After that it goes out in-band, and the
 * stream closes. A client that goes away, or cancels the body, aborts the exchange. The encoder is told how the model
 * began where it has, for formats whose opening frame shows it; the event itself comes too.
 */
export async function streamTurn(
  deps: PumpDeps,
  exchange: Exchange,
  turn: TurnTranslation,
  retry: RetryInfo,
  createEncoder: (start: TurnStart, model: ModelStart | undefined) => Encoder,
): Promise<Response> {
  const events = deps.runner(toRequest(exchange, turn, retry))[Symbol.asyncIterator]();
  const first = await events.next();
  if (first.done || first.value.type !== "turn-start") throw new Error("a turn began without turn-start");
  const { notices, model, next } = await awaitModel(events, deps.limits.commitAfterMs);
  const encoder = createEncoder(first.value, model);
  let opening = encoder.encode(first.value);
  for (const notice of notices) opening += encoder.encode(notice);
  const body = pump({ deps, exchange, encoder, events, opening, next });
  await roundOfReading();
  return new Response(body, {
    headers: {
      "content-type": encoder.contentType,
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      ...baseHeaders(exchange),
      ...ignoredHeaders(first.value.ignored),
    },
  });
}

/**
 * Until the event loop has read what has come meanwhile: the first words are often right behind the model's start, and then
 * leave with the headers. Costs some 50 µs where they are not. Two, because Bun runs immediates before it reads: the first
 * alone brings nothing new.
 */
function roundOfReading(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
}

function toRequest(exchange: Exchange, turn: TurnTranslation, retry: RetryInfo): TurnRequest {
  return { ...turn, retry, signal: exchange.abort.signal };
}

/** Waits for the first event that is more than a notice, at most `waitMs`. `next` is that event, or still to come. */
async function awaitModel(
  events: AsyncIterator<TurnEvent>,
  waitMs: number,
): Promise<{ notices: TurnEvent[]; model: ModelStart | undefined; next: Promise<Step> }> {
  const notices: TurnEvent[] = [];
  let next: Promise<Step> = events.next();
  const { promise: tooLate, resolve: giveUp } = Promise.withResolvers<undefined>();
  const timer = setTimeout(giveUp, waitMs, undefined);
  try {
    for (;;) {
      const step = await Promise.race([next, tooLate]);
      if (!step || step.done) return { notices, model: undefined, next };
      if (step.value.type === "model-start") return { notices, model: step.value, next };
      if (step.value.type !== "notice") return { notices, model: undefined, next };
      notices.push(step.value);
      next = events.next();
    }
  } finally {
    clearTimeout(timer);
  }
}

interface PumpOptions {
  deps: PumpDeps;
  exchange: Exchange;
  encoder: Encoder;
  events: AsyncIterator<TurnEvent>;
  opening: string;
  next: Promise<Step>;
}

function pump({ deps, exchange, encoder, events, opening, next }: PumpOptions): ReadableStream<Uint8Array> {
  const { signal } = exchange.abort;
  let pending = opening;
  let finished = false;
  let wroteSinceTick = true;
  let wakeReader: (() => void) | undefined;
  let wakeProducer: (() => void) | undefined;

  const wake = () => {
    wakeReader?.();
    wakeReader = undefined;
  };
  const push = (frames: string) => {
    if (frames === "") return;
    // After the microtasks, so that everything that is ready now is in `pending` by then.
    if (pending === "" && wakeReader) setImmediate(wake);
    pending += frames;
  };
  // Half the interval, so that silence lasts at most one: no clock is read for a delta.
  const ticker = setInterval(() => {
    if (!wroteSinceTick && pending === "") push(encoder.keepAlive() ?? "");
    wroteSinceTick = false;
  }, deps.limits.keepAliveMs / 2);

  const produce = async () => {
    try {
      let step = await next;
      while (!step.done && !signal.aborted) {
        push(encoder.encode(step.value));
        if (step.value.type === "turn-end") return;
        if (pending.length >= MAX_PENDING_CHARS) {
          await new Promise<void>((resolve) => {
            wakeProducer = resolve;
          });
        }
        step = await events.next();
      }
      if (!signal.aborted) throw new Error("a turn ended without turn-end");
    } catch (thrown) {
      const error = toDaemonError(thrown);
      logFailure(deps.log, exchange, error);
      push(encoder.fail(error));
    } finally {
      finished = true;
      clearInterval(ticker);
      setImmediate(wake);
      void settle(events, signal);
    }
  };

  const stop = () => {
    exchange.abort.abort();
    finished = true;
    clearInterval(ticker);
    pending = "";
    wake();
    wakeProducer?.();
  };
  signal.addEventListener("abort", stop, { once: true });
  void produce();

  // A direct stream: `write` goes to the socket, with no queue and no reader in between.
  return new ReadableStream<Uint8Array>({
    type: "direct",
    async pull(controller) {
      while (!finished || pending !== "") {
        if (pending === "") {
          await new Promise<void>((resolve) => {
            wakeReader = resolve;
          });
          continue;
        }
        wroteSinceTick = true;
        const taken = controller.write(pending);
        pending = "";
        wakeProducer?.();
        wakeProducer = undefined;
        controller.flush();
        // Where the socket is full: until it has drained, or the client is gone.
        if (typeof taken !== "number") await taken;
      }
      // Before the end: after it the connection's idle timeout can no longer be set.
      deps.streamEnded(exchange.request);
      controller.end();
    },
    cancel: stop,
  });
}

/** Lets the turn come to its own end after its last event; one that was left early is told to return. */
async function settle(events: AsyncIterator<TurnEvent>, signal: AbortSignal): Promise<void> {
  try {
    if (signal.aborted) await events.return?.();
    else await events.next();
  } catch {
    // The answer is complete, or nobody is there to be told.
  }
}
