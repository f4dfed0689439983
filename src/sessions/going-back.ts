/** Chat processes that are taken back to a history they stood at: when they may be, how, and what else becomes of them. */
import { rewind } from "../claude/rewind.ts";
import { type ErrorCode, toDaemonError } from "../errors.ts";
import type { PartOutcome, Turn } from "./contracts.ts";
import type { Conversations, RunningTurn, TakenBack, Trail } from "./conversations.ts";
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

/** How long after a client's next request we may hear that it has left the one before (5 ms were measured). */
const NOTICE_WAIT_MS = 25;
/** How long a request waits for a turn that is being stopped: less than a new process takes. */
const SETTLE_WAIT_MS = 250;

/** A process that has stood at this history, taken back to it. Results of calls cannot be prompted. */
export async function goBack(
  key: string,
  history: SplitHistory,
  conversations: Conversations,
): Promise<Trail | undefined> {
  if (history.calls.length > 0) return undefined;
  const taken = conversations.takeBack(key) ?? (await takeSettled(key, conversations));
  if (!taken) return undefined;
  const { trail, target, last } = taken;
  if (await rewind(trail.lease.process, target, last)) return trail;
  void trail.lease.end();
  return undefined;
}

/** Whoever stops an answer and asks again at once comes before claude has been stopped. */
async function takeSettled(key: string, conversations: Conversations): Promise<TakenBack | undefined> {
  const turn = conversations.runningAt(key);
  if (!turn) return undefined;
  await within(NOTICE_WAIT_MS, turn.settled);
  if (turn.left) await within(SETTLE_WAIT_MS, turn.settled);
  return conversations.takeBack(key);
}

async function within(ms: number, settled: Promise<void>): Promise<void> {
  const { promise: tooLate, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([settled, tooLate]);
  clearTimeout(timer);
}

/** Whether the process can be taken back to before this turn, once that is over: nobody waits for an older CLI's. */
export function canGoBack<Turned extends Followed>(followed: Turned): followed is Turned & { before: string } {
  return followed.before !== undefined && followed.trail.lease.process.features.rewindsConversations;
}

/** The turn's prompt is in the memory: from now on the process can be taken back to before it. */
export function noteStandpoint(
  followed: Followed,
  { promptUuid }: Pick<PartOutcome, "promptUuid">,
  conversations: Conversations,
): void {
  if (promptUuid !== undefined && canGoBack(followed)) conversations.note(followed.trail, followed.before, promptUuid);
}

/**
 * What becomes of a turn's process. `kept`: it rests at a history already. `spent`: it must not be used again. `left`: the
 * turn was left, failed, or was cut.
 */
export async function conclude(
  followed: Followed,
  fate: "kept" | "spent" | "left",
  running: RunningTurn | undefined,
  conversations: Conversations,
): Promise<void> {
  if (fate === "spent") void followed.trail.lease.end();
  if (fate === "left") {
    if (running) running.left = true;
    await letGo(followed, conversations);
  }
  running?.over();
}

/**
 * What its process remembers is not the client's history. Once it is quiet it can be taken back to a history from before (a
 * client that stops an answer often asks again); else it is ended.
 */
async function letGo(followed: Followed, conversations: Conversations): Promise<void> {
  const { turn, trail, before } = followed;
  if (canGoBack(followed) || trail.past.length > 0) {
    // It may still wait for results of calls that the client was not shown.
    void turn.interrupt();
    const outcome = await turn.settled;
    if (outcome.state !== "gone" && trail.lease.process.alive) {
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
