/**
 * Taking a running process back: its memory is then what it was before one of its prompts, whatever came of that prompt
 * (an answer, tool rounds, an interrupt, an error, the CLI's own words after a cut). And, with that, rehearsing: a process
 * that has already carried out a turn answers its first real one a third to a half sooner. Both from 2.1.260 on
 * (`ClaudeFeatures.rewindsConversations`), and only where nothing is persisted: a session's file keeps what was taken back.
 */
import { DaemonError } from "../errors.ts";
import type { Json } from "../turn/message.ts";
import { BLOCKING_LIMIT } from "./env.ts";
import { isObject } from "./json.ts";
import type { ResultLine } from "./messages.ts";
import type { ClaudeProcess, ProcessListener } from "./transport.ts";

/** A memory is cut in a few milliseconds; a process that needs longer than this is not worth waiting for. */
const REWIND_TIMEOUT_MS = 1_000;
/** The rehearsed turn makes no request: 30 to 70 ms on a quiet core. Whoever wants the process meanwhile waits for it. */
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
 * first request for the first time, and slowly, is then done. The turn is one that the CLI itself refuses right before
 * its request, because it may hold no more than a token; where a version would ask all the same, one that is only taken into
 * the memory. Throws where that did not work out: the process must be ended, because a conversation could meet what was
 * rehearsed.
 */
export async function rehearse(
  process: Pick<ClaudeProcess, "control" | "listen" | "prompt" | "features">,
): Promise<void> {
  const uuid = crypto.randomUUID();
  const isRefused = process.features.refusesByLimit;
  const { promise: result, resolve, reject } = Promise.withResolvers<ResultLine>();
  // A process may go before its turn is waited for.
  result.catch(() => undefined);
  const failed = () => reject(notTakenBack());
  const timer = setTimeout(failed, REHEARSAL_TIMEOUT_MS);
  process.listen({
    ...DEAF,
    message: (message) => void (message.type === "result" && resolve(message)),
    exited: failed,
  });
  try {
    if (isRefused) await setLimit(process, "1");
    const prompted = process.prompt(REHEARSED, { verbatim: true, uuid, unanswered: !isRefused });
    const [{ terminal_reason: reason }] = await Promise.all([result, prompted]);
    if (isRefused && reason !== "blocking_limit") throw notTakenBack();
    if (isRefused) await setLimit(process, BLOCKING_LIMIT);
  } finally {
    clearTimeout(timer);
    process.listen(undefined);
  }
  if (!(await rewind(process, uuid, uuid))) throw notTakenBack();
}

function setLimit(process: Pick<ClaudeProcess, "control">, tokens: string): Promise<Json> {
  const settings = { env: { CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE: tokens } };
  return process.control("apply_flag_settings", { settings }, REHEARSAL_TIMEOUT_MS);
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
