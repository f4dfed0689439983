/**
 * Taking a running process back: its memory is then what it was before one of its prompts, whatever came of that prompt
 * (an answer, tool rounds, an interrupt, an error, the CLI's own words after a cut). And, with that, rehearsing: a process
 * that has already carried out a turn answers its first real one a fifth to a third sooner. Both from 2.1.260 on
 * (`ClaudeFeatures.rewindsConversations`), and only where nothing is persisted: a session's file keeps what was taken back.
 */
import { DaemonError } from "../errors.ts";
import { isObject } from "./json.ts";
import type { ClaudeProcess, ProcessListener } from "./transport.ts";

/** A memory is cut in a few milliseconds; a process that needs longer than this is not worth waiting for. */
const REWIND_TIMEOUT_MS = 1_000;
/** The rehearsed turn makes no request: 30 ms on a quiet core. Whoever wants the process meanwhile waits for it. */
const REHEARSAL_TIMEOUT_MS = 1_000;
/** Never shown to a model. */
const REHEARSED = [{ type: "text" as const, text: "." }];

/**
 * Forgets `target` (uuid of a prompt) and everything after it. `last` is the newest prompt that the process was sent: the CLI
 * refuses where it knows of a later one, so nothing is ever cut that the caller does not know of. False: refused, or the
 * process is gone, and its memory must be taken for unknown.
 */
export async function rewind(process: Pick<ClaudeProcess, "control">, target: string, last: string): Promise<boolean> {
  const payload = { target_message_uuid: target, last_seen_user_message_uuid: last };
  try {
    const answer = await process.control("rewind_conversation", payload, REWIND_TIMEOUT_MS);
    return isObject(answer) && answer.rewound === true;
  } catch {
    return false;
  }
}

/**
 * Carries out an idle process's first turn without asking the model, and forgets it again: what the CLI does before its
 * first request for the first time, and slowly, is then done. Throws where that did not work out: the process must be ended,
 * because a conversation could meet what was rehearsed.
 */
export async function rehearse(process: Pick<ClaudeProcess, "control" | "listen" | "prompt">): Promise<void> {
  const uuid = crypto.randomUUID();
  const { promise: over, resolve, reject } = Promise.withResolvers<void>();
  const failed = () => reject(notTakenBack());
  const timer = setTimeout(failed, REHEARSAL_TIMEOUT_MS);
  process.listen({ ...DEAF, message: ({ type }) => void (type === "result" && resolve()), exited: failed });
  try {
    await Promise.all([over, process.prompt(REHEARSED, { verbatim: true, uuid, unanswered: true })]);
  } finally {
    clearTimeout(timer);
    process.listen(undefined);
  }
  if (!(await rewind(process, uuid, uuid))) throw notTakenBack();
}

function notTakenBack(): DaemonError {
  return new DaemonError("claude_failed", "Claude Code did not take back what it had rehearsed.");
}

/** A turn without a request asks nothing of us. */
const DEAF: Omit<ProcessListener, "message" | "exited"> = {
  clientCall: () => undefined,
  permission: () => undefined,
  cancelled: () => undefined,
  beforeEdit: async () => undefined,
};
