/** What the stand-in reads out of a Messages API request of the `claude` CLI. Tolerant: anything unknown is passed over. */
import type { Json, JsonObject } from "../turn/message.ts";

export interface ToolOffer {
  name: string;
  inputSchema: JsonObject;
}

/** One tool call of the round that is going on, with its result where there is one. */
export interface ToolUse {
  name: string;
  result?: { text: string; isError: boolean };
}

export interface StandInRequest {
  model: string;
  stream: boolean;
  /** The CLI's own small requests carry 1 here. */
  maxTokens: number | undefined;
  /** The last thing the user said, without the CLI's reminders. */
  prompt: string;
  /** Images and documents beside that text. */
  attachments: number;
  tools: ToolOffer[];
  /** A forced tool's name; "" for any, undefined where the model is free, null where tools are forbidden. */
  forcedTool: string | null | undefined;
  /** Tool calls since the prompt, in order. */
  toolUses: ToolUse[];
  /** The agent's working directory, as the CLI's Environment block names it. */
  directory: string | undefined;
  /** Schema of a native structured answer. */
  outputSchema: JsonObject | undefined;
  /** The CLI asks for a title of the conversation. */
  wantsTitle: boolean;
  /** Estimated tokens of the request. */
  inputTokens: number;
}

/** About four characters make a token; only ever shown as the stand-in's usage. */
const CHARS_PER_TOKEN = 4;

export function estimateTokens(text: string): number {
  return Math.max(1, Math.ceil(text.length / CHARS_PER_TOKEN));
}

/** Throws (SyntaxError, TypeError) on what is no Messages API request. */
export function parseRequest(raw: string): StandInRequest {
  const body: unknown = JSON.parse(raw);
  if (!isObject(body) || !Array.isArray(body.messages)) throw new TypeError("messages: an array is required");
  const messages = body.messages.filter(isObject);
  const system = textsOf(body.system).join("\n");
  const promptIndex = messages.findLastIndex((message) => message.role === "user" && !holdsResults(message));
  const prompt = messages[promptIndex];
  const format = isObject(body.output_config) ? body.output_config.format : undefined;
  return {
    model: typeof body.model === "string" ? body.model : "stand-in",
    stream: body.stream === true,
    maxTokens: typeof body.max_tokens === "number" ? body.max_tokens : undefined,
    prompt: textsOf(prompt?.content)
      .filter((text) => !text.trimStart().startsWith("<system-reminder>"))
      .join("\n")
      .trim(),
    attachments: blocksOf(prompt?.content).filter((block) => block.type === "image" || block.type === "document")
      .length,
    tools: (Array.isArray(body.tools) ? body.tools : []).filter(isObject).flatMap(offerOf),
    forcedTool: forcedToolOf(body.tool_choice),
    toolUses: toolUsesOf(messages.slice(promptIndex + 1)),
    directory: directoryOf(system, messages),
    outputSchema: isObject(format) && isObject(format.schema) ? format.schema : undefined,
    wantsTitle: /title for (this|a|the) (coding )?session|Generate a (concise|short).*title/i.test(system),
    inputTokens: estimateTokens(raw),
  };
}

function offerOf(tool: JsonObject): ToolOffer[] {
  if (typeof tool.name !== "string" || !isObject(tool.input_schema)) return [];
  return [{ name: tool.name, inputSchema: tool.input_schema }];
}

function forcedToolOf(choice: Json | undefined): string | null | undefined {
  if (!isObject(choice)) return undefined;
  if (choice.type === "none") return null;
  if (choice.type === "any") return "";
  return choice.type === "tool" && typeof choice.name === "string" ? choice.name : undefined;
}

function toolUsesOf(messages: JsonObject[]): ToolUse[] {
  const uses = new Map<string, ToolUse>();
  for (const block of messages.flatMap((message) => blocksOf(message.content))) {
    if (block.type === "tool_use") uses.set(String(block.id), { name: String(block.name) });
    if (block.type !== "tool_result") continue;
    const use = uses.get(String(block.tool_use_id));
    if (use) use.result = { text: textsOf(block.content).join("\n"), isError: block.is_error === true };
  }
  return [...uses.values()];
}

/** Only the CLI's own words count (system text and reminders), never what a user typed. */
function directoryOf(system: string, messages: JsonObject[]): string | undefined {
  const own = messages.flatMap((message) =>
    textsOf(message.content).filter(
      (text) => message.role === "system" || text.trimStart().startsWith("<system-reminder>"),
    ),
  );
  for (const text of [...own.reverse(), system]) {
    const found = /^[ \t]*-?[ \t]*(?:Primary working directory|Working directory): (\/.*)$/m.exec(text)?.[1];
    if (found !== undefined) return found.trim();
  }
  return undefined;
}

function holdsResults(message: JsonObject): boolean {
  return blocksOf(message.content).some((block) => block.type === "tool_result");
}

function blocksOf(content: Json | undefined): JsonObject[] {
  return Array.isArray(content) ? content.filter(isObject) : [];
}

function textsOf(content: Json | undefined): string[] {
  if (typeof content === "string") return [content];
  return blocksOf(content).flatMap((block) => (typeof block.text === "string" ? [block.text] : []));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
