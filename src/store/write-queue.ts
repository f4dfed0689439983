import type { Database, SQLQueryBindings, Statement } from "bun:sqlite";
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { sqliteCode } from "./open.ts";

/** Writes that arrive within this time share one commit. */
const GROUP_MS = 20;

/** A commit at this many, however little time has passed: what a crash can lose stays small. */
const MAX_GROUP = 512;

/** Kept in memory while the disk is full; past it the oldest are given up. */
const MAX_PENDING = 50_000;

type Write = readonly [statement: Statement, values: SQLQueryBindings[]];

/** Codes that pass by themselves once there is room (or the other process has left). */
const TRANSIENT = /^SQLITE_(FULL|IOERR|BUSY|READONLY|CANTOPEN|NOMEM)/;

/** Collects writes and commits them together, in order. State: what is pending and what went wrong last. */
export class WriteQueue {
  private pending: Write[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failure: unknown;

  constructor(
    private readonly database: Database,
    private readonly log: Logger,
    /** Told of errors that a retry does not mend (a damaged file). */
    private readonly onError: (error: unknown) => void,
  ) {}

  add(statement: Statement, values: SQLQueryBindings[]): void {
    this.pending.push([statement, values]);
    if (this.pending.length >= MAX_GROUP && this.failure === undefined) {
      this.tryCommit();
      return;
    }
    if (this.pending.length > MAX_PENDING) this.pending.splice(0, MAX_GROUP);
    this.timer ??= setTimeout(() => this.tryCommit(), GROUP_MS);
  }

  /** What stands between the last write and the disk. */
  get problem(): unknown {
    return this.failure;
  }

  /** Commits what is pending. Throws what SQLite throws; the writes stay pending where a retry can help. */
  commit(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.pending.length === 0) return;
    const writes = this.pending;
    try {
      this.database.run("BEGIN IMMEDIATE");
      for (const [statement, values] of writes) statement.run(...values);
      this.database.run("COMMIT");
      this.pending = [];
      if (this.failure !== undefined) this.log.info("the state file can be written again");
      this.failure = undefined;
    } catch (error) {
      this.rollback();
      if (TRANSIENT.test(sqliteCode(error))) {
        if (this.failure === undefined) this.log.error("the state file cannot be written", { problem: String(error) });
        this.failure = error;
        throw error;
      }
      this.onError(error);
      this.commitOneByOne(writes);
    }
  }

  /** One write is wrong in itself (its session was deleted): it must not take the others with it. */
  private commitOneByOne(writes: Write[]): void {
    this.pending = [];
    for (const [statement, values] of writes) {
      try {
        statement.run(...values);
      } catch (error) {
        this.log.warn("a write was given up", { problem: String(error) });
      }
    }
  }

  private rollback(): void {
    try {
      this.database.run("ROLLBACK");
    } catch {
      // SQLite has rolled back by itself (it does for a full disk).
    }
  }

  private tryCommit(): void {
    try {
      this.commit();
    } catch {
      // Logged once, reported by `problem`, tried again with the next write.
    }
  }
}

/** What a caller is told when a write cannot be kept. */
export function toStorageError(error: unknown): DaemonError {
  const full = sqliteCode(error).startsWith("SQLITE_FULL");
  return new DaemonError(
    full ? "overloaded" : "internal",
    full
      ? "The daemon has no room to store anything: its disk is full. Free some space and try again."
      : "The daemon cannot write its state file. Its log says why.",
    { cause: error, ...(full ? { detail: { reason: "storage_full" } } : {}) },
  );
}
