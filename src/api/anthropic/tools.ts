/** `tools`, `tool_choice` and `output_config`, in the vocabulary's words. */
import type { JsonObject } from "../../turn/message.ts";
import type { ClientTool, OutputFormat, ToolChoice } from "../../turn/request.ts";
import { createToolList, toClientTool } from "../shared/tools.ts";
import { invalidField } from "../shared/validation.ts";
import { type Fields, objectOf } from "./blocks.ts";
import type { CountBody } from "./schema.ts";

export interface Tools {
  tools: ClientTool[];
  toolChoice: ToolChoice;
  parallel: boolean;
  /** Paths of tools that Anthropic's servers would run: nothing here does. */
  unsupported: string[];
}

export function toTools(body: Pick<CountBody, "tools" | "tool_choice">): Tools {
  const unsupported: string[] = [];
  const sent = (body.tools ?? []) as Fields[];
  const list = createToolList("tools", sent.length);
  for (const [index, definition] of sent.entries()) {
    const path = `tools[${index}]`;
    if (definition.type !== undefined && definition.type !== null && definition.type !== "custom") {
      unsupported.push(path);
      continue;
    }
    list.add(toClientTool(definition, path, "input_schema"), path);
  }
  const { tools } = list;
  const choice = body.tool_choice as Fields | null | undefined;
  // Without tools there is nothing to choose from.
  if (!choice || tools.length === 0) return { tools, toolChoice: { type: "auto" }, parallel: true, unsupported };
  return {
    tools,
    toolChoice: toChoice(choice, tools),
    parallel: choice.disable_parallel_tool_use !== true,
    unsupported,
  };
}

function toChoice(choice: Fields, tools: readonly ClientTool[]): ToolChoice {
  const { type, name } = choice;
  if (type === "auto" || type === "none") return { type };
  if (type === "any") return { type: "required" };
  if (type !== "tool") throw invalidField("tool_choice.type", "must be auto, any, tool or none.");
  if (typeof name === "string" && tools.some((tool) => tool.name === name)) return { type: "tool", name };
  throw invalidField("tool_choice.name", "must be the name of one of the tools.");
}

/** `output_config.format`, or the older `output_format`. */
export function toOutputFormat(value: object, path: string): OutputFormat {
  const { type, schema } = value as Fields;
  if (type !== "json_schema") throw invalidField(`${path}.type`, "must be json_schema.");
  return { type: "schema", schema: objectOf(schema, `${path}.schema`) as JsonObject };
}
