/** Stored answers of the Responses API. */
import type { SQLQueryBindings } from "bun:sqlite";
import type { Retention, Store } from "./store.ts";

/** Rows that one pass of `prune` deletes at most; one may hold megabytes of images. */
const PRUNE_ROWS = 100;
/** While the disk is full, writes wait in memory: only small ones do. */
const MAX_WAITING_CHARS = 64 * 1024;

const SQL = {
  put: "INSERT INTO responses (id, bytes, data) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET bytes = ?2, data = ?3",
  get: "SELECT id, data FROM responses WHERE id = ?1",
  delete: "DELETE FROM responses WHERE id = ?1",
  size: "SELECT count(*) AS count, coalesce(sum(bytes), 0) AS bytes FROM responses INDEXED BY responses_bytes",
  prune: "DELETE FROM responses WHERE row IN (SELECT row FROM responses ORDER BY row LIMIT ?1)",
} as const;

interface ResponsesDeps {
  write(sql: string, ...values: SQLQueryBindings[]): void;
  readOne(sql: string, ...values: SQLQueryBindings[]): Record<string, string | number | null> | undefined;
  /** Why nothing can be written now; undefined: it can. */
  problem(): unknown;
}

type Responses = Store["responses"] & {
  /** One bounded pass; true while there is more to drop. */
  prune(retention: Pick<Retention, "responses" | "responseBytes">): boolean;
};

export function createResponses({ write, readOne, problem }: ResponsesDeps): Responses {
  return {
    put: ({ id, json }) => {
      if (problem() !== undefined && json.length > MAX_WAITING_CHARS) return;
      write(SQL.put, id, json.length, json);
    },
    get: async (id) => {
      const row = readOne(SQL.get, id);
      return row && { id: String(row.id), json: String(row.data) };
    },
    delete: (id) => write(SQL.delete, id),
    prune: (retention) => {
      const size = readOne(SQL.size);
      const [count, bytes] = [Number(size?.count ?? 0), Number(size?.bytes ?? 0)];
      const excess = count - retention.responses;
      const tooLarge = bytes > retention.responseBytes;
      if (excess <= 0 && !tooLarge) return false;
      // By size a tenth at a time: how much the oldest take is known only once they are gone.
      write(SQL.prune, Math.min(PRUNE_ROWS, Math.max(excess, tooLarge ? Math.ceil(count / 10) : 0)));
      return true;
    },
  };
}
