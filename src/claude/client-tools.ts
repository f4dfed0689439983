/**
 * The client's tools as an in-band MCP server: JSON-RPC inside `mcp_message` control requests, no second port. Every rule
 * here answers a measured trap of the CLI (docs/claude-cli.md).
 */
import type { Json, JsonObject } from "../turn/message.ts";
import type { ClientTool } from "../turn/request.ts";
import { VERSION } from "../version.ts";
import { CLIENT_TOOLS_SERVER } from "./args.ts";
import { isObject } from "./json.ts";
import { flattenRoot } from "./root-schema.ts";
import { createToolNames, type ToolNames } from "./tool-names.ts";
import type { ClientCallRequest, ClientCallResult } from "./transport.ts";

/** The CLI's ceiling: a longer result reaches the model as a 2 kB preview and a path. Without it the limit is 50,000. */
export const MAX_RESULT_CHARS = 500_000;
/** The CLI cuts longer descriptions; cut here, so that what the model sees is ours to know. */
const MAX_DESCRIPTION_CHARS = 4096;

/** One line of a `tools/list` answer. */
function toDefinition(tool: ClientTool, names: ToolNames, flatten: boolean): JsonObject {
  const { schema, note } = flatten ? flattenRoot(tool.inputSchema) : { schema: tool.inputSchema, note: undefined };
  const definition: JsonObject = {
    name: names.toModel(tool.name),
    inputSchema: toObjectSchema(schema),
    // Calls run one at a time unless the tool says that it only reads; then all are issued at once.
    annotations: { readOnlyHint: true },
    _meta: { "anthropic/maxResultSizeChars": MAX_RESULT_CHARS },
  };
  const description = [note, tool.description].filter((text) => text !== undefined).join("\n\n");
  if (description !== "") definition.description = description.slice(0, MAX_DESCRIPTION_CHARS);
  return definition;
}

/**
 * One schema without `type: "object"` voids the CLI's whole tool list, so the root always gets one. A root `anyOf`
 * stays where the CLI flattens it.
 */
function toObjectSchema(schema: JsonObject): JsonObject {
  return schema.type === "object" ? schema : { ...schema, type: "object" };
}

function toMcpResult(result: ClientCallResult): JsonObject {
  const content: Json[] = result.content.map((block) =>
    block.type === "text"
      ? { type: "text", text: block.text }
      : { type: "image", data: block.data, mimeType: block.mediaType },
  );
  return { content, isError: result.isError };
}

/** What one JSON-RPC message asks of the process: an answer now, or a call that waits for the client. */
export type ServerStep =
  | { kind: "answer"; response: JsonObject }
  | {
      kind: "call";
      call: ClientCallRequest;
      rpcId: string;
      answer(result: ClientCallResult): JsonObject;
      /** What settles the call towards the CLI where no result will come. */
      cancelled: JsonObject;
    }
  /** An answer now, and the call with this JSON-RPC id needs none any more. */
  | { kind: "cancelled"; rpcId: string; response: JsonObject };

export interface ClientToolServer {
  readonly name: string;
  /**
   * What the CLI would ask for, said beforehand: a process that answers a resumed history does not wait for the
   * handshake, and would ask the model without tools.
   */
  readonly manifest: JsonObject;
  step(message: Json | undefined): ServerStep;
}

/** What the CLI itself speaks; a manifest in another version is refused by it. */
const PROTOCOL_VERSION = "2025-11-25";

function greeting(protocolVersion: Json): JsonObject {
  return { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: CLIENT_TOOLS_SERVER, version: VERSION } };
}

/**
 * A server for these tools; it keeps no state between messages, so nothing in it can leak or fill up. `flatten`: unions at
 * the root of a schema are more than this CLI takes.
 */
export function createClientToolServer(
  tools: readonly ClientTool[],
  kind: "agent" | "chat",
  flatten: boolean,
): ClientToolServer {
  const names = createToolNames(
    tools.map(({ name }) => name),
    kind,
  );
  const definitions = tools.map((tool) => toDefinition(tool, names, flatten));

  const answer = (id: Json | undefined, result: JsonObject): JsonObject => ({
    mcp_response: { jsonrpc: "2.0", id: id ?? 0, result },
  });
  const refuse = (id: Json | undefined, code: number, text: string): JsonObject => ({
    mcp_response: { jsonrpc: "2.0", id: id ?? 0, error: { code, message: text } },
  });

  return {
    name: CLIENT_TOOLS_SERVER,
    manifest: { initializeResult: greeting(PROTOCOL_VERSION), toolsListResult: { tools: definitions } },
    step(message) {
      if (!isObject(message) || typeof message.method !== "string")
        return { kind: "answer", response: answer(undefined, {}) };
      const { id, method } = message;
      const parameters = isObject(message.params) ? message.params : {};
      switch (method) {
        case "initialize":
          return {
            kind: "answer",
            response: answer(id, {
              ...greeting(parameters.protocolVersion ?? PROTOCOL_VERSION),
            }),
          };
        case "tools/list":
          return { kind: "answer", response: answer(id, { tools: definitions }) };
        case "tools/call": {
          if (typeof parameters.name !== "string")
            return { kind: "answer", response: refuse(id, -32602, "a call without a name") };
          const meta = isObject(parameters._meta) ? parameters._meta : {};
          const toolUseId = meta["claudecode/toolUseId"];
          const call: ClientCallRequest = {
            callId: typeof toolUseId === "string" ? toolUseId : `call_${String(id)}`,
            name: names.toClient(parameters.name) ?? parameters.name,
            arguments: isObject(parameters.arguments) ? parameters.arguments : {},
          };
          return {
            kind: "call",
            call,
            rpcId: String(id),
            answer: (result) => answer(id, toMcpResult(result)),
            cancelled: refuse(id, -32800, "cancelled"),
          };
        }
        case "notifications/cancelled":
          return { kind: "cancelled", rpcId: String(parameters.requestId), response: answer(undefined, {}) };
        default:
          // Other notifications want nothing but the acknowledgement; other requests (ping) an empty result.
          return { kind: "answer", response: answer(id, {}) };
      }
    },
  };
}
