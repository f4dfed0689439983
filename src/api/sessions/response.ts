/** Sessions, turns and changes as the code API shows them. Pure. */

import { usageToWire } from "../../sessions/events.ts";
import type { PendingPermission } from "../../sessions/permissions.ts";
import type { SessionView } from "../../sessions/registry.ts";
import type { TerminalSession } from "../../sessions/terminal.ts";
import type { Page, ChangeRecord as StoredChange, TurnRecord } from "../../store/records.ts";
import { changeToWire } from "../../turn/changes.ts";
import type { JsonObject } from "../../turn/message.ts";
import type { ChangeRecord, UndoResult } from "../../workspace/records.ts";

const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000);
const secondsOrNull = (milliseconds: number | undefined): number | null =>
  milliseconds === undefined ? null : seconds(milliseconds);

export function toSessionObject({ record, status, process }: SessionView): JsonObject {
  return {
    object: "code.session",
    id: record.id,
    status,
    workspace: record.workspace,
    model: record.model,
    permission_mode: record.permissionMode,
    origin: record.origin,
    claude_session_id: record.claudeSessionId ?? null,
    title: record.title ?? null,
    created_at: seconds(record.createdAt),
    last_active_at: seconds(record.lastActiveAt),
    turns: record.turns,
    usage: usageToWire(record.usage),
    cost_usd: record.costUsd,
    process,
  };
}

/** One of claude's own that is not ours yet: what `resume` needs. */
export function toTerminalObject(session: TerminalSession): JsonObject {
  return {
    object: "code.terminal_session",
    claude_session_id: session.id,
    workspace: session.cwd ?? null,
    title: session.title ?? null,
    last_active_at: seconds(session.lastActiveAt),
  };
}

export function toTurnObject(turn: TurnRecord): JsonObject {
  return {
    object: "code.turn",
    id: turn.id,
    session_id: turn.sessionId,
    number: turn.number,
    status: turn.status,
    prompt: turn.prompt,
    content: turn.content,
    model: turn.model ?? null,
    created_at: seconds(turn.createdAt),
    started_at: secondsOrNull(turn.startedAt),
    ended_at: secondsOrNull(turn.endedAt),
    stop_reason: turn.reason ?? null,
    usage: turn.usage === undefined ? {} : usageToWire(turn.usage),
    cost_usd: turn.costUsd ?? null,
    num_turns: turn.numTurns ?? null,
    files_changed: turn.filesChanged?.map(changeToWire) ?? null,
    permission_denials: turn.permissionDenials.map(({ tool, toolUseId, input }) => ({
      tool,
      tool_use_id: toolUseId,
      input,
    })),
    error: turn.error ?? null,
  };
}

export function toList<T>(page: Page<T>, convert: (item: T) => JsonObject): JsonObject {
  return {
    object: "list",
    data: page.items.map(convert),
    has_more: page.next !== undefined,
    next: page.next ?? null,
  };
}

export function toPendingObject(pending: PendingPermission): JsonObject {
  const { prompt } = pending;
  return {
    permission_id: pending.id,
    turn_id: pending.turnId,
    tool: prompt.tool,
    input: prompt.input,
    ...(prompt.description === undefined ? {} : { reason: prompt.description }),
    suggestions: prompt.suggestions,
    ...(prompt.toolUseId === undefined ? {} : { tool_use_id: prompt.toolUseId }),
    expires_at: pending.expiresAt,
  };
}

export function toChangesObject(stored: StoredChange): JsonObject {
  const record = stored.data as unknown as ChangeRecord;
  return {
    object: "code.changes",
    turn_id: stored.id,
    session_id: stored.sessionId,
    workspace: stored.workspace,
    at: seconds(stored.at),
    files_changed: record.files?.map(changeToWire) ?? null,
    ...(record.notice === undefined ? {} : { notice: record.notice }),
  };
}

/** `undo_id` undoes the undo. */
export function toUndoObject(result: UndoResult): JsonObject {
  return {
    object: "code.undo",
    applied: result.applied,
    undo_id: result.record?.turnId ?? null,
    ...(result.notice === undefined ? {} : { notice: result.notice }),
    files_changed: result.files.map(changeToWire),
    conflicts: result.conflicts.map(({ path, reason, message }) => ({ path, reason, message })),
  };
}
