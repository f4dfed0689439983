/** Chat processes that are taken back to a history they stood at: when they may be, how, and what else becomes of them. */
import { rewind } from "../claude/rewind.ts";
import { type ErrorCode, toDaemonError } from "../errors.ts";
import type { PartOutcome, Turn } from "./contracts.ts";
import type { Conversations, Trail } from "./conversations.ts";
import type { SplitHistory } from "./history.ts";

/** A turn, its process, and the history that the prompt followed; undefined where the process never stood at all of it. */
export interface Followed {
  turn: Turn;
  trail: Trail;
  before: string | undefined;
}

/**
 * Failures that leave nothing behind in a process but its memory. After others it is ended: a login is read anew by a new process
 * only, and from a request that the API called invalid the CLI concludes what a model does not support, and leaves that
 * out of every later request (effort, adaptive thinking, betas).
 */
const PASSING: readonly ErrorCode[] = [
  "rate_limited",
  "usage_limit",
  "overloaded",
  "claude_failed",
  "timed_out",
  "interrupted",
];

/** Whether a process whose turn failed so must not be used again. */
export function isSpentBy(error: unknown): boolean {
  return !PASSING.includes(toDaemonError(error).code);
}

/** A process that has stood at this history, taken back to it. Results of calls cannot be prompted. */
export async function goBack(
  key: string,
  history: SplitHistory,
  conversations: Conversations,
): Promise<Trail | undefined> {
  if (history.calls.length > 0) return undefined;
  const taken = conversations.takeBack(key);
  if (!taken) return undefined;
  const { trail, target, last } = taken;
  if (await rewind(trail.lease.process, target, last)) return trail;
  void trail.lease.end();
  return undefined;
}

/** The turn's prompt is in the memory: from now on the process can be taken back to before it. */
export function noteStandpoint(
  { trail, before }: Followed,
  { promptUuid }: Pick<PartOutcome, "promptUuid">,
  conversations: Conversations,
): void {
  if (before === undefined || promptUuid === undefined || !trail.lease.process.features.rewindsConversations) return;
  conversations.note(trail, before, promptUuid);
}

/**
 * The turn was left, failed, or was cut: what its process remembers is not the client's history. Once it is quiet it can be
 * taken back to a history from before (a client that stops an answer often asks again); else it is ended.
 */
export async function letGo(followed: Followed, conversations: Conversations): Promise<void> {
  const { turn, trail, before } = followed;
  const { process } = trail.lease;
  if (process.features.rewindsConversations && (before !== undefined || trail.past.length > 0)) {
    // It may still wait for results of calls that the client was not shown.
    void turn.interrupt();
    const outcome = await turn.settled;
    if (outcome.state !== "gone" && process.alive) {
      if (before !== undefined && outcome.promptUuid === undefined) {
        // Left before it was prompted: it stands where it stood.
        conversations.put(trail, before);
        return;
      }
      noteStandpoint(followed, outcome, conversations);
      if (conversations.putBack(trail)) return;
    }
  }
  void trail.lease.end();
}
