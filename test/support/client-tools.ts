/** Answers the CLI's in-band MCP traffic for one server `client`: the smallest host of client tools. */
import type { JsonObject } from "../../src/turn/message.ts";

export const CLIENT_TOOL_ENV = { CLAUDE_AGENT_SDK_MCP_NO_PREFIX: "1", ENABLE_TOOL_SEARCH: "false" };
export const CLIENT_TOOL_INITIALIZE = { sdkMcpServers: ["client"] };

/** `call` gives the result's text; names are offered as read-only, so that parallel calls come at once. */
export function hostClientTools(
  names: string[],
  call: (name: string, input: JsonObject) => string = () => "done",
): (request: JsonObject) => JsonObject | undefined {
  return (request) => {
    if (request.subtype !== "mcp_message") return undefined;
    const message = request.message as JsonObject;
    const answer = (result: JsonObject) => ({ mcp_response: { jsonrpc: "2.0", id: message.id ?? 0, result } });
    const params = (message.params ?? {}) as JsonObject;
    switch (message.method) {
      case "initialize":
        return answer({
          protocolVersion: params.protocolVersion ?? "",
          capabilities: { tools: {} },
          serverInfo: { name: "client", version: "1" },
        });
      case "tools/list":
        return answer({
          tools: names.map((name) => ({
            name,
            description: name,
            inputSchema: { type: "object", properties: {} },
            annotations: { readOnlyHint: true },
          })),
        });
      case "tools/call": {
        const text = call(String(params.name), (params.arguments ?? {}) as JsonObject);
        return answer({ content: [{ type: "text", text }] });
      }
      default:
        return answer({});
    }
  };
}
