/**
 * Sessions as their callers inside the daemon know them: the code API and WebSocket, and the stateless formats, whose agent
 * conversations are sessions like any other. `registry.ts` and `session.ts` implement it.
 */
import type { LaunchOptions } from "../claude/transport.ts";
import type { SessionOptions, SessionRecord, TurnRecord } from "../store/records.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { ClientResultBlock, JsonObject, UserBlock } from "../turn/message.ts";
import type { ClientTool, PermissionMode } from "../turn/request.ts";
import type { PartOptions, PartOutcome, StartKind } from "./contracts.ts";

export const SESSION_STATUSES = ["idle", "running", "waiting_permission", "waiting_tool", "closed"] as const;
export type SessionStatus = (typeof SESSION_STATUSES)[number];

export interface OpenSession {
  /** As the client wrote it, or undefined for the default one; confined to the configured roots. */
  workspace: string | undefined;
  /** `claude-code` or `claude-code:<model>`. */
  model: string;
  permissionMode?: PermissionMode;
  options?: SessionOptions;
  title?: string;
}

/** An agent conversation of a stateless client. */
export interface OpenConversation extends OpenSession {
  /** What the first process resumes: a transcript file, or another session's history up to a line. */
  start?: { resume: NonNullable<LaunchOptions["resume"]>; answerInterrupted?: boolean };
}

export interface SessionTurn {
  /** The new user content; undefined where the process answers the history it was resumed with. */
  content: UserBlock[] | undefined;
  /** Keeps `/` and `@` as text. */
  verbatim: boolean;
  /** What the turn history shows as asked; by default the text of `content`. */
  prompt?: string;
  /** For this turn only; the session's own otherwise. Options that are launch flags start a process that resumes. */
  model?: string;
  permissionMode?: PermissionMode;
  options?: SessionOptions;
  clientTools?: ClientTool[];
  /** JSON Schema of the CLI's own structured output. */
  jsonSchema?: JsonObject;
  /** The client's names of the parameters that this turn does not honour. */
  ignored?: string[];
  settings?: PartOptions["settings"];
  stop?: string[];
  parallelCalls?: boolean;
  /** Fires when whoever asked is gone, or wants an end: claude's work is interrupted. */
  signal: AbortSignal;
  /** The client's own id of its request, repeated in the events of the turn. */
  requestId?: string;
}

export interface AgentSession {
  readonly id: string;
  readonly record: Readonly<SessionRecord>;
  readonly status: SessionStatus;
  /** Whether a claude process stands ready for (or works in) this session. */
  readonly process: "live" | "none";
  /** What the last part of a turn left behind; undefined before the first. */
  readonly outcome: PartOutcome | undefined;
  /** How the running (or last) turn came to its process. */
  readonly startKind: StartKind | undefined;
  /** Client calls that a paused turn waits for. */
  readonly waiting: readonly string[];

  /**
   * Carries out one turn after those that wait already. The iteration must be begun for the turn to take its place;
   * leaving it early interrupts claude's work. The end is stored before `turn-end` is given out.
   * Throws `session_busy` (too many wait, or the session is closed), and what a turn throws.
   */
  turn(input: SessionTurn): AsyncIterable<TurnEvent>;
  /** The same without a reader: the session itself carries it out, watchers see it. */
  submit(input: SessionTurn): SubmittedTurn;
  /** Goes on with a paused turn. Throws `invalid_request` where none waits for these calls. */
  continue(results: ClientResultBlock[], more: UserBlock[], part: Partial<PartOptions>): AsyncIterable<TurnEvent>;
  /** Ends that turn (or whatever runs); settles when claude has stopped. False where nothing ran. */
  interrupt(turnId?: string): Promise<boolean>;
}

export interface SubmittedTurn {
  turnId: string;
  /** Settles with the stored turn, whatever its end. Never rejects. */
  done: Promise<TurnRecord>;
}

export interface AgentSessions {
  /** A new session of the code API. Throws `forbidden` and the like for the workspace. */
  create(options: OpenSession & { resume?: string; fork?: boolean }): Promise<AgentSession>;
  /** A new session for a stateless client's agent conversation. */
  openForConversation(options: OpenConversation): Promise<AgentSession>;
  /** Undefined where there is none of that id. */
  get(id: string): Promise<AgentSession | undefined>;
}
