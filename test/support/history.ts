/**
 * "The API received exactly this history": both sides brought to one shape. Away goes only what docs/exactness.md permits,
 * each rule with its reason; everything else must be equal.
 */
import type { AssistantBlock, JsonObject, Message, UserBlock } from "../../src/turn/message.ts";
import type { ApiMessage, ApiRequest } from "./anthropic-api.ts";
import { CLAUDE_FEATURES } from "./claude.ts";

export interface HistoryMessage {
  role: string;
  content: JsonObject[];
}

/** The CLI's shortest accepted resume prompt: WORD JOINER, alone in its block. */
export const RESUME_RESIDUE = "\u2060";
const IDENTITY = /^You are (Claude Code|a Claude agent)[^\n]*$/;
const BILLING = /^x-anthropic-billing-header:/;
/** Older models get the Environment inside a user reminder instead of a system message. */
const ENVIRONMENT_REMINDER = /^<system-reminder>\n[\s\S]*# Environment[\s\S]*<\/system-reminder>\s*$/;
/** Older CLIs tell the date before the first prompt (and whose account it is). */
const DATE_REMINDER =
  /^<system-reminder>\nAs you answer the user's questions,[\s\S]*# currentDate\n[\s\S]*<\/system-reminder>\s*$/;
const IMAGE_NOTE = /^\[Image(: |[^\]]*)source: [^\]\n]+\]$/;

/** The messages of a request, normalised. */
export function historyOf(request: ApiRequest): HistoryMessage[] {
  const normalised = request.body.messages.filter((message) => !isEnvironment(message)).map(normalise);
  // A reminder may stand alone before a history that begins with the assistant.
  if (normalised[0]?.role === "user" && normalised[0].content.length === 0) normalised.shift();
  const messages = mergeRoles(CLAUDE_FEATURES.awaitInitialize ? normalised : withoutPrompts(mergeRoles(normalised)));
  const last = messages.at(-1)?.content;
  // "After a history that ends in tool results the CLI's shortest accepted resume prompt."
  if (last?.at(-1)?.text === RESUME_RESIDUE && last.at(-2)?.type === "tool_result") last.pop();
  return messages;
}

/**
 * What older CLIs put after a history that ends in tool results, which they have to be prompted to go on with: words of
 * their own (the oldest whatever they are told), "No response requested.", the prompt.
 */
function withoutPrompts(messages: HistoryMessage[]): HistoryMessage[] {
  const isResidue = ({ text }: JsonObject) => text === RESUME_RESIDUE || text === "Continue from where you left off.";
  const isPrompt = (message: HistoryMessage | undefined) =>
    message?.role === "user" && message.content.every(isResidue);
  const kept: HistoryMessage[] = [];
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index] as HistoryMessage;
    const silent = message.role === "assistant" && message.content[0]?.text === "No response requested.";
    const results = kept.at(-1);
    if (!(silent && message.content.length === 1 && isPrompt(messages[index + 1]) && results)) {
      kept.push(message);
      continue;
    }
    results.content = results.content.filter((block) => !isResidue(block));
    index += 1;
  }
  return kept;
}

/** What `historyOf` must give when the API received exactly these messages. */
export function apiHistory(messages: readonly Message[]): HistoryMessage[] {
  return mergeRoles(
    messages.map((message) => ({ role: message.role, content: message.content.map((block) => toApiBlock(block)) })),
  );
}

/** The system text without the CLI's identity line and billing header ("the CLI's identity line" is allowed). */
export function systemOf(request: ApiRequest): string {
  const { system } = request.body;
  if (system === undefined) return "";
  const texts = typeof system === "string" ? [system] : system.map((block) => String(block.text ?? ""));
  return texts.filter((text) => !IDENTITY.test(text) && !BILLING.test(text)).join("\n\n");
}

/** The Environment block ("its Environment block" is allowed) is a message of role system after the first user message. */
function isEnvironment(message: ApiMessage): boolean {
  if (message.role !== "system") return false;
  const texts = typeof message.content === "string" ? [message.content] : message.content.map((block) => block.text);
  return texts.every((text) => typeof text === "string" && (text.startsWith("# Environment\n") || isBudget(text)));
}

/** What is left of the context, which CLIs of the time say to some models after tool results. */
function isBudget(text: string): boolean {
  return !CLAUDE_FEATURES.plainFirstPrompt && /^<total_tokens>[^<]*<\/total_tokens>$/.test(text);
}

function normalise(message: ApiMessage): HistoryMessage {
  // A string is the same as one text block to the API.
  const blocks = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
  const content = blocks
    .filter((block) => !(message.role === "user" && isAllowedResidue(block)))
    .map((block) => normaliseBlock(block));
  return { role: message.role, content };
}

function isAllowedResidue(block: JsonObject): boolean {
  if (block.type !== "text" || typeof block.text !== "string") return false;
  // "The note with a saved path beside an image sent live."
  if (IMAGE_NOTE.test(block.text)) return true;
  if (!CLAUDE_FEATURES.plainFirstPrompt && DATE_REMINDER.test(block.text)) return true;
  // The guard of a text that such a CLI would expand.
  if (!CLAUDE_FEATURES.clientComposed && block.text === RESUME_RESIDUE) return true;
  return ENVIRONMENT_REMINDER.test(block.text);
}

/** Cache marks say how to bill, not what was said; tool results as a string are one text block. */
function normaliseBlock(block: JsonObject): JsonObject {
  const { cache_control: _, ...rest } = block;
  if (rest.type !== "tool_result") return rest;
  const content = typeof rest.content === "string" ? [{ type: "text", text: rest.content }] : (rest.content ?? []);
  return {
    type: "tool_result",
    tool_use_id: rest.tool_use_id ?? null,
    content: Array.isArray(content) ? content.map((inner) => normaliseBlock(inner as JsonObject)) : content,
    is_error: rest.is_error === true,
  };
}

/** Adjacent messages of one role are one message to the API. */
function mergeRoles(messages: HistoryMessage[]): HistoryMessage[] {
  const merged: HistoryMessage[] = [];
  for (const message of messages) {
    const last = merged.at(-1);
    if (last?.role === message.role) last.content.push(...message.content);
    else merged.push({ role: message.role, content: [...message.content] });
  }
  return merged;
}

function toApiBlock(block: UserBlock | AssistantBlock): JsonObject {
  switch (block.type) {
    case "text":
      return { type: "text", text: block.text };
    case "image": {
      const { source } = block;
      if (source.kind === "url") return { type: "image", source: { type: "url", url: source.url } };
      return { type: "image", source: { type: "base64", media_type: source.mediaType, data: source.data } };
    }
    case "document": {
      const type = block.mediaType === "text/plain" ? "text" : "base64";
      const source = { type, media_type: block.mediaType, data: block.data };
      return { type: "document", source, ...(block.title === undefined ? {} : { title: block.title }) };
    }
    case "thinking":
      return { type: "thinking", thinking: block.text, signature: block.signature ?? "" };
    case "redacted-thinking":
      return { type: "redacted_thinking", data: block.data };
    case "client-call":
      return { type: "tool_use", id: block.id, name: block.name, input: block.input };
    case "client-result":
      return {
        type: "tool_result",
        tool_use_id: block.callId,
        content: block.content.map((inner) => toApiBlock(inner)),
        is_error: block.isError,
      };
  }
}
