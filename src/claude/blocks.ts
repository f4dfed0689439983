/**
 * The blocks of an API message as they open, stream and close. A block that was opened without content gives nothing, so
 * that a stream which breaks before its first word can start again unseen.
 */
import type { TurnEvent } from "../turn/events.ts";
import type { JsonObject } from "../turn/message.ts";
import { createToolNames } from "./tool-names.ts";

const OUTPUT_TOOL = "StructuredOutput";
const MCP_PREFIX = "mcp__client__";

/** `call` is the client's tool, `tool` Claude's own; `silent` is not shown. */
export interface Block {
  type: "text" | "thinking" | "tool" | "call" | "silent";
  id: string;
  name: string;
  started: boolean;
  signature: string | undefined;
  /** Arguments of a client call so far. */
  json: string[];
}

export interface BlockWriterOptions {
  clientTools: readonly string[];
  kind: "agent" | "chat";
  /** Text and the output tool's calls are not shown (structured output). */
  withheld: boolean;
}

export type BlockWriter = ReturnType<typeof createBlockWriter>;

/** Writes what blocks do into `out`; keeps which calls of Claude's own tools have no result yet. */
export function createBlockWriter(out: TurnEvent[], options: BlockWriterOptions) {
  const { withheld } = options;
  // The model may see another name; the client shall see its own.
  const names = createToolNames(options.clientTools, options.kind);
  const ownTools = new Set<string>();
  let blockCount = 0;

  function makeBlock(type: Block["type"], id: string, name = ""): Block {
    return { type, id, name, started: false, signature: undefined, json: [] };
  }

  function blockOf(content: JsonObject): Block {
    switch (content.type) {
      case "text":
        return makeBlock(withheld ? "silent" : "text", `text-${++blockCount}`);
      case "thinking":
        return makeBlock("thinking", `thinking-${++blockCount}`);
      case "tool_use": {
        const name = String(content.name);
        const client = clientName(name);
        if (client !== undefined) return makeBlock("call", String(content.id), client);
        if (withheld && name === OUTPUT_TOOL) return makeBlock("silent", String(content.id));
        return makeBlock("tool", String(content.id), name);
      }
      default:
        // Redacted thinking, server tools: nothing in the vocabulary shows them.
        return makeBlock("silent", "");
    }
  }

  function clientName(name: string): string | undefined {
    return names.toClient(name.startsWith(MCP_PREFIX) ? name.slice(MCP_PREFIX.length) : name);
  }

  function start(block: Block, parentId?: string): void {
    block.started = true;
    switch (block.type) {
      case "text":
        out.push({ type: "text-start", id: block.id });
        break;
      case "thinking":
        out.push({ type: "thinking-start", id: block.id });
        break;
      case "tool":
        ownTools.add(block.id);
        out.push({ type: "tool-start", id: block.id, name: block.name, parentId });
        break;
      case "call":
        out.push({ type: "client-call-start", id: block.id, name: block.name });
        break;
      case "silent":
        break;
    }
  }

  function readDelta(block: Block, delta: JsonObject): void {
    switch (block.type) {
      case "text":
        if (typeof delta.text !== "string" || delta.text === "") return;
        if (!block.started) start(block);
        out.push({ type: "text-delta", id: block.id, text: delta.text });
        return;
      case "thinking":
        if (typeof delta.thinking === "string" && delta.thinking !== "") {
          if (!block.started) start(block);
          out.push({ type: "thinking-delta", id: block.id, text: delta.thinking });
        } else if (typeof delta.signature === "string") {
          if (!block.started) start(block);
          block.signature = (block.signature ?? "") + delta.signature;
        }
        return;
      case "tool":
        if (typeof delta.partial_json !== "string" || delta.partial_json === "") return;
        out.push({ type: "tool-delta", id: block.id, json: delta.partial_json });
        return;
      case "call":
        if (typeof delta.partial_json !== "string" || delta.partial_json === "") return;
        block.json.push(delta.partial_json);
        out.push({ type: "client-call-delta", id: block.id, json: delta.partial_json });
        return;
      case "silent":
        return;
    }
  }

  function finish(block: Block): void {
    if (!block.started) return;
    switch (block.type) {
      case "text":
        out.push({ type: "text-end", id: block.id });
        return;
      case "thinking":
        out.push({ type: "thinking-end", id: block.id, signature: block.signature });
        return;
      case "call": {
        // A call without arguments streams nothing at all: its deltas must still add up to JSON.
        if (block.json.length === 0) {
          block.json.push("{}");
          out.push({ type: "client-call-delta", id: block.id, json: "{}" });
        }
        out.push({ type: "client-call-end", id: block.id, name: block.name, arguments: block.json.join("") });
        return;
      }
      default:
        return;
    }
  }

  return { blockOf, start, readDelta, finish, ownTools };
}
