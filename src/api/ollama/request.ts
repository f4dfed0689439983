/** Bodies to turns. What is accepted but cannot be honoured is named, in the client's words. */
import { DaemonError } from "../../errors.ts";
import type { ClientTool } from "../../turn/request.ts";
import { readExtensions } from "../shared/extensions.ts";
import type { TurnTranslation } from "../shared/format.ts";
import { createToolList, toClientTool } from "../shared/tools.ts";
import { boundNames, findUnsupported } from "../shared/unsupported.ts";
import { createValidator } from "../shared/validation.ts";
import { decodeContext, type GenerateHistory } from "./context.ts";
import { toHistory, toParts } from "./messages.ts";
import { silentOptions, toOutput } from "./options.ts";
import { type ChatBody, ChatSchema, type GenerateBody, GenerateSchema, NamedSchema } from "./schema.ts";

/** A request without anything to answer asks that the model be made ready, or let go. */
export interface LoadRequest {
  kind: "load";
  model: string;
  unload: boolean;
}

export interface OllamaTurn {
  kind: "turn";
  turn: TurnTranslation;
  stream: boolean;
  showThinking: boolean;
  /** /api/generate: what the answer's `context` goes on from. */
  history: GenerateHistory | undefined;
}

export type OllamaTranslation = LoadRequest | OllamaTurn;

const validateChat = createValidator(ChatSchema);
const validateGenerate = createValidator(GenerateSchema);
const validateNamed = createValidator(NamedSchema);

/** Fields that are read here, or that shape nothing of the answer. */
const SILENT = ["claude_code", "truncate", "shift"];
const SILENT_CHAT = new Set([...Object.keys(ChatSchema.properties), ...SILENT]);
const SILENT_GENERATE = new Set([
  ...Object.keys(GenerateSchema.properties).filter((name) => name !== "template"),
  ...SILENT,
]);
const NEUTRAL = new Map<string, (value: unknown) => boolean>([
  ["logprobs", (value) => value === false],
  ["top_logprobs", (value) => value === 0],
  ["template", (value) => value === ""],
]);

/** `/api/chat`. Throws `invalid_request` naming the field. Pure: the same body and headers give the same turn. */
export function toChatTurn(value: Record<string, unknown>, headers: Headers): OllamaTranslation {
  const body = validateChat(value);
  if (!body.messages || body.messages.length === 0) return toLoad(body);
  const { system, messages } = toHistory(body.messages);
  const { tools, unsupported } = toTools(body);
  const names = findUnsupported(value, { silent: SILENT_CHAT, neutral: NEUTRAL });
  const common = shared(body, value, headers, [...names, ...unsupported]);
  return {
    kind: "turn",
    ...common,
    turn: {
      ...common.turn,
      system,
      // A system message alone is legal; the model API needs something to answer.
      messages: messages.length > 0 ? messages : [{ role: "user", content: [{ type: "text", text: "" }] }],
      tools,
    },
    history: undefined,
  };
}

/** `/api/generate`. Throws `invalid_request` naming the field. */
export function toGenerateTurn(value: Record<string, unknown>, headers: Headers): OllamaTranslation {
  const body = validateGenerate(value);
  refuse(body);
  const images = body.images ?? [];
  if (!body.prompt && images.length === 0) return toLoad(body);
  const before = body.context?.length ? decodeContext(body.context) : undefined;
  const news = toParts({ content: body.prompt ?? "", images }, "");
  const history: GenerateHistory = {
    system: body.system || before?.system,
    messages: [
      ...(before?.messages ?? []),
      { role: "user", content: body.prompt ?? "", ...(images.length > 0 ? { images } : {}) },
    ],
  };
  const common = shared(body, value, headers, findUnsupported(value, { silent: SILENT_GENERATE, neutral: NEUTRAL }));
  return {
    kind: "turn",
    ...common,
    turn: {
      ...common.turn,
      system: history.system,
      messages: [...toHistory(before?.messages ?? []).messages, { role: "user", content: news }],
      tools: [],
    },
    history,
  };
}

/** The model that a request names, by either field. Throws `invalid_request` where it names none. */
export function toModelName(value: Record<string, unknown>): { model: string; stream: boolean } {
  const body = validateNamed(value);
  const model = body.model || body.name;
  if (model) return { model, stream: body.stream !== false };
  throw new DaemonError("invalid_request", "model: this field is required.", {
    detail: { param: "model", reason: "missing_required_parameter" },
  });
}

function toLoad(body: Pick<ChatBody, "model" | "keep_alive">): LoadRequest {
  const { keep_alive: keep } = body;
  return { kind: "load", model: body.model, unload: keep === 0 || (typeof keep === "string" && /^0+\w*$/.test(keep)) };
}

function refuse(body: GenerateBody): void {
  if (body.suffix) {
    throw new DaemonError("invalid_request", `"${body.model}" does not support insert`, {
      detail: { param: "suffix" },
    });
  }
  if (body.raw === true && (body.template || body.system || body.context?.length)) {
    throw new DaemonError("invalid_request", "raw mode does not support template, system, or context", {
      detail: { param: "raw" },
    });
  }
}

function shared(body: ChatBody | GenerateBody, value: Record<string, unknown>, headers: Headers, names: string[]) {
  const options = body.options ?? {};
  const ignored = findUnsupported(options, { silent: silentOptions(options) }, "options.");
  return {
    turn: {
      model: body.model,
      toolChoice: { type: "auto" as const },
      parallelToolCalls: true,
      ...toOutput(body),
      claudeCode: readExtensions(value.claude_code, headers),
      unsupported: boundNames([...names, ...ignored]),
    },
    // The default of this API is a stream.
    stream: body.stream !== false,
    showThinking: body.think !== false,
  };
}

function toTools(body: ChatBody): { tools: ClientTool[]; unsupported: string[] } {
  const sent = (body.tools ?? []) as Record<string, unknown>[];
  const list = createToolList("tools", sent.length);
  const unsupported: string[] = [];
  for (const [index, definition] of sent.entries()) {
    if (definition.type !== undefined && definition.type !== null && definition.type !== "function") {
      unsupported.push(`tools[${index}]`);
      continue;
    }
    const path = `tools[${index}].function`;
    list.add(toClientTool(definition.function, path, "parameters"), path);
  }
  return { tools: list.tools, unsupported };
}
