/**
 * What the client sees of a turn's content: text up to a stop sequence, no more calls than it allows; and from that the
 * answer, which the client will send back as the history's next message.
 */
import type { ClaudeProcess } from "../claude/transport.ts";
import type { TurnEnd, TurnEvent } from "../turn/events.ts";
import type { AssistantBlock } from "../turn/message.ts";
import type { PartOptions } from "./contracts.ts";
import type { EventQueue } from "./event-queue.ts";
import { StopFilter } from "./stop-filter.ts";
import { TurnCalls, toCallBlock } from "./turn-calls.ts";

export class TurnContent {
  readonly calls: TurnCalls;
  /** Of this part of the turn, in order. */
  answer: AssistantBlock[] = [];
  /** A call was not shown: claude remembers what the client does not know of. */
  hidden = false;
  private texts: string[] = [];
  private filter: StopFilter | undefined;
  private readonly runningTools = new Set<string>();

  constructor(
    process: Pick<ClaudeProcess, "answerClientCall">,
    private readonly queue: EventQueue,
    private part: Pick<PartOptions, "stop" | "parallelCalls">,
  ) {
    this.calls = new TurnCalls(process);
  }

  /** Claude's own tools are at work. */
  get toolsRun(): boolean {
    return this.runningTools.size > 0;
  }

  /** The next part of the turn: an answer of its own. */
  begin(part: Pick<PartOptions, "stop" | "parallelCalls">): void {
    this.part = part;
    this.answer = [];
  }

  /** Puts an event into the queue as the client may see it. Returns the stop sequence after which nothing may follow. */
  show(event: Exclude<TurnEvent, TurnEnd>): string | undefined {
    switch (event.type) {
      case "text-start":
        this.filter = this.part.stop.length > 0 ? new StopFilter(this.part.stop) : undefined;
        this.texts = [];
        break;
      case "text-delta":
        if (this.filter) return this.showFiltered(event.id, event.text, this.filter);
        this.texts.push(event.text);
        break;
      case "text-end":
        // What could have begun a stop sequence is text after all.
        this.showText(event.id, this.filter?.flush() ?? "");
        this.answer.push({ type: "text", text: this.texts.join("") });
        break;
      case "tool-run":
        this.runningTools.add(event.id);
        break;
      case "tool-end":
        this.runningTools.delete(event.id);
        break;
      case "client-call-start":
      case "client-call-delta":
      case "client-call-end":
        if (!this.calls.show(event, this.part.parallelCalls)) {
          this.hidden = true;
          return undefined;
        }
        if (event.type === "client-call-end") this.answer.push(toCallBlock(event));
        break;
      default:
        break;
    }
    this.queue.push(event);
    return undefined;
  }

  private showFiltered(id: string, text: string, filter: StopFilter): string | undefined {
    const { text: shown, hit } = filter.push(text);
    this.showText(id, shown);
    if (hit !== undefined) this.queue.push({ type: "text-end", id });
    return hit;
  }

  private showText(id: string, text: string): void {
    if (text === "") return;
    this.texts.push(text);
    this.queue.push({ type: "text-delta", id, text });
  }
}
