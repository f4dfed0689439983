/**
 * What the parts of `sessions/` agree on: how a process is handed out, who answers permission prompts, who tells what a
 * turn changed. Each part receives the others as one of these, so it can be tested alone.
 */
import type {
  ClaudeProcess,
  InitializeOptions,
  InitializeResult,
  LaunchOptions,
  LiveSettings,
  PermissionAnswer,
  PermissionPrompt,
  ProcessListener,
} from "../claude/transport.ts";
import type { FileChange } from "../turn/changes.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { AssistantBlock, ClientResultBlock, JsonObject, UserBlock } from "../turn/message.ts";

/**
 * How a turn came to its process; the label of the time-to-first-token histogram. `live`: it stood at this history,
 * `rewound`: it had stood there and was taken back, `profile` and `spare`: booted ahead of need, `cold` and `resume`: started
 * for this turn.
 */
export const START_KINDS = ["live", "rewound", "profile", "spare", "cold", "resume"] as const;
export type StartKind = (typeof START_KINDS)[number];

/** The process a conversation needs. Two equal needs are interchangeable as long as neither process was prompted. */
export interface ProcessNeed {
  launch: LaunchOptions;
  initialize: InitializeOptions;
}

/**
 * A process that belongs to one conversation from now on. The pool may take it back while it rests (least recently used
 * first): `process.alive` is then false, and the conversation resumes with a new lease.
 */
export interface Lease {
  readonly process: ClaudeProcess;
  readonly start: StartKind;
  readonly initialized: InitializeResult;
  /** A process that answers by itself may begin before its turn listens: what it said, to be replayed in order. */
  readonly early: readonly ((listener: ProcessListener) => void)[];
  /** Marks it busy for a turn and wakes it. False: it is gone (or has outgrown its memory cap); acquire anew. */
  take(): boolean;
  /** The turn is over, or (`waiting`) paused for client results: from here on it may be suspended or evicted. */
  rest(options?: RestOptions): void;
  /** Ends the process and frees its place. Idempotent. */
  end(): Promise<void>;
}

export interface RestOptions {
  /** It holds a paused turn: kept longer than idle ones, bounded in number and time. */
  waiting?: boolean;
}

/**
 * Why the pool ended a process that its conversation had not given up: `limit`: others needed its place, `idle`: unused for
 * too long, `waiting`: its client's results did not come, `stale`: stopped for too long, `memory`: past its cap,
 * `unwanted`: a spare for what nobody asks for any more.
 */
export const EVICTION_REASONS = ["limit", "idle", "waiting", "stale", "memory", "unwanted"] as const;
export type EvictionReason = (typeof EVICTION_REASONS)[number];

/** For `/v1/health` and `/metrics`. */
export interface PoolStatus {
  live: number;
  busy: number;
  idle: number;
  spare: number;
  limit: number;
  /** Own memory of all claude processes. */
  rssBytes: number;
  queue: { waiting: number; limit: number };
  /** New conversations served by a spare, and those that had to start claude. */
  hits: number;
  misses: number;
  /** Since the start. */
  evictions: Readonly<Record<EvictionReason, number>>;
}

export interface ProcessSource {
  /**
   * Hands out a busy, initialized process; waits in the fair queue where every place is taken. Throws `queue_full`,
   * `interrupted` (the signal fired while waiting), and what starting claude throws.
   */
  acquire(need: ProcessNeed, signal: AbortSignal): Promise<Lease>;
}

export interface PermissionContext {
  turnId: string;
  /** Fires when the prompt needs no answer any more: taken back by the CLI, or its turn has ended. */
  signal: AbortSignal;
  /** Puts `permission-request` and `permission-resolved` into the turn's stream. */
  emit(event: Extract<TurnEvent, { type: "permission-request" | "permission-resolved" }>): void;
}

/** Decides on a prompt: asks whoever said they answer, or denies at once. Never rejects. */
export interface PermissionBroker {
  ask(prompt: PermissionPrompt, context: PermissionContext): Promise<PermissionAnswer>;
}

/** Tells what one turn changed in its workspace (docs/files-changed.md). */
export interface ChangeTracker {
  /**
   * Takes the before-state, once. The prompt need not wait for it, but every tool must: the CLI waits for the PreToolUse
   * callback, so hook all tools and answer with `beforeEdit`. A failure is the tracker's to log: it never rejects.
   */
  before(): Promise<void>;
  /** Any of Claude's own tools is about to run; waits for `before`. Never rejects. */
  beforeEdit(tool: string, input: JsonObject): Promise<void>;
  /** What changed since `before`; undefined where it could not be told. Called at every pause and at the end. */
  changes(): Promise<FileChange[] | undefined>;
}

/** One part of a turn: from a prompt (or the results of client calls) to its `turn-end`. */
export interface PartOptions {
  /** The client's names of the parameters that this turn does not honour. */
  ignored: string[];
  /** Applied before, reset after; undefined where nothing differs from the process's own. */
  settings: LiveSettings | undefined;
  /** The shown text ends before the first of these. */
  stop: string[];
  /** False: at most one client call is shown. */
  parallelCalls: boolean;
  /** Fires when the client is gone, or asks for an interrupt: claude's work is ended. */
  signal: AbortSignal;
}

export interface TurnOptions extends PartOptions {
  /** `trn_…` */
  turnId: string;
  sessionId: string | undefined;
  /** The model as the client named it. */
  model: string;
  permissions: PermissionBroker;
  /** Told as soon as the CLI says which session of its own this is: what a killed daemon resumes. Must not throw. */
  begun?: (claudeSessionId: string) => void;
  changes: ChangeTracker | undefined;
  /** Names of what the process was offered as the client's tools; every other tool is Claude's own. */
  clientTools: readonly string[];
  /** The CLI's own structured output is on: the answer's text is the validated JSON. */
  structuredOutput: boolean;
  /** Longest time without a line while no tool runs and the reader keeps up. */
  stallTimeoutMs: number;
}

export interface TurnInput {
  /** The new user content; undefined where the process was resumed to answer a dangling user line by itself. */
  content: UserBlock[] | undefined;
  /** Keeps `/` and `@` as text. */
  verbatim: boolean;
  /** What the process said before the turn could listen (`Lease.early`). */
  early?: Lease["early"];
}

/** What a part left behind. */
export interface PartOutcome {
  /**
   * `clean`: the process's memory is the history plus `answer`, nothing else. `paused`: it waits for client results.
   * `unclean`: alive, but its memory holds lines the client never sent (docs/conversations.md). `gone`: it has exited.
   */
  state: "clean" | "paused" | "unclean" | "gone";
  /** What the model said in this part, in order: text of one block each, client calls. */
  answer: AssistantBlock[];
  /** Names the turn's prompt; undefined where none was sent, or the process answered what it was resumed with. */
  promptUuid: string | undefined;
  /** Claude's own session id and the uuid of its last line, where the CLI told. */
  claudeSessionId: string | undefined;
  lastLineUuid: string | undefined;
}

/**
 * One turn on one process. Iterating it yields the current part's events, `turn-start` to `turn-end`, once; leaving the
 * iteration early interrupts claude. Between parts (`turn-end` with reason `tool-calls`) the process waits.
 */
export interface Turn extends AsyncIterable<TurnEvent> {
  readonly turnId: string;
  /** Set when the part's last event is out, or it has failed; undefined while it runs. */
  readonly outcome: PartOutcome | undefined;
  /** Settles when the process is quiet: after `turn-end`, or when an interrupted turn has wound up. Never rejects. */
  readonly settled: Promise<PartOutcome>;
  /** Client calls that wait for their results, in the order in which they were shown. */
  readonly waiting: readonly string[];
  /**
   * Begins the next part with results for all of `waiting`: the CLI needs them all to go on. `more` is user content to
   * go in after the results.
   */
  continue(results: ClientResultBlock[], more: UserBlock[], options: PartOptions): void;
  /** Ends a paused or running turn. */
  interrupt(): Promise<void>;
}

/** The broker of a turn that nobody watches. */
export const DENY_ALL: PermissionBroker = {
  ask: async (prompt) => ({
    behavior: "deny",
    message: `${prompt.tool} needs permission and nobody is here to give it.`,
  }),
};
