/** A client's history, taken apart: what a process may already know, and what is new. */
import { DaemonError } from "../errors.ts";
import type { ClientResultBlock, Message, UserBlock } from "../turn/message.ts";

export interface SplitHistory {
  /** Up to and with the last assistant message; empty for a new conversation. */
  known: Message[];
  /** The user messages after it, in one piece. */
  news: UserBlock[];
  /** Results of client calls at the beginning of `news`. */
  results: ClientResultBlock[];
  /** `news` without `results`. */
  more: UserBlock[];
  /** Ids of the calls that the last assistant message made, in order. */
  calls: string[];
}

/** Throws `invalid_request` where the history cannot be answered: it must end in the user's words or in results. */
export function splitHistory(messages: readonly Message[]): SplitHistory {
  const end = messages.findLastIndex((message) => message.role === "assistant") + 1;
  const news = messages.slice(end).flatMap((message) => (message.role === "user" ? message.content : []));
  if (news.length === 0) throw invalid("messages: the last message must be the user's, or the result of a tool call.");
  const begin = messages.slice(0, end).findLastIndex((message) => message.role === "user") + 1;
  const calls = messages
    .slice(begin, end)
    .flatMap((message) => (message.role === "assistant" ? message.content : []))
    .filter((block) => block.type === "client-call")
    .map((block) => block.id);
  const count = news.findIndex((block) => block.type !== "client-result");
  const results = (count < 0 ? news : news.slice(0, count)).filter((block) => block.type === "client-result");
  const more = news.slice(results.length);
  checkResults(calls, news);
  return { known: messages.slice(0, end), news, results, more, calls };
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
function checkResults(calls: readonly string[], news: readonly UserBlock[]): void {
  const answered = new Set<string>();
  for (const block of news) {
    if (block.type !== "client-result") continue;
    if (!calls.includes(block.callId)) {
      throw invalid(`messages: there is a tool result for ${show(block.callId)}, but no such call right before it.`);
    }
    answered.add(block.callId);
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
