/** The client's messages as the neutral history, one to one: roles, order, calls, results, images and thinking. */
import type { AssistantBlock, ClientResultBlock, JsonObject, Message, UserBlock } from "../../turn/message.ts";
import { type CallMatcher, createCallMatcher } from "../shared/calls.ts";
import { invalidField } from "../shared/validation.ts";
import { type Fields, objectOf, stringOf, toPart, toParts } from "./blocks.ts";
import type { CountBody, WireMessage } from "./schema.ts";

export interface History {
  /** The system blocks, then system messages wherever they stood, joined with newlines. */
  system: string | undefined;
  messages: Message[];
}

/** What Anthropic's own servers did in a turn: nothing that could be told again here. */
const SERVER_BLOCK = /^(server_tool_use|mcp_tool_use|container_upload|compaction|fallback|\w+_tool_result)$/;

/** Throws `invalid_request` that names the exact place of what cannot be understood. */
export function toHistory(body: Pick<CountBody, "messages" | "system">): History {
  const system = body.system ? [toSystem(body.system, "system")] : [];
  const history: Message[] = [];
  const calls = createCallMatcher();
  for (const [index, message] of body.messages.entries()) {
    const path = `messages[${index}]`;
    const where = `${path}.content`;
    const last = history.at(-1);
    if (message.role === "user") {
      const content = toUser(message.content, where, calls);
      // Adjacent messages of one role are one to the model.
      if (last?.role === "user") last.content.push(...content);
      else history.push({ role: "user", content });
    } else if (message.role === "assistant") {
      const content = toAssistant(message.content, where);
      const called = content.filter((block) => block.type === "client-call");
      if (called.length > 0) calls.open(called);
      if (last?.role === "assistant") last.content.push(...content);
      // The model API accepts no empty message; one without content says nothing.
      else if (content.length > 0) history.push({ role: "assistant", content });
    } else if (message.role === "system") {
      system.push(toSystem(message.content, where));
    } else {
      throw invalidField(`${path}.role`, "must be user, assistant or system.");
    }
  }
  return { system: system.length === 0 ? undefined : system.join("\n"), messages: history };
}

function toSystem(content: WireMessage["content"], path: string): string {
  return toParts(content, path)
    .map((part, index) => {
      if (part.type === "text") return part.text;
      throw invalidField(`${path}[${index}]`, "only text is possible here.");
    })
    .join("\n");
}

function toUser(content: WireMessage["content"], path: string, calls: CallMatcher): UserBlock[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  const blocks: UserBlock[] = [];
  for (const [index, block] of (content as Fields[]).entries()) {
    const where = `${path}[${index}]`;
    if (block.type === "tool_result") {
      blocks.push(toResult(block, where, calls));
      continue;
    }
    const part = toPart(block, where);
    if (part.type !== "text" || part.text !== "") blocks.push(part);
  }
  return blocks.length > 0 ? blocks : [{ type: "text", text: "" }];
}

function toResult(block: Fields, path: string, calls: CallMatcher): ClientResultBlock {
  const id = stringOf(block.tool_use_id, `${path}.tool_use_id`);
  if (!calls.knows(id)) {
    throw invalidField(
      `${path}.tool_use_id`,
      `unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id.slice(0, 100)}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in a previous message.`,
    );
  }
  const content = toParts(block.content, `${path}.content`);
  return {
    type: "client-result",
    callId: id,
    content: content.length > 0 ? content : [{ type: "text", text: "" }],
    isError: block.is_error === true,
  };
}

function toAssistant(content: WireMessage["content"], path: string): AssistantBlock[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  const blocks: AssistantBlock[] = [];
  for (const [index, block] of (content as Fields[]).entries()) {
    const where = `${path}[${index}]`;
    switch (block.type) {
      case "text": {
        const text = stringOf(block.text, `${where}.text`);
        if (text !== "") blocks.push({ type: "text", text });
        break;
      }
      case "tool_use":
        blocks.push(toCall(block, where));
        break;
      case "thinking":
        blocks.push(toThinking(block, where));
        break;
      case "redacted_thinking":
        blocks.push({ type: "redacted-thinking", data: stringOf(block.data, `${where}.data`) });
        break;
      default:
        if (typeof block.type === "string" && SERVER_BLOCK.test(block.type)) break;
        throw invalidField(`${where}.type`, "must be one of text, tool_use, thinking, redacted_thinking.");
    }
  }
  return blocks;
}

function toThinking(block: Fields, path: string): AssistantBlock {
  const text = stringOf(block.thinking, `${path}.thinking`);
  const { signature } = block;
  return { type: "thinking", text, ...(typeof signature === "string" && signature !== "" ? { signature } : {}) };
}

function toCall(block: Fields, path: string): AssistantBlock {
  const id = stringOf(block.id, `${path}.id`);
  const name = stringOf(block.name, `${path}.name`);
  if (id === "" || name === "") throw invalidField(path, "needs an id and a name.");
  const input = block.input === undefined || block.input === null ? {} : objectOf(block.input, `${path}.input`);
  return { type: "client-call", id, name, input: input as JsonObject };
}
