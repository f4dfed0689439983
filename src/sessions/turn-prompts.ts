/** The permission prompts of one turn, from claude's question to the answer that goes back to it. */
import type { ClaudeProcess, PermissionPrompt } from "../claude/transport.ts";
import type { PermissionBroker, PermissionContext } from "./contracts.ts";

export interface TurnPromptsDeps {
  process: Pick<ClaudeProcess, "answerPermission">;
  permissions: PermissionBroker;
  turnId: string;
  emit: PermissionContext["emit"];
  /** Called before an answer goes to claude: it works again from here on. */
  answered(): void;
}

export class TurnPrompts {
  private readonly open = new Map<string, AbortController>();

  constructor(private readonly deps: TurnPromptsDeps) {}

  get waiting(): number {
    return this.open.size;
  }

  ask(prompt: PermissionPrompt): void {
    const { process, permissions, turnId, emit, answered } = this.deps;
    const abort = new AbortController();
    this.open.set(prompt.requestId, abort);
    void permissions.ask(prompt, { turnId, signal: abort.signal, emit }).then((answer) => {
      if (!this.open.delete(prompt.requestId)) return;
      answered();
      process.answerPermission(prompt.requestId, answer);
    });
  }

  /** The CLI took it back. */
  cancel(requestId: string): void {
    this.open.get(requestId)?.abort();
    this.open.delete(requestId);
  }

  /** The turn is over: none of them needs an answer any more. */
  clear(): void {
    for (const abort of this.open.values()) abort.abort();
    this.open.clear();
  }
}
