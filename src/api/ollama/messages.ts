/** The client's messages as the neutral history, one to one: roles, order, calls, results and images. */
import type {
  AssistantBlock,
  ClientCallBlock,
  ImageBlock,
  JsonObject,
  Message,
  TextBlock,
} from "../../turn/message.ts";
import { addResult, type CallMatcher, createCallMatcher } from "../shared/calls.ts";
import { toImageFromUrl } from "../shared/media.ts";
import { invalidField } from "../shared/validation.ts";
import type { WireMessage } from "./schema.ts";

type Fields = Record<string, unknown>;

export interface History {
  /** System messages, wherever they stood, joined with newlines. */
  system: string | undefined;
  messages: Message[];
}

/** Throws `invalid_request` that names the exact place of what cannot be understood. */
export function toHistory(messages: readonly WireMessage[]): History {
  const system: string[] = [];
  const history: Message[] = [];
  const calls = createCallMatcher();
  for (const [index, message] of messages.entries()) {
    const path = `messages[${index}]`;
    const role = message.role.toLowerCase();
    if (role === "tool") {
      const content = toParts(message, path);
      addResult(history, { type: "client-result", callId: findCall(message, calls, path), content, isError: false });
      continue;
    }
    if (role === "system" || role === "developer") {
      system.push(message.content ?? "");
      continue;
    }
    if (role === "user") {
      history.push({ role: "user", content: toParts(message, path) });
    } else if (role === "assistant") {
      const { content, called } = toAssistant(message, index);
      if (called.length > 0) calls.open(called);
      // The model API accepts no empty message; one without content says nothing.
      if (content.length > 0) history.push({ role: "assistant", content });
    } else {
      throw invalidField(`${path}.role`, "must be one of system, user, assistant, tool.");
    }
  }
  return { system: system.length === 0 ? undefined : system.join("\n"), messages: history };
}

/** By id, else by the tool's name, else by its place: some clients send neither, or ids of their own. */
function findCall(message: WireMessage, calls: CallMatcher, path: string): string {
  const name = message.tool_name ?? message.name ?? undefined;
  const found = calls.match(message.tool_call_id ?? undefined, name);
  if (found !== undefined) return found;
  throw invalidField(path, "answers no tool call of the assistant messages before it.");
}

/** Images, then the text, of the message at `path` (a prompt has none); an empty text stands only where there is nothing else. */
export function toParts(message: Pick<WireMessage, "content" | "images">, path: string): (TextBlock | ImageBlock)[] {
  const parts: (TextBlock | ImageBlock)[] = (message.images ?? []).map((image, index) =>
    toImageFromUrl(image, path === "" ? `images[${index}]` : `${path}.images[${index}]`),
  );
  const text = message.content ?? "";
  if (text !== "" || parts.length === 0) parts.push({ type: "text", text });
  return parts;
}

function toAssistant(message: WireMessage, index: number): { content: AssistantBlock[]; called: ClientCallBlock[] } {
  const content: AssistantBlock[] = [];
  if (message.thinking) content.push({ type: "thinking", text: message.thinking });
  if (message.content) content.push({ type: "text", text: message.content });
  const called = ((message.tool_calls ?? []) as Fields[]).map((call, position) => {
    const path = `messages[${index}].tool_calls[${position}]`;
    // The place in the history is the same whenever the client sends it again.
    const id = typeof call.id === "string" && call.id !== "" ? call.id : `call_${index}_${position}`;
    return toCall(id, call.function, `${path}.function`);
  });
  const said = content.some((block) => block.type === "text");
  return { content: said || called.length > 0 ? [...content, ...called] : [], called };
}

function toCall(id: string, value: unknown, path: string): ClientCallBlock {
  if (typeof value !== "object" || value === null) throw invalidField(path, "must be an object with a name.");
  const { name, arguments: given } = value as Fields;
  if (typeof name !== "string" || name === "") throw invalidField(`${path}.name`, "must be a non-empty string.");
  return { type: "client-call", id, name, input: toInput(given, `${path}.arguments`) };
}

/** An object by contract; some clients send it as text, as they do elsewhere. */
function toInput(value: unknown, path: string): JsonObject {
  if (value === undefined || value === null || value === "") return {};
  let parsed = value;
  if (typeof value === "string") {
    try {
      parsed = JSON.parse(value);
    } catch {
      throw invalidField(path, "is not valid JSON.");
    }
  }
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return parsed as JsonObject;
  throw invalidField(path, "must be an object.");
}
