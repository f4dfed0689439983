/** One turn's place in its session: what runs or waits, who may end it, and what it is called. */
import { DaemonError } from "../errors.ts";
import { createId } from "../ids.ts";
import type { SessionRecord, TurnRecord } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import type { UserBlock } from "../turn/message.ts";
import type { TurnChanges } from "../workspace/records.ts";
import type { SessionTurn } from "./agent-sessions.ts";
import type { PartOptions, Turn } from "./contracts.ts";
import { assertBypassAllowed } from "./permissions.ts";
import { addUsage, TurnJournal } from "./turn-journal.ts";
import type { Entry } from "./turn-line.ts";

/** A title of the session's own: the beginning of the first prompt. */
const MAX_TITLE_CHARS = 80;

export interface Job {
  journal: TurnJournal;
  input: SessionTurn;
  /** Fires for the client's signal and for `interrupt`. */
  abort: AbortController;
  entry: Entry;
  turn: Turn | undefined;
  changes: TurnChanges | undefined;
  paused: boolean;
  done: Promise<TurnRecord>;
  settle(record: TurnRecord): void;
  over: boolean;
}

function textOf(content: UserBlock[] | undefined): string {
  return (content ?? []).flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
}

function toTitle(prompt: string): string | undefined {
  const line = prompt.trim().split("\n", 1)[0]?.trim() ?? "";
  if (line === "") return undefined;
  return line.length > MAX_TITLE_CHARS ? `${line.slice(0, MAX_TITLE_CHARS - 1)}…` : line;
}

export function stopping(): DaemonError {
  return new DaemonError("overloaded", "The daemon is stopping. Try again when it runs again.", {
    detail: { retryAfterSeconds: 5 },
  });
}

/** Throws where the session cannot take this turn, before anything of it is stored. */
export function assertAccepts(
  record: SessionRecord,
  input: SessionTurn,
  deps: { store: Store; bypassAllowed: boolean; accepting(): boolean },
): void {
  if (record.closedAt !== undefined) {
    throw new DaemonError("invalid_request", "This session is closed. Create one that resumes its claude_session_id.");
  }
  if (!deps.accepting()) throw stopping();
  if (input.permissionMode === "bypassPermissions") assertBypassAllowed(deps.bypassAllowed);
  const problem = deps.store.problem();
  if (problem !== undefined) {
    throw new DaemonError("overloaded", problem, { detail: { reason: "storage_full" } });
  }
}

/** A new one, as the session's last turn so far; counts it and gives a session without one its title. */
export function createJob(
  record: SessionRecord,
  input: SessionTurn,
  place: { entry: Entry; abort: AbortController; now: number },
): Job {
  const prompt = input.prompt ?? textOf(input.content);
  record.turns++;
  record.lastActiveAt = place.now;
  record.title ??= toTitle(prompt);
  const journal = new TurnJournal({
    id: createId("trn"),
    sessionId: record.id,
    number: record.turns,
    prompt,
    createdAt: place.now,
    requestId: input.requestId,
  });
  const { promise: done, resolve: settle } = Promise.withResolvers<TurnRecord>();
  const { abort, entry } = place;
  return {
    journal,
    input,
    abort,
    entry,
    turn: undefined,
    changes: undefined,
    paused: false,
    done,
    settle,
    over: false,
  };
}

/** From here on this signal, too, ends the job. */
export function follow(job: Job, signal: AbortSignal): void {
  if (signal.aborted) job.abort.abort();
  else signal.addEventListener("abort", () => job.abort.abort(), { once: true, signal: job.abort.signal });
}

/** What its input says of each of its parts. */
export function partOf({ input, abort }: Job): PartOptions {
  return {
    ignored: input.ignored ?? [],
    settings: input.settings,
    stop: input.stop ?? [],
    parallelCalls: input.parallelCalls ?? true,
    signal: abort.signal,
  };
}

/** Puts the turn's end and what it changed into the store, and both into the session's sums. */
export function storeEnd(store: Store, session: SessionRecord, { journal, changes }: Job, now: number): void {
  const { record } = journal;
  session.lastActiveAt = now;
  session.usage = addUsage(session.usage, record.usage);
  session.costUsd += record.costUsd ?? 0;
  store.turns.put(record);
  store.sessions.put(session);
  const change = changes?.record;
  if (!change || change.paths.length === 0) return;
  store.changes.put({
    id: change.turnId,
    sessionId: session.id,
    workspace: change.workspace,
    at: change.endedAt,
    data: JSON.parse(JSON.stringify(change)),
  });
}
