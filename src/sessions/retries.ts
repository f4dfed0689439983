/**
 * A client's automatic retry must not run an agent twice: with the same Idempotency-Key, or as a later attempt with the
 * same body, it joins the turn of its first attempt, running or just finished, and gets the same events from the start.
 *
 * What a turn has said is kept while it runs and a while after, bounded for one turn and for all together; a turn that
 * said more than that can no longer be joined.
 */
import { DaemonError, toDaemonError } from "../errors.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { TurnRequest } from "../turn/request.ts";

/** A finished turn can be joined this long. */
const KEPT_MS = 10 * 60_000;
/** How long a turn goes on without its client, for a retry to take it over: SDKs try again after half a second. */
export const ABANDONED_MS = 700;
const MAX_TURNS = 256;
const MAX_CHARS_PER_TURN = 2 * 1024 * 1024;
const MAX_CHARS = 64 * 1024 * 1024;

interface Reader {
  /** Number of the event it takes next. */
  next: number;
}

interface SharedTurn {
  keys: string[];
  source: AsyncIterator<TurnEvent>;
  /** What it has said, from event number `base` on. */
  events: TurnEvent[];
  base: number;
  chars: number;
  /** Set when nothing more comes; `error` is what the turn threw. */
  ended: { error: unknown } | undefined;
  readers: Set<Reader>;
  /** The next event is being asked for: a turn is read as fast as its fastest reader, not faster. */
  pulling: Promise<void> | undefined;
  abort: AbortController;
  abandoned: Timer | undefined;
}

export class RetryJoiner {
  private readonly turns = new Map<string, SharedTurn>();
  private chars = 0;

  constructor(private readonly joined: () => void) {}

  /**
   * Runs the turn, or joins the one that runs already. The turn is interrupted when its last reader has been gone for
   * `ABANDONED_MS`. Throws `invalid_request` for a key that was used with another body.
   */
  run(request: TurnRequest, start: (request: TurnRequest) => AsyncIterable<TurnEvent>): AsyncIterable<TurnEvent> {
    const keys = keysOf(request);
    if (keys.length === 0) return start(request);
    const found = this.find(request);
    if (found) {
      this.joined();
      return this.read(found, request.signal);
    }
    const abort = new AbortController();
    const turn: SharedTurn = {
      keys,
      source: start({ ...request, signal: abort.signal })[Symbol.asyncIterator](),
      events: [],
      base: 0,
      chars: 0,
      ended: undefined,
      readers: new Set(),
      pulling: undefined,
      abort,
      abandoned: undefined,
    };
    for (const key of keys) this.turns.set(key, turn);
    this.makeRoom();
    return this.read(turn, request.signal);
  }

  private find(request: TurnRequest): SharedTurn | undefined {
    const { idempotencyKey, attempt, bodyDigest } = request.retry;
    const byKey = idempotencyKey === undefined ? undefined : this.turns.get(`key ${idempotencyKey}`);
    if (byKey) {
      if (bodyDigest !== undefined && !byKey.keys.includes(`body ${bodyDigest}`)) {
        const message = "This Idempotency-Key was used with another body. Use a new key for a new request.";
        throw new DaemonError("invalid_request", message, { detail: { param: "Idempotency-Key" } });
      }
      return byKey;
    }
    return attempt > 0 && bodyDigest !== undefined ? this.turns.get(`body ${bodyDigest}`) : undefined;
  }

  private async *read(turn: SharedTurn, signal: AbortSignal): AsyncGenerator<TurnEvent, void, undefined> {
    const reader: Reader = { next: turn.base };
    turn.readers.add(reader);
    clearTimeout(turn.abandoned);
    const gone = Promise.withResolvers<void>();
    const leave = () => gone.resolve();
    signal.addEventListener("abort", leave, { once: true });
    try {
      for (;;) {
        if (signal.aborted) throw new DaemonError("interrupted", "The client went away.");
        const event = turn.events[reader.next - turn.base];
        if (event) {
          reader.next += 1;
          yield event;
        } else if (turn.ended) {
          if (turn.ended.error !== undefined) throw turn.ended.error;
          return;
        } else await Promise.race([this.pull(turn), gone.promise]);
      }
    } finally {
      signal.removeEventListener("abort", leave);
      turn.readers.delete(reader);
      if (turn.readers.size === 0 && !turn.ended) {
        turn.abandoned = setTimeout(() => this.abandon(turn), ABANDONED_MS);
      }
    }
  }

  private pull(turn: SharedTurn): Promise<void> {
    turn.pulling ??= this.next(turn).finally(() => {
      turn.pulling = undefined;
    });
    return turn.pulling;
  }

  private async next(turn: SharedTurn): Promise<void> {
    try {
      const step = await turn.source.next();
      if (step.done) return this.end(turn, undefined);
      const size = sizeOf(step.value);
      turn.events.push(step.value);
      turn.chars += size;
      this.chars += size;
      if (turn.chars > MAX_CHARS_PER_TURN) this.trim(turn);
      if (step.value.type === "turn-end") await this.next(turn);
    } catch (error) {
      this.end(turn, error);
    }
  }

  /** Said too much to be repeated: what every reader has is let go, and nobody can join any more. */
  private trim(turn: SharedTurn): void {
    this.forget(turn);
    const taken = Math.min(...[...turn.readers].map((reader) => reader.next)) - turn.base;
    if (!Number.isFinite(taken) || taken <= 0) return;
    turn.events.splice(0, taken);
    turn.base += taken;
  }

  private end(turn: SharedTurn, error: unknown): void {
    turn.ended = { error };
    clearTimeout(turn.abandoned);
    // A failure is for the next attempt to try again, unless the agent had begun.
    const again = error !== undefined && toDaemonError(error).detail.agentStarted !== true;
    if (again) this.forget(turn);
    else setTimeout(() => this.forget(turn), KEPT_MS).unref();
  }

  /** Nobody came back: what the turn did stays done, but a later attempt begins anew. */
  private abandon(turn: SharedTurn): void {
    this.forget(turn);
    turn.abort.abort();
    void turn.source.return?.().catch(() => undefined);
    turn.ended ??= { error: new DaemonError("interrupted", "The client went away.") };
  }

  private makeRoom(): void {
    for (const turn of new Set(this.turns.values())) {
      if (this.turns.size <= 2 * MAX_TURNS && this.chars <= MAX_CHARS) return;
      if (turn.ended) this.forget(turn);
    }
  }

  private forget(turn: SharedTurn): void {
    let known = false;
    for (const key of turn.keys) {
      if (this.turns.get(key) !== turn) continue;
      this.turns.delete(key);
      known = true;
    }
    if (known) this.chars -= turn.chars;
  }
}

function keysOf(request: TurnRequest): string[] {
  const { idempotencyKey, bodyDigest } = request.retry;
  const keys: string[] = [];
  if (idempotencyKey !== undefined) keys.push(`key ${idempotencyKey}`);
  if (bodyDigest !== undefined) keys.push(`body ${bodyDigest}`);
  return keys;
}

function sizeOf(event: TurnEvent): number {
  switch (event.type) {
    case "text-delta":
    case "thinking-delta":
      return 100 + event.text.length;
    case "tool-delta":
    case "client-call-delta":
      return 100 + event.json.length;
    default:
      return JSON.stringify(event).length;
  }
}
