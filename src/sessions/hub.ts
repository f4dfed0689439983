/**
 * One ordered stream of events a session. Everything is numbered here, encoded once, kept by the store and handed to
 * whoever watches; a watcher reads what it missed from the store at its own pace and then goes live, without gap or
 * double, because both steps look at the same number in the same tick.
 *
 * Runs of text deltas are stored as one row (docs/sessions.md, Events): each delta keeps its own number, and the row
 * says where each one's text ends, so that a watcher who reconnects in the middle of a run gets exactly the rest.
 */
import type { Logger } from "../log.ts";
import type { EventRecord } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import type { JsonObject } from "../turn/message.ts";
import type { SessionEvent } from "./events.ts";

/** One event, encoded: what goes out on every transport. */
export interface EventFrame {
  seq: number;
  type: string;
  turnId: string | undefined;
  /** The JSON object, `seq` in it. */
  text: string;
}

export interface Watcher {
  /** Takes one frame; false: not taken, there is no room, and a live watcher is dropped for it. Must not throw. */
  deliver(frame: EventFrame): boolean;
  /** Settles when there is room for more; only a replay waits for it. */
  ready(): Promise<void>;
  /** The hub lets go of it: too slow, or the session was closed for good. */
  dropped(reason: "slow" | "closed"): void;
}

export interface Subscription {
  close(): void;
}

/** A run of deltas becomes a row at this many… */
const MAX_RUN_DELTAS = 128;
/** …or at this much text… */
const MAX_RUN_CHARS = 8 * 1024;
/** …or after this long: what a `kill -9` can take of a turn that had not finished. */
const MAX_RUN_MS = 100;
/** Rows that one step of a replay reads. */
const REPLAY_ROWS = 200;
/** A replay that finds no room for this long is dropped. */
const READY_TIMEOUT_MS = 30_000;
/** Watchers of one session; one more is refused. */
export const MAX_WATCHERS = 64;

/**
 * No number is ever given twice, also after a `kill -9`: what was sent but not yet stored is at most one run and one
 * group of rows ahead (512 rows of 128 deltas), so numbering goes on beyond that.
 */
const SEQ_JUMP = 100_000;
const MAX_UNSTORED_SEQS = 512 * MAX_RUN_DELTAS + MAX_RUN_DELTAS;

/** Where numbering goes on after a daemon that did not come to an end by itself. */
export function seqAfterCrash(lastStored: number): number {
  return Math.ceil((lastStored + MAX_UNSTORED_SEQS) / SEQ_JUMP) * SEQ_JUMP;
}

interface Run {
  event: SessionEvent;
  firstSeq: number;
  parts: string[];
  cuts: number[];
}

function isDelta(event: SessionEvent): event is SessionEvent & { text: string } {
  return event.type === "code_delta" || event.type === "thinking_delta";
}

function turnIdOf(event: JsonObject): string | undefined {
  return typeof event.turn_id === "string" ? event.turn_id : undefined;
}

/** The frame of a stored row for a watcher that has seen everything up to `after`. */
function toFrame(record: EventRecord, after: number): EventFrame {
  let { event } = record;
  if (record.cuts !== undefined && record.firstSeq <= after) {
    const seen = record.cuts[after - record.firstSeq] ?? 0;
    event = { ...event, text: String(event.text).slice(seen) };
  }
  const { type, ...rest } = event;
  const { seq } = record;
  return { seq, type: String(type), turnId: turnIdOf(event), text: JSON.stringify({ type, seq, ...rest }) };
}

export interface HubDeps {
  sessionId: string;
  store: Store;
  log: Logger;
  /** The last number that was given out. */
  lastSeq: number;
}

/** The stream of one session. Lives as long as its `Session` object; holds no event longer than a run. */
export class Hub {
  /** Each with the last number it had when it went live. */
  private readonly watchers = new Map<Watcher, number>();
  /** Events that wait until they are durable, and those behind them. */
  private readonly held: { frame: EventFrame; durable: boolean }[] = [];
  private replaying = 0;
  private run: Run | undefined;
  private runTimer: ReturnType<typeof setTimeout> | undefined;
  private seq: number;

  constructor(private readonly deps: HubDeps) {
    this.seq = deps.lastSeq;
  }

  get lastSeq(): number {
    return this.seq;
  }

  get watcherCount(): number {
    return this.watchers.size + this.replaying;
  }

  /** Numbers an event, hands it to everybody and stores it. */
  publish(event: SessionEvent): void {
    const frame = this.record(event);
    if (this.held.length > 0) this.held.push({ frame, durable: true });
    else this.deliver(frame);
  }

  /**
   * The same for an event that nobody may see before it is safe: it is stored, and handed out once `flush` has settled,
   * whatever comes behind it waiting. Rejects as `flush` does; the event goes out all the same.
   */
  async publishDurably(event: SessionEvent, flush: () => Promise<void>): Promise<void> {
    const entry = { frame: this.record(event), durable: false };
    this.held.push(entry);
    try {
      await flush();
    } finally {
      entry.durable = true;
      while (this.held[0]?.durable) {
        const next = this.held.shift();
        if (next) this.deliver(next.frame);
      }
    }
  }

  private record(event: SessionEvent): EventFrame {
    const seq = ++this.seq;
    if (isDelta(event)) this.extendRun(event, seq);
    else {
      this.storeRun();
      this.store(seq, seq, this.toStored(event), undefined);
    }
    // Encoded once, and only where somebody looks.
    const { type, ...rest } = event;
    const { sessionId } = this.deps;
    const text = this.watchers.size === 0 ? "" : JSON.stringify({ type, seq, session_id: sessionId, ...rest });
    return { seq, type, turnId: turnIdOf(event), text };
  }

  private deliver(frame: EventFrame): void {
    for (const [watcher, after] of this.watchers) {
      if (frame.seq <= after || watcher.deliver(frame)) continue;
      this.watchers.delete(watcher);
      watcher.dropped("slow");
    }
  }

  /** Everything published so far is with the store when this returns; `store.flush` makes it durable. */
  storeRun(): void {
    const { run } = this;
    if (!run) return;
    clearTimeout(this.runTimer);
    this.run = undefined;
    const event = { ...this.toStored(run.event), text: run.parts.join("") };
    const lastSeq = run.firstSeq + run.cuts.length - 1;
    this.store(lastSeq, run.firstSeq, event, run.cuts.length > 1 ? run.cuts : undefined);
  }

  /**
   * Delivers everything after `after` (undefined: only what is to come), then what happens from then on. What retention
   * has dropped is not there any more. The watcher is told when the hub lets go of it; `close` lets go of the hub.
   */
  subscribe(watcher: Watcher, after: number | undefined): Subscription {
    let open = true;
    if (after === undefined || after >= this.seq) this.watchers.set(watcher, this.seq);
    else {
      this.replaying++;
      void this.replay(watcher, after, () => open)
        .catch((error: unknown) => {
          this.deps.log.warn("a replay failed", { problem: String(error) });
          if (open) watcher.dropped("slow");
        })
        .finally(() => {
          this.replaying--;
        });
    }
    return {
      close: () => {
        open = false;
        this.watchers.delete(watcher);
      },
    };
  }

  /** The session is gone: nobody will hear anything any more. */
  close(): void {
    this.storeRun();
    for (const watcher of this.watchers.keys()) watcher.dropped("closed");
    this.watchers.clear();
  }

  private async replay(watcher: Watcher, after: number, isOpen: () => boolean): Promise<void> {
    let position = after;
    while (isOpen()) {
      // No await between this comparison and going live: nothing can slip in between.
      if (position >= this.seq) {
        this.watchers.set(watcher, position);
        return;
      }
      this.storeRun();
      const target = this.seq;
      const rows = await this.deps.store.events.read(this.deps.sessionId, { after: position, limit: REPLAY_ROWS });
      for (const row of rows) {
        if (!isOpen()) return;
        const frame = toFrame(row, position);
        if (!watcher.deliver(frame)) {
          const room = await this.roomFor(watcher);
          if (!isOpen()) return;
          if (!room || !watcher.deliver(frame)) return watcher.dropped("slow");
        }
        position = row.seq;
      }
      // Nothing stored up to there (retention, a number that was jumped over): the rest is live.
      if (rows.length === 0) position = Math.max(position, target);
    }
  }

  /** Settles with false where there was no room in time. */
  private async roomFor(watcher: Watcher): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), READY_TIMEOUT_MS);
    void watcher.ready().then(() => resolve(true));
    const room = await promise;
    clearTimeout(timer);
    return room;
  }

  private extendRun(event: SessionEvent & { text: string }, seq: number): void {
    if (this.run && (this.run.event.type !== event.type || this.run.event.turn_id !== event.turn_id)) this.storeRun();
    if (!this.run) {
      this.run = { event, firstSeq: seq, parts: [], cuts: [] };
      this.runTimer = setTimeout(() => this.storeRun(), MAX_RUN_MS);
    }
    const { parts, cuts } = this.run;
    parts.push(event.text);
    cuts.push((cuts.at(-1) ?? 0) + event.text.length);
    if (cuts.length >= MAX_RUN_DELTAS || (cuts.at(-1) ?? 0) >= MAX_RUN_CHARS) this.storeRun();
  }

  private toStored(event: SessionEvent): JsonObject {
    const { type, ...rest } = event;
    return { type, session_id: this.deps.sessionId, ...rest };
  }

  private store(seq: number, firstSeq: number, event: JsonObject, cuts: number[] | undefined): void {
    this.deps.store.events.append(this.deps.sessionId, { seq, firstSeq, at: Date.now(), event, cuts });
  }
}
