/** Opens the state file: private from its first byte, newer schemas refused, damaged files moved aside. */
import { Database } from "bun:sqlite";
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { migrate } from "./migrations.ts";

/** How long a second daemon on the same file waits for the first one to leave. */
const LOCK_WAIT_MS = 1000;

/** Memory for pages, in KiB: a lookup in a million events touches few of them. */
const CACHE_KIB = 4096;

/** The WAL is folded back into the file past this many pages (4 MB). */
const CHECKPOINT_PAGES = 1000;

const TABLES = ["sessions", "turns", "events", "prefixes", "changes", "responses", "usage"] as const;

export function sqliteCode(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const { code } = error as Error & { code?: unknown };
  return typeof code === "string" ? code : "";
}

/** Whether the file itself is damaged, rather than this statement wrong or the disk full. */
export function isCorruption(error: unknown): boolean {
  return /^SQLITE_(NOTADB|CORRUPT)/.test(sqliteCode(error));
}

/** The file is made by us, 0600, before SQLite writes to it; its -wal takes over the mode. */
function createPrivately(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    chmodSync(path, 0o600);
  }
}

/** A file that was cut shorter than its own header says is only noticed when the missing page is read: look now. */
function assertWhole(database: Database, path: string): void {
  const pages = database.query<{ page_count: number }, []>("PRAGMA page_count").get()?.page_count ?? 0;
  const size = database.query<{ page_size: number }, []>("PRAGMA page_size").get()?.page_size ?? 0;
  const wal = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (wal === 0 && statSync(path).size < pages * size) {
    throw Object.assign(new Error("the file is shorter than its header says"), { code: "SQLITE_CORRUPT" });
  }
  for (const table of TABLES) database.query(`SELECT 1 FROM ${table} LIMIT 1`).get();
}

function tryOpen(path: string, maxFileBytes: number): Database {
  const database = new Database(path, { create: true, readwrite: true });
  try {
    database.run(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
    if (path !== ":memory:") {
      // One daemon a file: a second one fails here, and no shared-memory file is needed.
      database.run("PRAGMA locking_mode = EXCLUSIVE");
      database.run("PRAGMA journal_mode = WAL");
      // In WAL a commit without fsync survives the death of the process; only a power cut may take the last ones.
      database.run("PRAGMA synchronous = NORMAL");
      database.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    }
    database.run(`PRAGMA cache_size = -${CACHE_KIB}`);
    database.run("PRAGMA foreign_keys = ON");
    migrate(database);
    const pageBytes = database.query<{ page_size: number }, []>("PRAGMA page_size").get()?.page_size ?? 4096;
    database.run(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxFileBytes / pageBytes))}`);
    if (path !== ":memory:") assertWhole(database, path);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Moves a damaged file and its WAL out of the way; both are kept for whoever wants to look. */
function moveAside(path: string, log: Logger): void {
  const suffix = `.damaged-${Date.now()}`;
  for (const part of ["", "-wal", "-shm"]) {
    try {
      renameSync(path + part, path + suffix + part);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  log.error("the state file was damaged: it was moved aside and a fresh one started", {
    path,
    kept: path + suffix,
  });
}

const markerOf = (path: string) => `${path}.is-damaged`;

/** Damage that shows while the daemon runs: leaves a mark, so that the next start begins with a fresh file. */
export function markDamaged(path: string): void {
  if (path !== ":memory:") closeSync(openSync(markerOf(path), "w", 0o600));
}

/**
 * Opens or creates the state file. Throws `unsupported` for a newer schema (the file is left alone) and `internal` where
 * another daemon holds it or the directory cannot be written.
 */
export function openDatabase(path: string, log: Logger, maxFileBytes: number): Database {
  try {
    if (path !== ":memory:") {
      if (existsSync(markerOf(path))) {
        moveAside(path, log);
        rmSync(markerOf(path));
      }
      createPrivately(path);
    }
    try {
      return tryOpen(path, maxFileBytes);
    } catch (error) {
      if (path === ":memory:" || !isCorruption(error)) throw error;
      moveAside(path, log);
      createPrivately(path);
      return tryOpen(path, maxFileBytes);
    }
  } catch (error) {
    if (error instanceof DaemonError) throw error;
    const busy = sqliteCode(error).startsWith("SQLITE_BUSY");
    log.error("the state file cannot be opened", { path, problem: String(error) });
    throw new DaemonError(
      "internal",
      busy
        ? "Another claude-code-daemon uses this state directory. Stop it, or start this one with another state directory."
        : "The daemon cannot open its state file: check that its state directory exists and is writable.",
      { cause: error },
    );
  }
}
