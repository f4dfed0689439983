/** What the daemon remembers. Times are Unix milliseconds; ids are ours unless a name says otherwise. */
import type { FileChange } from "../turn/changes.ts";
import type { PermissionDenial, Usage } from "../turn/events.ts";
import type { Json, JsonObject } from "../turn/message.ts";
import type { PermissionMode } from "../turn/request.ts";

/** What a session was created with and a process of it is launched with. */
export interface SessionOptions {
  /** Replaces Claude Code's own system prompt. */
  systemPrompt?: string;
  appendSystemPrompt?: string;
  allowedTools?: string[];
  disallowedTools?: string[];
  maxTurns?: number;
}

export interface SessionRecord {
  /** `ses_…` */
  id: string;
  /** Real path of the directory it works in. */
  workspace: string;
  /** As the client named it: `claude-code`, `claude-code:opus`. */
  model: string;
  permissionMode: PermissionMode;
  /** Who began it: our code API, a stateless API's conversation, or `claude` in a terminal. */
  origin: "code" | "stateless" | "terminal";
  /** Claude's own session id; undefined until the first turn has run. */
  claudeSessionId: string | undefined;
  /** The next process branches off `claudeSessionId` instead of continuing it. */
  forkPending: boolean;
  title: string | undefined;
  createdAt: number;
  lastActiveAt: number;
  closedAt: number | undefined;
  turns: number;
  usage: Usage;
  costUsd: number;
  options: SessionOptions;
}

export type TurnStatus = "queued" | "running" | "completed" | "interrupted" | "failed";

export interface TurnRecord {
  /** `trn_…` */
  id: string;
  sessionId: string;
  /** 1 for a session's first. */
  number: number;
  status: TurnStatus;
  /** What the person asked, bounded. */
  prompt: string;
  /** The answer's text, bounded. */
  content: string;
  model: string | undefined;
  createdAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  /** The end's reason in our words and in claude's. */
  reason: string | undefined;
  rawReason: string | undefined;
  usage: Usage | undefined;
  costUsd: number | undefined;
  numTurns: number | undefined;
  filesChanged: FileChange[] | undefined;
  permissionDenials: PermissionDenial[];
  error: { code: string; message: string } | undefined;
}

/**
 * One event of a session, or a run of text deltas that were stored as one (docs/sessions.md, Events): then `firstSeq`
 * is below `seq`, and `cuts[i]` is where the text of `firstSeq + i` ends.
 */
export interface EventRecord {
  seq: number;
  firstSeq: number;
  at: number;
  event: JsonObject;
  cuts: number[] | undefined;
}

/** Where a process or a transcript stands: one row of the conversation index. `data` is the index's own. */
export interface PrefixRecord {
  hash: string;
  owner: string;
  data: Json;
  usedAt: number;
}

/** What undo needs of one turn (or of an undo, which can be undone). `data` is the change tracker's own. */
export interface ChangeRecord {
  /** The turn's id, or the undo's own. */
  id: string;
  sessionId: string;
  workspace: string;
  at: number;
  data: Json;
}

/** An answer of the Responses API that the client wants kept. `json` is the format's own, parsed by nobody else. */
export interface ResponseRecord {
  /** `resp_…` */
  id: string;
  json: string;
}

export interface Page<T> {
  items: T[];
  /** Give it back as `before` to read on; undefined at the end. */
  next: string | undefined;
}
