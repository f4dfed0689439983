import { DaemonError } from "../errors.ts";
import { createId } from "../ids.ts";
import type { Store } from "../store/store.ts";
import type { ChangeRecord, UndoOptions, UndoResult, WorkspaceChanges } from "../workspace/records.ts";
import type { AgentSession } from "./agent-sessions.ts";

export interface UndoTurnDeps {
  store: Store;
  changes: WorkspaceChanges | undefined;
}

/**
 * Restores what a turn (or an undo, by its own id) changed, and stores what undoes that. Throws `not_found` where it
 * changed nothing, `session_busy` while a turn of the session runs, and what `WorkspaceChanges.undo` throws.
 */
export async function undoTurn(
  deps: UndoTurnDeps,
  session: Pick<AgentSession, "id" | "status">,
  turnId: string,
  options: Omit<UndoOptions, "undoId">,
): Promise<UndoResult> {
  const { store, changes } = deps;
  if (!changes) throw new DaemonError("unsupported", "Changes are not tracked here, so nothing can be taken back.");
  const stored = await store.changes.get(turnId);
  if (!stored || stored.sessionId !== session.id) {
    throw new DaemonError("not_found", "That turn changed no files, or its record is gone.");
  }
  const busy = session.status !== "idle" && session.status !== "closed";
  if (busy && options.dryRun !== true) {
    throw new DaemonError("session_busy", "A turn of this session runs. Wait for it, or interrupt it first.");
  }
  // What `finished` has stored, or this function.
  const record = stored.data as unknown as ChangeRecord;
  const result = await changes.undo(record, { ...options, undoId: createId("und") });
  if (result.record) {
    const { turnId: id, workspace, endedAt: at } = result.record;
    store.changes.put({ id, sessionId: session.id, workspace, at, data: JSON.parse(JSON.stringify(result.record)) });
    await store.flush();
  }
  return result;
}
