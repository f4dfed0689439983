/**
 * Names a history by what the model would be shown of it: equal digests are equal histories (SHA-256 over a
 * length-prefixed encoding, so no two histories share an encoding).
 *
 * What formats spell differently is one: adjacent messages of one role, an assistant's text in one piece or several,
 * the ids of calls (some formats have none: a call is named by its place), the order of keys in arguments. Thinking is
 * left out: formats that have no place for it drop it, and the API ignores it in past turns.
 */
import { CryptoHasher } from "bun";
import type { AssistantBlock, Json, Message, UserBlock } from "../turn/message.ts";
import type { ClientTool } from "../turn/request.ts";

export interface HistoryRoot {
  kind: "chat" | "agent";
  /** Whatever else makes two conversations different from the start: model, workspace, … */
  scope: string[];
  system: string | undefined;
  tools: readonly ClientTool[];
}

/** Longest part of a message that is joined with its neighbours. */
const MAX_JOINED_CHARS = 16 * 1024;

/**
 * The digest after each message. Call `add` in the order of the history; `digest` may be taken at any point and does
 * not end the chain.
 */
export class HistoryDigest {
  private readonly hasher: CryptoHasher;
  /** Places of the calls by id; a client that counts its ids anew names the latest. */
  private readonly calls: Map<string, number>;
  private callCount = 0;
  private role: string;
  /** An assistant's text so far, not yet written: it ends at the next call, role or digest. */
  private text: string[];
  private readonly looseText: boolean;

  constructor(root: HistoryRoot | HistoryDigest) {
    if (root instanceof HistoryDigest) {
      this.hasher = root.hasher.copy();
      this.calls = new Map(root.calls);
      this.callCount = root.callCount;
      this.role = root.role;
      this.text = [...root.text];
      this.looseText = root.looseText;
      return;
    }
    this.hasher = new CryptoHasher("sha256");
    this.calls = new Map();
    this.role = "";
    this.text = [];
    // An agent's memory is its own session, whatever the client echoes; formats join the text of its rounds in
    // different ways, so there (only there, and only in the model's own words) white space does not count.
    this.looseText = root.kind === "agent";
    this.write("root", root.kind, String(root.scope.length), ...root.scope);
    this.write(root.system === undefined ? "no system" : "system", root.system ?? "");
    this.write("tools", String(root.tools.length));
    for (const tool of root.tools) {
      this.write(tool.name, tool.description ?? "", canonicalJson(tool.inputSchema));
    }
  }

  copy(): HistoryDigest {
    return new HistoryDigest(this);
  }

  add(message: Message): this {
    if (this.role !== message.role) {
      this.flushText();
      this.role = message.role;
      this.write("role", message.role);
    }
    if (message.role === "user") for (const block of message.content) this.addUserBlock(block);
    else for (const block of message.content) this.addAssistantBlock(block);
    return this;
  }

  digest(): string {
    const copy = this.copy();
    copy.flushText();
    return copy.hasher.digest("base64url");
  }

  private addUserBlock(block: UserBlock): void {
    if (block.type !== "client-result") {
      this.write(...partsOf(block));
      return;
    }
    this.write("result", this.placeOf(block.callId), block.isError ? "error" : "ok", String(block.content.length));
    for (const content of block.content) this.write(...partsOf(content));
  }

  private addAssistantBlock(block: AssistantBlock): void {
    if (block.type === "text") {
      this.text.push(this.looseText ? block.text.replace(/\s+/g, "") : block.text);
      return;
    }
    if (block.type !== "client-call") return;
    this.flushText();
    this.calls.set(block.id, this.callCount++);
    this.write("call", this.placeOf(block.id), block.name, canonicalJson(block.input));
  }

  private flushText(): void {
    const text = this.text.join("");
    this.text.length = 0;
    if (text !== "") this.write("said", text);
  }

  /** A result for a call that is not in the history keeps its id: nothing else can be meant by it. */
  private placeOf(callId: string): string {
    const place = this.calls.get(callId);
    return place === undefined ? `unknown ${callId}` : String(place);
  }

  private write(...parts: string[]): void {
    // A call of the hasher costs as much as a thousand characters; an image would be copied to be joined.
    let joined = "";
    for (const part of parts) {
      joined += `${part.length}:`;
      if (part.length <= MAX_JOINED_CHARS) joined += part;
      else {
        this.hasher.update(joined);
        this.hasher.update(part);
        joined = "";
      }
    }
    this.hasher.update(joined);
  }
}

function partsOf(block: Exclude<UserBlock, { type: "client-result" }>): string[] {
  if (block.type === "text") return ["text", block.text];
  if (block.type === "document") return ["document", block.mediaType, block.data, block.title ?? ""];
  if (block.source.kind === "url") return ["image url", block.source.url];
  return ["image", block.source.mediaType, block.source.data];
}

/** JSON with sorted keys: what a client parsed and wrote again is still the same. */
export function canonicalJson(value: Json | undefined): string {
  if (value === undefined) return "null";
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`).join(",")}}`;
}
