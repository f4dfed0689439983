/**
 * Output items and their ids. An item's id holds the id of its response and its place there, so the archive of responses
 * is the archive of items too: a reference is found without an index of its own.
 */
import type { JsonObject } from "../../turn/message.ts";

const RESPONSE_PREFIX = "resp_";
const ITEM_ID = /^(?:msg|fc|rs|item)_(.+)_i?\d+$/;

export type ItemPrefix = "msg_" | "fc_" | "rs_";
export type ItemStatus = "in_progress" | "completed" | "incomplete";

/** The id of the output item at `index` of a response. */
export function outputId(responseId: string, prefix: ItemPrefix, index: number): string {
  return `${prefix}${responseId.slice(RESPONSE_PREFIX.length)}_${index}`;
}

/** The id of an input item that came without one. */
export function inputId(responseId: string, type: string, index: number): string {
  return `${type === "message" ? "msg" : "item"}_${responseId.slice(RESPONSE_PREFIX.length)}_i${index}`;
}

/** The response that an item of ours belongs to; undefined for ids that were never ours. */
export function responseOfItem(id: string): string | undefined {
  const found = ITEM_ID.exec(id)?.[1];
  return found === undefined ? undefined : RESPONSE_PREFIX + found;
}

export const textPart = (text: string): JsonObject => ({ type: "output_text", annotations: [], logprobs: [], text });
export const refusalPart = (refusal: string): JsonObject => ({ type: "refusal", refusal });
export const summaryPart = (text: string): JsonObject => ({ type: "summary_text", text });

export function messageItem(id: string, status: ItemStatus, content: JsonObject[]): JsonObject {
  return { id, type: "message", status, role: "assistant", content };
}

export interface CallFacts {
  callId: string;
  name: string;
  arguments: string;
}

export function callItem(id: string, status: ItemStatus, call: CallFacts): JsonObject {
  return { id, type: "function_call", status, call_id: call.callId, name: call.name, arguments: call.arguments };
}

/** With its signature, where there is one, sealed into `encrypted_content`; `showItem` takes that out again. */
export function reasoningItem(id: string, text: string, signature: string | undefined): JsonObject {
  return {
    id,
    type: "reasoning",
    summary: text === "" ? [] : [summaryPart(text)],
    ...(signature === undefined ? {} : { encrypted_content: seal({ text, signature }) }),
  };
}

/** An item as the client sees it: encrypted content only if it asked for that. */
export function showItem(item: JsonObject, includeSealed: boolean): JsonObject {
  if (includeSealed || item.encrypted_content === undefined) return item;
  const { encrypted_content: _, ...shown } = item;
  return shown;
}

const SEAL = "ccd1.";

export interface Thought {
  text: string;
  signature: string;
}

/** Thinking in a form that the client cannot change by accident: the API takes it back only as it was. */
function seal(thought: Thought): string {
  return SEAL + Buffer.from(JSON.stringify(thought)).toString("base64url");
}

/** What `seal` made; undefined for anything else, such as another vendor's. */
export function unseal(value: unknown): Thought | undefined {
  if (typeof value !== "string" || !value.startsWith(SEAL)) return undefined;
  try {
    const thought: unknown = JSON.parse(Buffer.from(value.slice(SEAL.length), "base64url").toString("utf8"));
    if (typeof thought !== "object" || thought === null || !("text" in thought) || !("signature" in thought)) {
      return undefined;
    }
    const { text, signature } = thought;
    return typeof text === "string" && typeof signature === "string" ? { text, signature } : undefined;
  } catch {
    return undefined;
  }
}
