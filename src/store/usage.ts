/** Finished turns and what they cost, by day. */
import type { SQLQueryBindings } from "bun:sqlite";
import type { Store } from "./store.ts";

/** Days that are kept: one row each. */
const KEPT_DAYS = 400;

/** Made where it is missing, without a schema number of its own: an older daemon opens the file and leaves it alone. */
export const USAGE_TABLE =
  "CREATE TABLE IF NOT EXISTS usage (day TEXT PRIMARY KEY, turns INTEGER NOT NULL, cost_usd REAL NOT NULL) WITHOUT ROWID";

const SQL = {
  add: `INSERT INTO usage (day, turns, cost_usd) VALUES (?1, ?2, ?3)
    ON CONFLICT (day) DO UPDATE SET turns = turns + ?2, cost_usd = cost_usd + ?3`,
  get: "SELECT turns, cost_usd FROM usage WHERE day = ?1",
  prune: "DELETE FROM usage WHERE day < (SELECT day FROM usage ORDER BY day DESC LIMIT 1 OFFSET ?1)",
} as const;

interface UsageDeps {
  write(sql: string, ...values: SQLQueryBindings[]): void;
  readOne(sql: string, ...values: SQLQueryBindings[]): Record<string, string | number | null> | undefined;
}

export function createUsage({ write, readOne }: UsageDeps): Store["usage"] & { prune(): void } {
  return {
    add: ({ date, turns, costUsd }) => write(SQL.add, date, turns, costUsd),
    of: async (day) => {
      const row = readOne(SQL.get, day);
      return { turns: Number(row?.turns ?? 0), costUsd: Number(row?.cost_usd ?? 0) };
    },
    prune: () => write(SQL.prune, KEPT_DAYS - 1),
  };
}
