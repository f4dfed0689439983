/** Where claude's own record of the conversation stands after a turn: what is resumed and branched from. */
import type { ClaudeMessage } from "../claude/messages.ts";

export class TurnStandpoint {
  promptUuid: string | undefined;
  claudeSessionId: string | undefined;
  lastLineUuid: string | undefined;

  /** `begun` is told claude's session id as soon as it is known. */
  constructor(private readonly begun: ((claudeSessionId: string) => void) | undefined) {}

  /** Known from before it is sent: a prompt may fail on its way, and be in the memory all the same. */
  newPrompt(): string {
    this.promptUuid = crypto.randomUUID();
    return this.promptUuid;
  }

  note(message: ClaudeMessage): void {
    if (message.type === "assistant") {
      if (message.parent_tool_use_id === null && typeof message.uuid === "string") this.lastLineUuid = message.uuid;
      return;
    }
    const tells =
      (message.type === "system" && message.subtype === "init") ||
      (message.type === "result" && this.claudeSessionId === undefined);
    if (!tells || typeof message.session_id !== "string" || message.session_id === this.claudeSessionId) return;
    this.claudeSessionId = message.session_id;
    this.begun?.(message.session_id);
  }
}
