/**
 * Which process stands at which history. A key is the digest of a whole history (history-hash.ts), and a process is under
 * a key only after a clean end or at a pause: its memory is then exactly that history.
 *
 * Why a wrong reuse cannot happen: (1) equal keys mean equal system prompt, tools, model and messages (SHA-256 over an
 * injective encoding); (2) whoever takes a process removes it, so one history has it at a time; (3) what was taken comes
 * back under a new key only when the engine itself added to its memory exactly what the key adds: the request's new
 * messages and the model's answer; (4) every other end (interrupt, cut, API error, nudge, compaction) never comes back.
 *
 * In memory only, on purpose: a chat process writes nothing down and dies with its daemon, so a row of this index that
 * outlived it could only lead to what a missing row leads to, the transcript of the history that the client sent. What can
 * go on after a restart are agents' sessions, and where they stood is in SQLite (agent.ts, `Store["prefixes"]`).
 */
import type { Lease, Turn } from "./contracts.ts";

/** A process that waits for its conversation. */
export interface Standing {
  lease: Lease;
  /** A paused turn: it goes on with the results of these calls. */
  paused: { turn: Turn; callIds: string[] } | undefined;
}

export class Conversations {
  private readonly standing = new Map<string, Set<Standing>>();

  /** Bounded by the pool: an entry goes when its process ends. */
  put(key: string, entry: Standing): void {
    const entries = this.standing.get(key) ?? new Set();
    entries.add(entry);
    this.standing.set(key, entries);
    void entry.lease.process.exited.then(() => this.remove(key, entry));
    entry.lease.rest({ waiting: entry.paused !== undefined });
  }

  /** The process at this history, busy and nobody else's from now on; the one that rested the shortest. */
  take(key: string, fits: (entry: Standing) => boolean = () => true): Standing | undefined {
    for (const entry of [...(this.standing.get(key) ?? [])].reverse()) {
      if (!fits(entry)) continue;
      this.remove(key, entry);
      if (entry.lease.take()) return entry;
    }
    return undefined;
  }

  /** Whether a process stands there, without taking it. */
  has(key: string): boolean {
    return this.standing.has(key);
  }

  get size(): number {
    return this.standing.size;
  }

  private remove(key: string, entry: Standing): void {
    const entries = this.standing.get(key);
    if (entries?.delete(entry) && entries.size === 0) this.standing.delete(key);
  }
}
