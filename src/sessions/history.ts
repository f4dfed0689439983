/** A client's history, taken apart: what a process may already know, and what is new. */
import { RESUME_PROMPT } from "../claude/env.ts";
import { DaemonError } from "../errors.ts";
import type { ClientResultBlock, Message, UserBlock } from "../turn/message.ts";

/** The shortest prompt that the CLI accepts: after it, an older one goes on with a history that ends in results. */
export const GO_ON: UserBlock[] = [{ type: "text", text: RESUME_PROMPT }];

export interface SplitHistory {
  /** Up to and with the last assistant message; empty for a new conversation. */
  known: Message[];
  /** The user messages after it, in one piece: the results first, as the API wants them. */
  news: UserBlock[];
  /** Results of client calls in `news`. */
  results: ClientResultBlock[];
  /** `news` without `results`. */
  more: UserBlock[];
  /** Ids of the calls that the last assistant message made, in order. */
  calls: string[];
}

/** Throws `invalid_request` where the history cannot be answered: it must end in the user's words or in results. */
export function splitHistory(messages: readonly Message[]): SplitHistory {
  const end = messages.findLastIndex((message) => message.role === "assistant") + 1;
  const said = messages.slice(end).flatMap((message) => (message.role === "user" ? message.content : []));
  if (said.length === 0) throw invalid("messages: the last message must be the user's, or the result of a tool call.");
  const begin = messages.slice(0, end).findLastIndex((message) => message.role === "user") + 1;
  const calls = messages
    .slice(begin, end)
    .flatMap((message) => (message.role === "assistant" ? message.content : []))
    .filter((block) => block.type === "client-call")
    .map((block) => block.id);
  const results = said.filter((block) => block.type === "client-result");
  const more = said.filter((block) => block.type !== "client-result");
  checkResults(calls, results);
  return { known: messages.slice(0, end), news: [...results, ...more], results, more, calls };
}

/**
 * What a resumed process is to know before it is prompted with `news`: a transcript that ends in something the assistant
 * said. Blank answers at its end are none to the CLI; the user's words before them then belong to the prompt.
 */
export function resumable(history: SplitHistory): { transcript: Message[]; news: UserBlock[] } {
  const transcript = [...history.known];
  const before: UserBlock[] = [];
  for (let last = transcript.at(-1); last && !saysSomething(last); last = transcript.at(-1)) {
    transcript.pop();
    if (last.role === "user") before.unshift(...last.content);
  }
  return { transcript, news: [...before, ...history.news] };
}

function saysSomething(message: Message): boolean {
  if (message.role !== "assistant") return false;
  return message.content.some(
    (block) => block.type === "client-call" || (block.type === "text" && block.text.trim() !== ""),
  );
}

/** The model API refuses a call without a result and a result without its call; so do we, in words that name them. */
function checkResults(calls: readonly string[], results: readonly ClientResultBlock[]): void {
  const answered = new Set<string>();
  for (const { callId } of results) {
    if (!calls.includes(callId)) {
      throw invalid(`messages: there is a tool result for ${show(callId)}, but no such call right before it.`);
    }
    answered.add(callId);
  }
  const missing = calls.filter((id) => !answered.has(id));
  if (missing.length > 0) {
    const names = missing.map(show).join(", ");
    throw invalid(`messages: every tool call needs its result before the model can go on. Missing: ${names}.`);
  }
}

const show = (id: string) => JSON.stringify(id.slice(0, 100));

function invalid(message: string): DaemonError {
  return new DaemonError("invalid_request", message, { detail: { param: "messages" } });
}
