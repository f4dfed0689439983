/**
 * One daemon per state directory. The lock is SQLite's exclusive one on a file of its own: it ends with the process,
 * however that ends, so there is no stale lock to judge.
 */
import { Database } from "bun:sqlite";
import { chmodSync, readFileSync, unlinkSync } from "node:fs";
import { writeFileAtomic } from "../config/files.ts";
import { DaemonError } from "../errors.ts";

export interface Lock {
  release(): void;
}

/** Takes the lock. Throws `unsupported` (exit 75) where another daemon holds it; touches nothing but the lock file. */
export function takeLock(path: string, holder: () => DaemonInfo | undefined): Lock {
  const before = process.umask(0o077);
  let database: Database;
  try {
    database = new Database(path, { create: true });
  } finally {
    process.umask(before);
  }
  try {
    chmodSync(path, 0o600);
    // In memory: a journal beside the lock would be written for nothing.
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    const other = holder();
    const where = other ? ` It is process ${other.pid}, at ${other.url}.` : "";
    throw new DaemonError(
      "unsupported",
      `Another claude-code-daemon of this user is running.${where} Use that one (claude-code-daemon status), or stop it first.`,
      { detail: { exit: 75 }, cause: error },
    );
  }
  return { release: () => database.close() };
}

/** What a running daemon tells other commands of the same user. */
export interface DaemonInfo {
  pid: number;
  /** On a literal loopback address. */
  url: string;
  startedAt: string;
}

export function writeInfo(path: string, info: DaemonInfo): void {
  writeFileAtomic(path, `${JSON.stringify(info)}\n`);
}

/** Undefined where no daemon has written one, or it says nothing usable. It may be left over from a killed daemon. */
export function readInfo(path: string): DaemonInfo | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof value !== "object" || value === null) return undefined;
    const { pid, url, startedAt } = value as Partial<Record<keyof DaemonInfo, unknown>>;
    if (typeof pid !== "number" || typeof url !== "string" || typeof startedAt !== "string") return undefined;
    return /^http:\/\/(127\.0\.0\.1|\[::1\]):\d+$/.test(url) ? { pid, url, startedAt } : undefined;
  } catch {
    return undefined;
  }
}

export function removeInfo(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is gone already.
  }
}
