/**
 * The neutral history: what every wire format's messages translate to and what `claude` is given, one to one. Roles and
 * order are the client's; nothing here is ever flattened into text.
 */

/** Any JSON value, for schemas and arguments that pass through untouched. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface TextBlock {
  type: "text";
  text: string;
}

export interface ImageBlock {
  type: "image";
  /** `data` is standard base64 without prefix or line breaks; `mediaType` is png, jpeg, gif or webp. */
  source: { kind: "base64"; mediaType: string; data: string } | { kind: "url"; url: string };
}

export interface DocumentBlock {
  type: "document";
  /** `application/pdf` with base64 `data`, or `text/plain` with the text itself. */
  mediaType: "application/pdf" | "text/plain";
  data: string;
  title?: string;
}

/** The model's own thinking, as an assistant turn carried it. Without its signature the API drops it. */
export interface ThinkingBlock {
  type: "thinking";
  text: string;
  signature?: string;
}

export interface RedactedThinkingBlock {
  type: "redacted-thinking";
  data: string;
}

/** The model's call of one of the client's tools (`tool_calls`, `tool_use`). `id` is the one the client knows. */
export interface ClientCallBlock {
  type: "client-call";
  id: string;
  name: string;
  input: JsonObject;
}

/** The client's answer to such a call (`role: "tool"`, `tool_result`). */
export interface ClientResultBlock {
  type: "client-result";
  callId: string;
  content: (TextBlock | ImageBlock | DocumentBlock)[];
  isError: boolean;
}

export type UserBlock = TextBlock | ImageBlock | DocumentBlock | ClientResultBlock;
export type AssistantBlock = TextBlock | ThinkingBlock | RedactedThinkingBlock | ClientCallBlock;

export interface UserMessage {
  role: "user";
  content: UserBlock[];
}

export interface AssistantMessage {
  role: "assistant";
  content: AssistantBlock[];
}

export type Message = UserMessage | AssistantMessage;
