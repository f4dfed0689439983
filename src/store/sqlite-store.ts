import type { Database, SQLQueryBindings, Statement } from "bun:sqlite";
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Json, JsonObject } from "../turn/message.ts";
import { isCorruption, markDamaged, openDatabase } from "./open.ts";
import type { ChangeRecord, EventRecord, Page, PrefixRecord, SessionRecord, TurnRecord } from "./records.ts";
import { createResponses } from "./responses.ts";
import { DEFAULT_RETENTION, type ListOptions, type Retention, type SessionFilter, type Store } from "./store.ts";
import { createUsage } from "./usage.ts";
import { toStorageError, WriteQueue } from "./write-queue.ts";

export interface SqliteStoreOptions {
  /** The file, or `:memory:`. Its directory is made, 0700. */
  path: string;
  log: Logger;
  retention?: Partial<Retention>;
  /** The file grows no further than this; then it counts as a full disk. */
  maxFileBytes?: number;
}

const DEFAULT_MAX_FILE_BYTES = 8 * 1024 ** 3;

const MAX_PAGE = 1000;
/** Rows that one pass of `prune` deletes at most: a few milliseconds of the event loop. */
const PRUNE_ROWS = 2000;
/** A session's own events are trimmed each time its seq passes a multiple of this. */
const TRIM_EVERY = 4096;

const SESSION_ROW = "(SELECT row FROM sessions WHERE id = ?1)";

const IN_SESSION = `key > ${SESSION_ROW} << 32 AND key < (${SESSION_ROW} + 1) << 32`;

const SQL = {
  putSession: `INSERT INTO sessions (id, claude_session_id, workspace, last_active_at, closed_at, data)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET claude_session_id = ?2, workspace = ?3,
    last_active_at = ?4, closed_at = ?5, data = ?6`,
  getSession: "SELECT data FROM sessions WHERE id = ?1",
  sessionByClaude: "SELECT data FROM sessions WHERE claude_session_id = ?1 ORDER BY last_active_at DESC LIMIT 1",
  deleteSession: "DELETE FROM sessions WHERE id = ?1",
  putTurn: `INSERT INTO turns (session, number, id, finished, data) VALUES (${SESSION_ROW}, ?2, ?3, ?4, ?5)
    ON CONFLICT (id) DO UPDATE SET finished = ?4, data = ?5`,
  getTurn: `SELECT data FROM turns WHERE id = ?2 AND session = ${SESSION_ROW}`,
  listTurns: `SELECT number AS cursor, data FROM turns WHERE session = ${SESSION_ROW} AND number < ?2
    ORDER BY number DESC LIMIT ?3`,
  unfinishedTurns: "SELECT data FROM turns WHERE finished = 0 ORDER BY session, number",
  // From the session's row, so that an event of a deleted session is nothing.
  appendEvent: `INSERT INTO events (key, first_seq, at, event, cuts)
    SELECT row << 32 | ?2, ?3, ?4, ?5, ?6 FROM sessions WHERE id = ?1`,
  readEvents: `SELECT key & 4294967295 AS seq, first_seq, at, event, cuts FROM events
    WHERE key > ${SESSION_ROW} << 32 | ?2 AND key < (${SESSION_ROW} + 1) << 32 ORDER BY key LIMIT ?3`,
  firstEvent: `SELECT first_seq AS seq FROM events WHERE ${IN_SESSION} ORDER BY key LIMIT 1`,
  lastEvent: `SELECT key & 4294967295 AS seq FROM events WHERE ${IN_SESSION} ORDER BY key DESC LIMIT 1`,
  // By rows, not by numbers: those jump after a crash.
  trimEvents: `DELETE FROM events WHERE key > ${SESSION_ROW} << 32 AND key <=
    (SELECT key FROM events WHERE ${IN_SESSION} ORDER BY key DESC LIMIT 1 OFFSET ?2)`,
  putPrefix: `INSERT INTO prefixes (hash, owner, used_at, data) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (hash) DO UPDATE SET owner = ?2, used_at = ?3, data = ?4`,
  getPrefix: "SELECT hash, owner, used_at AS usedAt, data FROM prefixes WHERE hash = ?1",
  deletePrefixes: "DELETE FROM prefixes WHERE owner = ?1",
  putChange: `INSERT INTO changes (session, id, workspace, at, data) VALUES (${SESSION_ROW}, ?2, ?3, ?4, ?5)
    ON CONFLICT (id) DO UPDATE SET at = ?4, data = ?5`,
  getChange: `SELECT changes.id, sessions.id AS sessionId, changes.workspace, changes.at, changes.data
    FROM changes JOIN sessions ON sessions.row = changes.session WHERE changes.id = ?1`,
  listChanges: `SELECT row AS cursor, id, ?1 AS sessionId, workspace, at, data FROM changes
    WHERE session = ${SESSION_ROW} AND row < ?2 ORDER BY row DESC LIMIT ?3`,
  pruneSessions: `DELETE FROM sessions WHERE row IN (SELECT row FROM sessions ORDER BY last_active_at LIMIT ?1)`,
  prunePrefixes: "DELETE FROM prefixes WHERE hash IN (SELECT hash FROM prefixes ORDER BY used_at LIMIT ?1)",
  pruneChanges: "DELETE FROM changes WHERE row IN (SELECT row FROM changes ORDER BY row LIMIT ?1)",
  // Counting a million rows takes 60 ms; the file knows its size.
  usedBytes: `SELECT (page_count - freelist_count) * page_size AS bytes
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size`,
  // The events of the sessions that have been silent for longest go first; the sessions themselves stay.
  oldestWithEvents: `SELECT row FROM sessions
    WHERE EXISTS (SELECT 1 FROM events WHERE key > sessions.row << 32 AND key < (sessions.row + 1) << 32)
    ORDER BY last_active_at LIMIT 1`,
  pruneEvents: `DELETE FROM events WHERE key IN (SELECT key FROM events
    WHERE key > ?1 << 32 AND key < (?1 + 1) << 32 ORDER BY key LIMIT ?2)`,
} as const;

type Row = Record<string, string | number | null>;

const orNull = <T>(value: T | undefined): T | null => value ?? null;
const parse = <T>(row: Row | null | undefined): T | undefined =>
  row === null || row === undefined ? undefined : (JSON.parse(String(row.data)) as T);

/** Opens the SQLite store. Throws as `openDatabase` does; the caller closes it. */
export function openSqliteStore(options: SqliteStoreOptions): Store {
  const { path, log } = options;
  const retention = { ...DEFAULT_RETENTION, ...options.retention };
  const database: Database = openDatabase(path, log, options.maxFileBytes ?? DEFAULT_MAX_FILE_BYTES);
  const prepared = new Map<string, Statement<Row, SQLQueryBindings[]>>();
  let damaged = false;

  const statement = (sql: string) => {
    let found = prepared.get(sql);
    if (!found) {
      found = database.prepare<Row, SQLQueryBindings[]>(sql);
      prepared.set(sql, found);
    }
    return found;
  };

  const onError = (error: unknown) => {
    if (!isCorruption(error) || damaged) return;
    damaged = true;
    markDamaged(path);
    log.error("the state file is damaged; the next start moves it aside and begins a fresh one", { path });
  };
  const queue = new WriteQueue(database, log, onError);
  const write = (sql: string, ...values: SQLQueryBindings[]) => queue.add(statement(sql), values);

  /** A read sees every write before it; a disk that is full does not keep it from what is there. */
  const read = (sql: string, ...values: SQLQueryBindings[]): Row[] => {
    try {
      queue.commit();
    } catch {
      // Reported by `problem` and by `flush`.
    }
    try {
      return statement(sql).all(...values);
    } catch (error) {
      onError(error);
      log.error("the state file cannot be read", { problem: String(error) });
      throw new DaemonError("internal", "The daemon cannot read its state file. Its log says why.", { cause: error });
    }
  };
  const readOne = (sql: string, ...values: SQLQueryBindings[]): Row | undefined => read(sql, ...values)[0];

  /** One row more than asked tells whether there is a next page. */
  const page = <T>(rows: Row[], limit: number, convert: (row: Row) => T): Page<T> => {
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    return { items: items.map(convert), next: rows.length > limit && last ? String(last.cursor) : undefined };
  };
  const limitOf = (list: ListOptions) => Math.max(1, Math.min(MAX_PAGE, Math.trunc(list.limit)));
  const before = (list: ListOptions) => {
    const number = list.before === undefined ? Number.MAX_SAFE_INTEGER : Number(list.before);
    return Number.isSafeInteger(number) ? number : 0;
  };
  const toEvent = (row: Row): EventRecord => ({
    seq: Number(row.seq),
    firstSeq: Number(row.first_seq),
    at: Number(row.at),
    event: JSON.parse(String(row.event)) as JsonObject,
    cuts: row.cuts === null ? undefined : (JSON.parse(String(row.cuts)) as number[]),
  });
  const toChange = (row: Row): ChangeRecord => ({
    id: String(row.id),
    sessionId: String(row.sessionId),
    workspace: String(row.workspace),
    at: Number(row.at),
    data: JSON.parse(String(row.data)) as Json,
  });

  const listSessions = (filter: SessionFilter): Page<SessionRecord> => {
    const limit = limitOf(filter);
    // The cursor is `last_active_at.row` of the last item: stable while newer sessions come in above it.
    const [at, row] = (filter.before ?? "").split(".").map(Number);
    const values: SQLQueryBindings[] = [limit + 1];
    const conditions: string[] = [];
    if (filter.closed !== true) conditions.push("closed_at IS NULL");
    if (filter.workspace !== undefined) conditions.push(`workspace = ?${values.push(filter.workspace)}`);
    if (Number.isSafeInteger(at) && Number.isSafeInteger(row)) {
      conditions.push(`(last_active_at, row) < (?${values.push(at ?? 0)}, ?${values.push(row ?? 0)})`);
    }
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    const sql = `SELECT last_active_at || '.' || row AS cursor, data FROM sessions ${where}
      ORDER BY last_active_at DESC, row DESC LIMIT ?1`;
    return page(read(sql, ...values), limit, (item) => JSON.parse(String(item.data)) as SessionRecord);
  };

  const count = (table: string) => Number(readOne(`SELECT count(*) AS count FROM ${table}`)?.count ?? 0);
  const dropOldest = (table: string, keep: number, sql: string, share = 1): boolean => {
    const excess = count(table) - keep;
    if (excess <= 0) return false;
    write(sql, Math.min(Math.ceil(PRUNE_ROWS / share), excess));
    return true;
  };
  const dropEvents = (): boolean => {
    const usedBytes = Number(readOne(SQL.usedBytes)?.bytes ?? 0);
    const oldest = usedBytes > retention.fileBytes ? readOne(SQL.oldestWithEvents) : undefined;
    if (oldest === undefined) return false;
    write(SQL.pruneEvents, Number(oldest.row), PRUNE_ROWS);
    return true;
  };

  const responses = createResponses({ write, readOne, problem: () => queue.problem });
  const usage = createUsage({ write, readOne });
  return {
    responses,
    usage,
    sessions: {
      put: (record) =>
        write(
          SQL.putSession,
          record.id,
          orNull(record.claudeSessionId),
          record.workspace,
          record.lastActiveAt,
          orNull(record.closedAt),
          JSON.stringify(record),
        ),
      get: async (id) => parse<SessionRecord>(readOne(SQL.getSession, id)),
      byClaudeSession: async (id) => parse<SessionRecord>(readOne(SQL.sessionByClaude, id)),
      list: async (filter) => listSessions(filter),
      delete: (id) => {
        write(SQL.deleteSession, id);
        write(SQL.deletePrefixes, id);
      },
    },
    turns: {
      put: (record) => {
        const finished = record.status === "queued" || record.status === "running" ? 0 : 1;
        write(SQL.putTurn, record.sessionId, record.number, record.id, finished, JSON.stringify(record));
      },
      get: async (sessionId, turnId) => parse<TurnRecord>(readOne(SQL.getTurn, sessionId, turnId)),
      list: async (sessionId, list) => {
        const limit = limitOf(list);
        const rows = read(SQL.listTurns, sessionId, before(list), limit + 1);
        return page(rows, limit, (row) => JSON.parse(String(row.data)) as TurnRecord);
      },
      unfinished: async () => read(SQL.unfinishedTurns).map((row) => JSON.parse(String(row.data)) as TurnRecord),
    },
    events: {
      append: (sessionId, record) => {
        write(
          SQL.appendEvent,
          sessionId,
          record.seq,
          record.firstSeq,
          record.at,
          JSON.stringify(record.event),
          record.cuts === undefined ? null : JSON.stringify(record.cuts),
        );
        const passed = Math.trunc(record.seq / TRIM_EVERY) !== Math.trunc((record.firstSeq - 1) / TRIM_EVERY);
        if (passed) write(SQL.trimEvents, sessionId, retention.eventsPerSession);
      },
      read: async (sessionId, range) =>
        read(SQL.readEvents, sessionId, range.after, Math.max(1, Math.min(MAX_PAGE, range.limit))).map(toEvent),
      bounds: async (sessionId) => ({
        first: Number(readOne(SQL.firstEvent, sessionId)?.seq ?? 0),
        last: Number(readOne(SQL.lastEvent, sessionId)?.seq ?? 0),
      }),
    },
    prefixes: {
      put: (record) => write(SQL.putPrefix, record.hash, record.owner, record.usedAt, JSON.stringify(record.data)),
      get: async (hash) => {
        const row = readOne(SQL.getPrefix, hash);
        if (!row) return undefined;
        const data = JSON.parse(String(row.data)) as Json;
        return { hash, owner: String(row.owner), usedAt: Number(row.usedAt), data } satisfies PrefixRecord;
      },
      deleteOwner: (owner) => write(SQL.deletePrefixes, owner),
    },
    changes: {
      put: (record) =>
        write(SQL.putChange, record.sessionId, record.id, record.workspace, record.at, JSON.stringify(record.data)),
      get: async (id) => {
        const row = readOne(SQL.getChange, id);
        return row === undefined ? undefined : toChange(row);
      },
      list: async (sessionId, list) => {
        const limit = limitOf(list);
        return page(read(SQL.listChanges, sessionId, before(list), limit + 1), limit, toChange);
      },
    },
    flush: async () => {
      try {
        queue.commit();
      } catch (error) {
        throw toStorageError(error);
      }
    },
    prune: async () => {
      usage.prune();
      // A session takes its rows with it: fewer at a time.
      const dropped = [
        dropOldest("sessions", retention.sessions, SQL.pruneSessions, 100),
        dropOldest("prefixes", retention.prefixes, SQL.prunePrefixes),
        dropOldest("changes", retention.changes, SQL.pruneChanges),
        responses.prune(retention),
        dropEvents(),
      ];
      return dropped.includes(true);
    },
    problem: () => {
      if (damaged) return "The state file is damaged; restart the daemon to begin a fresh one.";
      return queue.problem === undefined ? undefined : toStorageError(queue.problem).message;
    },
    close: async () => {
      try {
        queue.commit();
      } catch (error) {
        log.error("what was not stored is lost", { problem: String(error) });
      }
      for (const one of prepared.values()) one.finalize();
      database.close();
    },
  };
}
