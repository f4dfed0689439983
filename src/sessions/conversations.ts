/**
 * Which process stands at which history, and at which it has stood. A key is the digest of a whole history
 * (history-hash.ts), and a process is under a key only after a clean end or at a pause: its memory is then exactly that history.
 *
 * Why a wrong reuse cannot happen: (1) equal keys mean equal system prompt, tools, model and messages (SHA-256 over an
 * injective encoding); (2) whoever takes a process removes it, so one history has it at a time; (3) what was taken comes
 * back under a new key only when the engine itself added to its memory exactly what the key adds: the request's new
 * messages and the model's answer; (4) every other end (interrupt, cut, API error, nudge, compaction) leaves it under no
 * key; (5) a history that a process has stood at is found again only through the prompt that came next: the CLI cuts its
 * memory right before that prompt, and refuses where it knows of a later one than we do (claude/rewind.ts). What it holds
 * then is what it held there, at the clean end before.
 *
 * In memory only, on purpose: a chat process writes nothing down and dies with its daemon, so a row of this index that
 * outlived it could only lead to what a missing row leads to, the transcript of the history that the client sent. What can
 * go on after a restart are agents' sessions, and where they stood is in SQLite (agent.ts, `Store["prefixes"]`).
 */
import type { Lease, Turn } from "./contracts.ts";

/** Histories that a process is remembered to have stood at; the oldest is forgotten first. */
const MAX_PAST = 100;

/** A paused turn: it goes on with the results of these calls. */
export interface Pause {
  turn: Turn;
  callIds: string[];
}

/** A history, and the prompt that came after it. */
interface Past {
  key: string;
  promptUuid: string;
}

/** One process on its way from history to history. Made and changed by `Conversations` alone. */
export interface Trail {
  readonly lease: Lease;
  /** Set while it waits for results. */
  paused: Pause | undefined;
  /** It rests, and may be taken. */
  resting: boolean;
  /** The history it stands at while it rests; undefined where its memory holds more than a history. */
  key: string | undefined;
  /** Where it stood before, oldest first. The last one names the newest prompt. */
  readonly past: Past[];
  /** Counts up with every rest of any process: who rested longest. */
  rested: number;
  /** It has exited: nothing of it is remembered any more. */
  gone: boolean;
}

/** A turn under way on a process that stood at a history, and may be taken back to it afterwards. */
export interface RunningTurn {
  /** Its client has gone, or it has failed: claude is being stopped. */
  left: boolean;
  /** Settles when its process rests or is ended. */
  readonly settled: Promise<void>;
  /** To be said once, when that is so. */
  over(): void;
}

/** A process that was taken for a history that it has stood at, and what must be cut before it stands there again. */
export interface TakenBack {
  trail: Trail;
  /** For `rewind`. */
  target: string;
  last: string;
}

export class Conversations {
  private readonly standing = new Map<string, Set<Trail>>();
  private readonly stood = new Map<string, Set<Trail>>();
  private readonly running = new Map<string, RunningTurn>();
  private rests = 0;

  /** Begins to follow a process that was just handed out. Forgotten when it ends. */
  follow(lease: Lease): Trail {
    const trail: Trail = { lease, paused: undefined, resting: false, key: undefined, past: [], rested: 0, gone: false };
    void lease.process.exited.then(() => {
      trail.gone = true;
      this.leave(trail);
      this.forget(trail, 0, trail.past.length);
    });
    return trail;
  }

  /** This prompt was sent while the process stood at `key`: it can be taken back to there. Told again, it does nothing. */
  note(trail: Trail, key: string, promptUuid: string): void {
    if (trail.gone || trail.past.at(-1)?.promptUuid === promptUuid) return;
    trail.past.push({ key, promptUuid });
    add(this.stood, key, trail);
    if (trail.past.length > MAX_PAST) this.forget(trail, 0, 1);
  }

  /** It rests at this history from now on, or (`paused`) waits there for results. */
  put(trail: Trail, key: string, paused?: Pause): void {
    if (trail.gone) return;
    trail.paused = paused;
    trail.key = key;
    add(this.standing, key, trail);
    this.rest(trail);
  }

  /** Its memory is no history, but it can be taken back to one. False, and nothing is done, where it cannot. */
  putBack(trail: Trail): boolean {
    if (trail.gone || trail.past.length === 0) return false;
    trail.paused = undefined;
    this.rest(trail);
    return true;
  }

  /** The process at this history, busy and nobody else's from now on; the one that rested the shortest. */
  take(key: string, fits: (trail: Trail) => boolean = () => true): Trail | undefined {
    for (const trail of [...(this.standing.get(key) ?? [])].reverse()) {
      if (!fits(trail)) continue;
      this.leave(trail);
      if (trail.lease.take()) return trail;
    }
    return undefined;
  }

  /**
   * A process that has stood at this history, busy and nobody else's from now on. Those that stand at none now come first, the
   * newest of them: people ask again what they have just stopped. Of the others the one that rested longest, because whoever
   * would have gone on with it gets the transcript's way.
   */
  takeBack(key: string): TakenBack | undefined {
    // A paused one would first have to be interrupted.
    const able = [...(this.stood.get(key) ?? [])].filter((trail) => trail.resting && !trail.paused);
    const rank = (trail: Trail) => (trail.key === undefined ? -trail.rested : trail.rested);
    for (const trail of able.sort((one, other) => rank(one) - rank(other))) {
      this.leave(trail);
      if (!trail.lease.take()) continue;
      const index = trail.past.findLastIndex((past) => past.key === key);
      const [target, last] = [trail.past[index]?.promptUuid, trail.past.at(-1)?.promptUuid];
      this.forget(trail, index, trail.past.length);
      if (target !== undefined && last !== undefined) return { trail, target, last };
    }
    return undefined;
  }

  /** A turn follows this history; known until it is `over`. Of several the newest is. */
  run(key: string): RunningTurn {
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const over = () => {
      if (this.running.get(key) === turn) this.running.delete(key);
      resolve();
    };
    const turn: RunningTurn = { left: false, settled, over };
    this.running.set(key, turn);
    return turn;
  }

  /** The newest turn that follows this history and is not over. */
  runningAt(key: string): RunningTurn | undefined {
    return this.running.get(key);
  }

  private rest(trail: Trail): void {
    trail.resting = true;
    trail.rested = ++this.rests;
    trail.lease.rest({ waiting: trail.paused !== undefined });
  }

  private leave(trail: Trail): void {
    trail.resting = false;
    if (trail.key !== undefined) remove(this.standing, trail.key, trail);
    trail.key = undefined;
  }

  /** From `begin` up to, not with, `end`. */
  private forget(trail: Trail, begin: number, end: number): void {
    for (const { key } of trail.past.splice(begin, end - begin)) remove(this.stood, key, trail);
  }
}

function add(index: Map<string, Set<Trail>>, key: string, trail: Trail): void {
  const trails = index.get(key) ?? new Set();
  // Last again, where it was there before.
  trails.delete(trail);
  trails.add(trail);
  index.set(key, trails);
}

function remove(index: Map<string, Set<Trail>>, key: string, trail: Trail): void {
  const trails = index.get(key);
  if (trails?.delete(trail) && trails.size === 0) index.delete(key);
}
