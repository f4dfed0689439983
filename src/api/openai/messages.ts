/** The client's messages as the neutral history, one to one: roles, order, calls, results and images. */

import type {
  AssistantBlock,
  ClientCallBlock,
  DocumentBlock,
  ImageBlock,
  JsonObject,
  Message,
  TextBlock,
} from "../../turn/message.ts";
import { addResult, createCallMatcher } from "../shared/calls.ts";
import { parseArguments, stringOf } from "../shared/functions.ts";
import { toDocumentBlock, toImageFromUrl } from "../shared/media.ts";
import { invalidField } from "../shared/validation.ts";
import type { ChatMessage } from "./schema.ts";

type Part = TextBlock | ImageBlock | DocumentBlock;
type Fields = Record<string, unknown>;

export interface History {
  /** System and developer messages, wherever they stood, joined with newlines. */
  system: string | undefined;
  messages: Message[];
}

/** Throws `invalid_request` that names the exact place of what cannot be understood. */
export function toHistory(messages: readonly ChatMessage[]): History {
  const system: string[] = [];
  const history: Message[] = [];
  const calls = createCallMatcher();

  for (const [index, message] of messages.entries()) {
    const path = `messages[${index}]`;
    const role = message.role;
    if (role === "tool" || role === "function") {
      const callId = findCall(message, calls, path);
      const content = toParts(message.content, `${path}.content`);
      addResult(history, { type: "client-result", callId, content, isError: false });
      continue;
    }
    if (role === "system" || role === "developer") {
      system.push(toText(message.content, `${path}.content`));
      continue;
    }
    if (role === "user") {
      history.push({ role: "user", content: toParts(message.content, `${path}.content`) });
    } else if (role === "assistant") {
      const { content, called } = toAssistant(message, index);
      calls.open(called);
      // The model API accepts no empty message; one without content says nothing.
      if (content.length > 0) history.push({ role: "assistant", content });
    } else {
      throw invalidField(
        `${path}.role`,
        "must be one of system, developer, user, assistant, tool, function.",
        "invalid_value",
      );
    }
  }
  return { system: system.length === 0 ? undefined : system.join("\n"), messages: history };
}

function findCall(message: ChatMessage, calls: ReturnType<typeof createCallMatcher>, path: string): string {
  const id = message.tool_call_id || undefined;
  const found = id !== undefined && !calls.knows(id) ? undefined : calls.match(id, message.name ?? undefined);
  if (found !== undefined) return found;
  const field = message.role === "tool" ? `${path}.tool_call_id` : `${path}.name`;
  throw invalidField(field, "answers no call of the assistant messages before it.", "invalid_value");
}

function toAssistant(message: ChatMessage, index: number): { content: AssistantBlock[]; called: ClientCallBlock[] } {
  const path = `messages[${index}]`;
  const content: AssistantBlock[] = [];
  const text = toText(message.content, `${path}.content`) || message.refusal || "";
  if (text !== "") content.push({ type: "text", text });
  const called: ClientCallBlock[] = [];
  for (const [position, call] of (message.tool_calls ?? []).entries()) {
    called.push(toCall(call, `${path}.tool_calls[${position}]`));
  }
  if (message.function_call) {
    const where = `${path}.function_call`;
    const { name, input } = toFunction(message.function_call, where);
    // Legacy calls have no id; the place in the history is the same whenever the client sends it again.
    called.push({ type: "client-call", id: `call_legacy_${index}`, name, input });
  }
  content.push(...called);
  return { content, called };
}

function toCall(call: Fields, path: string): ClientCallBlock {
  const { id } = call;
  if (typeof id !== "string" || id === "") throw invalidField(`${path}.id`, "must be a non-empty string.");
  if (typeof call.function !== "object" || call.function === null) {
    throw invalidField(`${path}.function`, "must be an object with a name.");
  }
  return { type: "client-call", id, ...toFunction(call.function as Fields, `${path}.function`) };
}

function toFunction(value: Fields, path: string): { name: string; input: JsonObject } {
  const { name } = value;
  if (typeof name !== "string" || name === "") throw invalidField(`${path}.name`, "must be a non-empty string.");
  return { name, input: parseArguments(value.arguments, `${path}.arguments`) };
}

/** The text of a message whose content can be nothing else. */
function toText(content: ChatMessage["content"], path: string): string {
  if (typeof content === "string") return content;
  let text = "";
  for (const [index, part] of toParts(content, path).entries()) {
    if (part.type !== "text") throw invalidField(`${path}[${index}]`, "only text is possible in this role.");
    text += part.text;
  }
  return text;
}

function toParts(content: ChatMessage["content"], path: string): Part[] {
  if (content === undefined || content === null) return [{ type: "text", text: "" }];
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (content.length === 0) return [{ type: "text", text: "" }];
  return content.map((part, index) => {
    if (typeof part === "string") return { type: "text", text: part };
    return toPart(part as Fields, `${path}[${index}]`);
  });
}

function toPart(part: Fields, path: string): Part {
  switch (part.type) {
    case "text":
    case "input_text":
    case "output_text":
      return { type: "text", text: stringOf(part.text, `${path}.text`) };
    case "refusal":
      return { type: "text", text: stringOf(part.refusal, `${path}.refusal`) };
    case "image_url":
      return toImage(part.image_url, `${path}.image_url`);
    case "file":
      return toFile(part.file, `${path}.file`);
    case "input_audio":
      throw invalidField(`${path}.type`, "audio is not supported.", "unsupported_value");
    default:
      throw invalidField(`${path}.type`, "must be one of text, image_url, file, refusal.", "invalid_value");
  }
}

function toImage(value: unknown, path: string): ImageBlock {
  if (typeof value === "string") return toImageFromUrl(value, path);
  const url = typeof value === "object" && value !== null && "url" in value ? value.url : undefined;
  return toImageFromUrl(stringOf(url, `${path}.url`), `${path}.url`);
}

function toFile(value: unknown, path: string): DocumentBlock {
  if (typeof value !== "object" || value === null) throw invalidField(path, "must be an object with file_data.");
  const { file_data: data, file_id: id, filename } = value as Fields;
  if (typeof data !== "string" && typeof id === "string") {
    throw invalidField(`${path}.file_id`, "no files are stored here. Send file_data.", "unsupported_value");
  }
  const title = typeof filename === "string" && filename !== "" ? filename : undefined;
  return toDocumentBlock(stringOf(data, `${path}.file_data`), `${path}.file_data`, title);
}
