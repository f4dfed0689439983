/** Finds the call that a tool result answers, in a history where clients name it by id, by tool name or not at all. */
import type { ClientResultBlock, Message } from "../../turn/message.ts";

interface OpenCall {
  id: string;
  name: string;
}

export interface CallMatcher {
  /** An assistant message with these calls; results without an id can answer no older ones. */
  open(calls: readonly OpenCall[]): void;
  /** Whether any call before has this id. */
  knows(id: string): boolean;
  /** The call a result answers: by its id, else by tool name, else the first one unanswered. */
  match(id: string | undefined, name: string | undefined): string | undefined;
}

export function createCallMatcher(): CallMatcher {
  const known = new Set<string>();
  let unanswered: OpenCall[] = [];
  const take = (found: OpenCall | undefined) => {
    if (found) unanswered = unanswered.filter((call) => call !== found);
    return found?.id;
  };
  return {
    open(calls) {
      for (const call of calls) known.add(call.id);
      unanswered = [...calls];
    },
    knows: (id) => known.has(id),
    match(id, name) {
      if (id !== undefined && known.has(id)) {
        take(unanswered.find((call) => call.id === id));
        return id;
      }
      return take((name === undefined ? undefined : unanswered.find((call) => call.name === name)) ?? unanswered[0]);
    },
  };
}

/** Results that follow each other belong into one message: they answer the calls of one. */
export function addResult(history: Message[], result: ClientResultBlock): void {
  const last = history.at(-1);
  if (last?.role === "user" && last.content.at(-1)?.type === "client-result") last.content.push(result);
  else history.push({ role: "user", content: [result] });
}
