import type {
  ChangeRecord,
  EventRecord,
  Page,
  PrefixRecord,
  ResponseRecord,
  SessionRecord,
  TurnRecord,
} from "./records.ts";

/** What is kept before the oldest goes. `prune` enforces it in slices. */
export interface Retention {
  sessions: number;
  eventsPerSession: number;
  /** Of the whole file, free pages not counted: past it the longest silent sessions lose their events. */
  fileBytes: number;
  prefixes: number;
  changes: number;
  /** Stored answers of the Responses API, and what they take together: past either the oldest go. */
  responses: number;
  responseBytes: number;
}

export const DEFAULT_RETENTION: Retention = {
  sessions: 20_000,
  eventsPerSession: 20_000,
  fileBytes: 2 * 1024 ** 3,
  prefixes: 200_000,
  changes: 50_000,
  responses: 20_000,
  responseBytes: 512 * 1024 ** 2,
};

export interface ListOptions {
  /** At least 1; the store caps it at 1000. */
  limit: number;
  /** `next` of the page before. */
  before?: string;
}

export interface SessionFilter extends ListOptions {
  workspace?: string;
  /** Closed ones too. */
  closed?: boolean;
}

/**
 * The durable facts. Writes return at once, keep their order, and are committed together a moment later; a read sees
 * every write before it. `flush` is the promise that what was written survives a `kill -9`.
 *
 * Reads throw `internal`; `flush` throws `overloaded` with reason `storage_full` where the disk is full (reads go on,
 * and what was written is kept in memory, bounded, and tried again).
 */
export interface Store {
  readonly sessions: {
    /** Inserts or replaces. */
    put(record: SessionRecord): void;
    get(id: string): Promise<SessionRecord | undefined>;
    byClaudeSession(claudeSessionId: string): Promise<SessionRecord | undefined>;
    /** Most recently active first. */
    list(filter: SessionFilter): Promise<Page<SessionRecord>>;
    /** Takes its turns, events, changes and index rows with it. */
    delete(id: string): void;
  };
  readonly turns: {
    put(record: TurnRecord): void;
    get(sessionId: string, turnId: string): Promise<TurnRecord | undefined>;
    /** Newest first. */
    list(sessionId: string, options: ListOptions): Promise<Page<TurnRecord>>;
    /** Turns that no end was written for: what a daemon that was killed leaves behind. */
    unfinished(): Promise<TurnRecord[]>;
  };
  readonly events: {
    append(sessionId: string, record: EventRecord): void;
    /** Rows that hold anything after `after`, in order; the first may begin before it (see `EventRecord`). */
    read(sessionId: string, range: { after: number; limit: number }): Promise<EventRecord[]>;
    /** The first and last seq that are stored; zeros where there are none. */
    bounds(sessionId: string): Promise<{ first: number; last: number }>;
  };
  readonly prefixes: {
    put(record: PrefixRecord): void;
    get(hash: string): Promise<PrefixRecord | undefined>;
    deleteOwner(owner: string): void;
  };
  readonly changes: {
    put(record: ChangeRecord): void;
    get(id: string): Promise<ChangeRecord | undefined>;
    /** Newest first. */
    list(sessionId: string, options: ListOptions): Promise<Page<ChangeRecord>>;
  };
  readonly responses: {
    /** Inserts or replaces. */
    put(record: ResponseRecord): void;
    get(id: string): Promise<ResponseRecord | undefined>;
    delete(id: string): void;
  };
  /** Finished turns by local calendar day (`2026-01-31`). */
  readonly usage: {
    /** Turns in addition to those of this day that are there. */
    add(more: { date: string; turns: number; costUsd: number }): void;
    of(day: string): Promise<{ turns: number; costUsd: number }>;
  };
  /** Settles when everything written so far is on its way to the disk (safe from `kill -9`, not from a power cut). */
  flush(): Promise<void>;
  /** One bounded pass over what retention drops; returns true while there is more to drop. */
  prune(): Promise<boolean>;
  /** What is wrong with the store now, for `/v1/health`; undefined when nothing is. */
  problem(): string | undefined;
  /** Flushes and closes; nothing may be called afterwards. */
  close(): Promise<void>;
}
