/** What becomes of one turn while it runs: its stored record, and its events as watchers see them. */
import type { DaemonError } from "../errors.ts";
import type { TurnRecord } from "../store/records.ts";
import { changeToWire, type FileChange } from "../turn/changes.ts";
import type { TurnEnd, TurnEvent, Usage } from "../turn/events.ts";
import type { JsonObject } from "../turn/message.ts";
import { BLOCK_SEPARATOR, type SessionEvent, toCodeResponse, toSessionEvent } from "./events.ts";

/** Of the prompt, for the history of turns. */
const MAX_PROMPT_CHARS = 64 * 1024;
/** Of the answer's text; `code_response` and the turn record say no more than this. */
const MAX_CONTENT_CHARS = 4 * 1024 * 1024;

export interface NewTurn {
  id: string;
  sessionId: string;
  number: number;
  prompt: string;
  createdAt: number;
  /** The client's own id of its request. */
  requestId: string | undefined;
}

const add = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined ? other : one + (other ?? 0);

/** Unknown plus unknown stays unknown. */
export function addUsage(one: Usage | undefined, other: Usage | undefined): Usage {
  return {
    inputTokens: add(one?.inputTokens, other?.inputTokens),
    outputTokens: add(one?.outputTokens, other?.outputTokens),
    cacheReadTokens: add(one?.cacheReadTokens, other?.cacheReadTokens),
    cacheWriteTokens: add(one?.cacheWriteTokens, other?.cacheWriteTokens),
  };
}

export class TurnJournal {
  readonly record: TurnRecord;
  private readonly requestId: string | undefined;
  private readonly parts: string[] = [];
  private contentChars = 0;
  /** The next text begins a block after another one. */
  private separate = false;
  private prompts = 0;

  constructor(turn: NewTurn) {
    this.requestId = turn.requestId;
    this.record = {
      id: turn.id,
      sessionId: turn.sessionId,
      number: turn.number,
      status: "queued",
      prompt: turn.prompt.slice(0, MAX_PROMPT_CHARS),
      content: "",
      model: undefined,
      createdAt: turn.createdAt,
      startedAt: undefined,
      endedAt: undefined,
      reason: undefined,
      rawReason: undefined,
      usage: undefined,
      costUsd: undefined,
      numTurns: undefined,
      filesChanged: undefined,
      permissionDenials: [],
      error: undefined,
    };
  }

  /** Permission prompts of this turn that nobody has answered yet. */
  get openPrompts(): number {
    return this.prompts;
  }

  queued(position: number): SessionEvent {
    return this.withRequest({ type: "turn_queued", turn_id: this.record.id, position });
  }

  started(at: number): SessionEvent {
    this.record.status = "running";
    this.record.startedAt = at;
    return this.withRequest({
      type: "turn_start",
      turn_id: this.record.id,
      number: this.record.number,
      prompt: this.record.prompt,
    });
  }

  /** Any event but the end: what watchers see of it. */
  read(event: Exclude<TurnEvent, TurnEnd>): SessionEvent | undefined {
    let separate = false;
    switch (event.type) {
      case "model-start":
        this.record.model = event.model;
        break;
      case "text-start":
        this.separate = this.contentChars > 0;
        break;
      case "text-delta":
        if (event.text === "") return undefined;
        separate = this.separate;
        this.separate = false;
        this.addText(separate ? BLOCK_SEPARATOR + event.text : event.text);
        break;
      case "permission-request":
        this.prompts++;
        break;
      case "permission-resolved":
        this.prompts--;
        break;
      default:
        break;
    }
    return toSessionEvent(this.record.id, event, separate);
  }

  /** A pause for client calls: what this part used counts, the turn goes on. */
  paused(end: TurnEnd): void {
    this.count(end);
  }

  /** The end of the turn, whatever its reason. */
  ended(end: TurnEnd, at: number): SessionEvent {
    this.count(end);
    const { record } = this;
    record.status = end.reason.unified === "interrupted" ? "interrupted" : "completed";
    record.endedAt = at;
    record.reason = end.reason.unified;
    record.rawReason = end.reason.raw;
    record.filesChanged = end.filesChanged;
    record.content = this.parts.join("");
    const { costUsd } = record;
    const whole: TurnEnd = { ...end, usage: record.usage ?? end.usage, costUsd, numTurns: record.numTurns };
    return this.withRequest(toCodeResponse(record.id, record.content, whole));
  }

  failed(error: DaemonError, filesChanged: FileChange[] | undefined, at: number): SessionEvent {
    const { record } = this;
    record.filesChanged = filesChanged;
    record.status = error.code === "interrupted" ? "interrupted" : "failed";
    record.endedAt = at;
    record.content = this.parts.join("");
    record.error = { code: error.code, message: error.message };
    return this.withRequest({
      type: "error",
      turn_id: record.id,
      code: error.code,
      message: error.message,
      ...this.changed(),
    });
  }

  private changed(): JsonObject {
    const { filesChanged } = this.record;
    return filesChanged === undefined ? {} : { files_changed: filesChanged.map(changeToWire) };
  }

  private count(end: TurnEnd): void {
    const { record } = this;
    record.usage = addUsage(record.usage, end.usage);
    record.costUsd = add(record.costUsd, end.costUsd);
    record.numTurns = add(record.numTurns, end.numTurns);
    record.permissionDenials = [...record.permissionDenials, ...end.permissionDenials];
  }

  private addText(text: string): void {
    const room = MAX_CONTENT_CHARS - this.contentChars;
    if (room <= 0) return;
    this.parts.push(text.length > room ? text.slice(0, room) : text);
    this.contentChars += Math.min(room, text.length);
  }

  private withRequest(event: SessionEvent): SessionEvent {
    return this.requestId === undefined ? event : { ...event, request_id: this.requestId };
  }
}
