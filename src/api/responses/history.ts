/** Input items as the neutral history, one to one: roles, order, calls, results, images and thinking. */
import { DaemonError } from "../../errors.ts";
import type { AssistantBlock, DocumentBlock, ImageBlock, JsonObject, Message, TextBlock } from "../../turn/message.ts";
import { addResult } from "../shared/calls.ts";
import { parseArguments, stringOf } from "../shared/functions.ts";
import { toDocumentBlock, toImageFromUrl } from "../shared/media.ts";
import { invalidField } from "../shared/validation.ts";
import { type Referenced, referenceOf } from "./archive.ts";
import { inputId, unseal } from "./items.ts";
import type { ResponseBody } from "./schema.ts";

type Part = TextBlock | ImageBlock | DocumentBlock;

export interface History {
  /** System and developer messages, wherever they stood, joined with newlines. */
  system: string | undefined;
  messages: Message[];
  /** Paths of items that nothing here can use, such as the searches of another vendor's model. */
  unused: string[];
}

/** The request's own items, references replaced by what they refer to. */
export function toInputItems(input: ResponseBody["input"], referenced: Referenced): JsonObject[] {
  if (typeof input === "string") {
    return [{ type: "message", role: "user", content: [{ type: "input_text", text: input }] }];
  }
  return input.map((entry, index) => {
    const item = entry as JsonObject;
    const reference = referenceOf(item);
    if (reference === undefined) {
      if (item.type !== "item_reference") return item;
      throw invalidField(`input[${index}].id`, "must be a string.");
    }
    const found = referenced.items.get(reference);
    if (!found) throw new Error("a reference was not loaded");
    return found;
  });
}

/** Items as they are archived and listed: every one with a type and an id. */
export function toArchivedInput(items: readonly JsonObject[], responseId: string): JsonObject[] {
  return items.map((item, index) => {
    const type = typeof item.type === "string" ? item.type : "message";
    const id = typeof item.id === "string" && item.id !== "" ? item.id : inputId(responseId, type, index);
    if (type !== "message" || typeof item.content !== "string") return { ...item, id, type };
    const part = item.role === "assistant" ? { type: "output_text", annotations: [] } : { type: "input_text" };
    return { ...item, id, type, content: [{ ...part, text: item.content }] };
  });
}

/** Throws `invalid_request` that names the exact place of what cannot be understood. */
export function toHistory(before: readonly JsonObject[], items: readonly JsonObject[]): History {
  const system: string[] = [];
  const messages: Message[] = [];
  const unused: string[] = [];
  const calls = new Set<string>();
  /** What the model did in one go belongs into one message. */
  let doing: AssistantBlock[] | undefined;

  const act = (block: AssistantBlock) => {
    if (!doing) {
      doing = [];
      messages.push({ role: "assistant", content: doing });
    }
    doing.push(block);
  };
  const addMessage = (item: JsonObject, path: string) => {
    const { role } = item;
    if (role === "assistant") {
      const text = toText(item.content, `${path}.content`);
      // The model API accepts no empty text.
      if (text !== "") act({ type: "text", text });
    } else if (role === "system" || role === "developer") {
      system.push(toText(item.content, `${path}.content`));
    } else if (role === "user") {
      messages.push({ role, content: toParts(item.content, `${path}.content`) });
      doing = undefined;
    } else {
      throw invalidField(`${path}.role`, "must be one of user, assistant, system, developer.", "invalid_value");
    }
  };
  const answerCall = (item: JsonObject, path: string) => {
    const callId = nonEmpty(item.call_id, `${path}.call_id`);
    if (!calls.has(callId)) throw noCall(callId, path);
    doing = undefined;
    const content = toParts(item.output, `${path}.output`);
    addResult(messages, { type: "client-result", callId, content, isError: false });
  };
  const add = (item: JsonObject, path: string) => {
    switch (item.type ?? "message") {
      case "message":
        return addMessage(item, path);
      case "function_call": {
        const id = nonEmpty(item.call_id, `${path}.call_id`);
        const name = nonEmpty(item.name, `${path}.name`);
        calls.add(id);
        return act({ type: "client-call", id, name, input: parseArguments(item.arguments, `${path}.arguments`) });
      }
      case "function_call_output":
        return answerCall(item, path);
      case "reasoning": {
        // Without what seals it, the model API would not take it back.
        const thought = unseal(item.encrypted_content);
        if (thought) act({ type: "thinking", ...thought });
        return;
      }
      default:
        unused.push(path);
    }
  };

  for (const item of before) add(item, "previous_response_id");
  // Said when it was sent.
  unused.length = 0;
  for (const [index, item] of items.entries()) add(item, `input[${index}]`);
  return { system: system.length === 0 ? undefined : system.join("\n"), messages, unused };
}

function noCall(callId: string, path: string): DaemonError {
  const message = `No tool call found for function call output with call_id ${callId.slice(0, 100)}.`;
  return new DaemonError("invalid_request", message, { detail: { param: `${path}.call_id`, reason: "invalid_value" } });
}

function nonEmpty(value: unknown, path: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw invalidField(path, "must be a non-empty string.");
}

/** The text of a message whose content can be nothing else. */
function toText(content: unknown, path: string): string {
  if (typeof content === "string") return content;
  let text = "";
  for (const [index, part] of toParts(content, path).entries()) {
    if (part.type !== "text") throw invalidField(`${path}[${index}]`, "only text is possible in this role.");
    text += part.text;
  }
  return text;
}

function toParts(content: unknown, path: string): Part[] {
  if (content === undefined || content === null) return [{ type: "text", text: "" }];
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (!Array.isArray(content)) throw invalidField(path, "must be a string or an array of content parts.");
  if (content.length === 0) return [{ type: "text", text: "" }];
  return content.map((part: unknown, index) => {
    if (typeof part === "string") return { type: "text", text: part };
    if (typeof part === "object" && part !== null) return toPart(part as JsonObject, `${path}[${index}]`);
    throw invalidField(`${path}[${index}]`, "must be an object with a type.");
  });
}

function toPart(part: JsonObject, path: string): Part {
  switch (part.type) {
    case "input_text":
    case "output_text":
    case "text":
      return { type: "text", text: stringOf(part.text, `${path}.text`) };
    case "refusal":
      return { type: "text", text: stringOf(part.refusal, `${path}.refusal`) };
    case "input_image":
      refuseFileId(part, part.image_url, path);
      return toImageFromUrl(stringOf(part.image_url, `${path}.image_url`), `${path}.image_url`);
    case "input_file":
      return toFile(part, path);
    case "input_audio":
      throw invalidField(`${path}.type`, "audio is not supported.", "unsupported_value");
    default:
      throw invalidField(`${path}.type`, "must be one of input_text, input_image, input_file.", "invalid_value");
  }
}

function toFile(part: JsonObject, path: string): DocumentBlock {
  const { file_data: data, file_url: url, filename } = part;
  refuseFileId(part, data ?? url, path);
  if (typeof data !== "string" && typeof url === "string") {
    throw invalidField(`${path}.file_url`, "remote files are not fetched. Send file_data.", "unsupported_value");
  }
  const title = typeof filename === "string" && filename !== "" ? filename : undefined;
  return toDocumentBlock(stringOf(data, `${path}.file_data`), `${path}.file_data`, title);
}

function refuseFileId(part: JsonObject, instead: unknown, path: string): void {
  if (typeof instead === "string" || typeof part.file_id !== "string") return;
  throw invalidField(`${path}.file_id`, "no files are stored here. Send the data itself.", "unsupported_value");
}
