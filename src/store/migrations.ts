import type { Database } from "bun:sqlite";
import { DaemonError } from "../errors.ts";
import { USAGE_TABLE } from "./usage.ts";

/**
 * Step N brings a file from `user_version` N to N+1. Steps are never edited once released: add one.
 * Rows carry a JSON `data` beside the columns that are searched, so that most changes need no step at all.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE sessions (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    claude_session_id TEXT,
    workspace TEXT NOT NULL,
    last_active_at INTEGER NOT NULL,
    closed_at INTEGER,
    data TEXT NOT NULL
  );
  CREATE INDEX sessions_active ON sessions (last_active_at, row);
  CREATE INDEX sessions_workspace ON sessions (workspace, last_active_at, row);
  CREATE INDEX sessions_claude ON sessions (claude_session_id) WHERE claude_session_id IS NOT NULL;

  CREATE TABLE turns (
    session INTEGER NOT NULL REFERENCES sessions (row) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    finished INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (session, number)
  );
  CREATE INDEX turns_unfinished ON turns (session) WHERE finished = 0;

  -- The key is session << 32 | seq: one clustered table, read in order, without a second index to write.
  CREATE TABLE events (
    key INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    cuts TEXT
  );
  CREATE TRIGGER sessions_take_events AFTER DELETE ON sessions BEGIN
    DELETE FROM events WHERE key BETWEEN old.row << 32 AND (old.row << 32) | 4294967295;
  END;

  CREATE TABLE prefixes (
    hash TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    data TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX prefixes_owner ON prefixes (owner);
  CREATE INDEX prefixes_used ON prefixes (used_at);

  CREATE TABLE changes (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session INTEGER NOT NULL REFERENCES sessions (row) ON DELETE CASCADE,
    workspace TEXT NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
  );
  CREATE INDEX changes_session ON changes (session, row);
  `,
  `
  CREATE TABLE responses (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    bytes INTEGER NOT NULL,
    data TEXT NOT NULL
  );
  -- Their sum is asked for, and no row is read for it.
  CREATE INDEX responses_bytes ON responses (row, bytes);
  `,
];

export const SCHEMA_VERSION: number = MIGRATIONS.length;

/**
 * The oldest schema whose daemons can go on with a file of this one, kept in the file as `application_id`: who goes back
 * to an older daemon keeps the sessions. It stays where it is when a step only adds tables or columns that a daemon of
 * the old schema may leave empty; a step that changes or removes something raises it to `MIGRATIONS.length`.
 */
const USABLE_FROM_SCHEMA = 2;

function pragma(database: Database, name: "user_version" | "application_id"): number {
  return database.query<Record<string, number>, []>(`PRAGMA ${name}`).get()?.[name] ?? 0;
}

/**
 * Brings an open file up to date. Throws `unsupported` (exit 78) where a newer daemon wrote it so that this one cannot go
 * on with it: it is left as it is.
 */
export function migrate(database: Database): void {
  const found = pragma(database, "user_version");
  if (found > SCHEMA_VERSION) {
    const usableFrom = pragma(database, "application_id") || found;
    if (usableFrom <= SCHEMA_VERSION) return;
    throw new DaemonError(
      "unsupported",
      `The daemon's state was written by a newer version (schema ${found}, this one knows ${SCHEMA_VERSION}). ` +
        "Update claude-code-daemon, or start it with another state directory.",
      { detail: { exit: 78 } },
    );
  }
  if (found === SCHEMA_VERSION && pragma(database, "application_id") === USABLE_FROM_SCHEMA) {
    database.run(USAGE_TABLE);
    return;
  }
  database.transaction(() => {
    for (const step of MIGRATIONS.slice(found)) database.run(step);
    database.run(USAGE_TABLE);
    database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    database.run(`PRAGMA application_id = ${USABLE_FROM_SCHEMA}`);
  })();
}
