/** `tools`, `tool_choice` and `text.format`, in the vocabulary's words. */
import type { JsonObject } from "../../turn/message.ts";
import type { ClientTool, OutputFormat, ToolChoice } from "../../turn/request.ts";
import { toChoiceMode } from "../shared/functions.ts";
import { createToolList, toClientTool } from "../shared/tools.ts";
import { invalidField } from "../shared/validation.ts";
import type { ResponseBody } from "./schema.ts";

type Fields = Record<string, unknown>;

export interface Tools {
  tools: ClientTool[];
  toolChoice: ToolChoice;
  /** Whether the client made a choice that can be honoured. */
  chosen: boolean;
  /** Paths of what nothing here runs: clients always send some such tools, and expect no refusal. */
  unsupported: string[];
}

export function toTools(body: ResponseBody): Tools {
  const sent = body.tools ?? [];
  const list = createToolList("tools", sent.length);
  const unsupported: string[] = [];
  for (const [index, entry] of sent.entries()) {
    const definition = entry as Fields;
    if (definition.type !== "function" && definition.type !== undefined) {
      unsupported.push(`tools[${index}]`);
      continue;
    }
    const path = `tools[${index}]`;
    list.add(toClientTool(definition, path, "parameters"), path);
  }
  return { unsupported, ...toChoice(body.tool_choice, list.tools, unsupported) };
}

function toChoice(
  choice: ResponseBody["tool_choice"],
  tools: ClientTool[],
  unsupported: string[],
): Pick<Tools, "tools" | "toolChoice" | "chosen"> {
  const free = { tools, toolChoice: { type: "auto" }, chosen: false } as const;
  // Without tools there is nothing to choose from.
  if (choice === undefined || choice === null || tools.length === 0) return free;
  if (typeof choice === "string") return { tools, toolChoice: toChoiceMode(choice, "tool_choice"), chosen: true };
  const fields = choice as Fields;
  if (fields.type === "allowed_tools") return { ...toAllowed(fields, tools), chosen: true };
  if (fields.type !== "function") {
    unsupported.push("tool_choice");
    return free;
  }
  const { name } = fields;
  if (typeof name !== "string") throw invalidField("tool_choice.name", "must name a function.");
  if (!tools.some((tool) => tool.name === name)) {
    throw invalidField("tool_choice", "names a function that is not among the tools.", "invalid_value");
  }
  return { tools, toolChoice: { type: "tool", name }, chosen: true };
}

/** A subset of the tools: the others are not offered. */
function toAllowed(fields: Fields, tools: ClientTool[]): { tools: ClientTool[]; toolChoice: ToolChoice } {
  if (!Array.isArray(fields.tools)) throw invalidField("tool_choice.tools", "must be an array.");
  const allowed = new Set(fields.tools.map((tool: Fields | null) => tool?.name));
  const mode = typeof fields.mode === "string" ? fields.mode : "auto";
  return {
    tools: tools.filter((tool) => allowed.has(tool.name)),
    toolChoice: toChoiceMode(mode, "tool_choice.mode"),
  };
}

export function toOutputFormat(text: ResponseBody["text"]): OutputFormat | undefined {
  const format = text?.format;
  if (!format) return undefined;
  const { type, schema } = format as Fields;
  if (type === "text") return { type: "text" };
  if (type === "json_object") return { type: "object" };
  if (type !== "json_schema") {
    throw invalidField("text.format.type", "must be text, json_object or json_schema.", "invalid_value");
  }
  if (schema === undefined || schema === null) {
    throw invalidField("text.format.schema", "this field is required.", "missing_required_parameter");
  }
  if (typeof schema !== "object" || Array.isArray(schema)) {
    throw invalidField("text.format.schema", "must be a JSON Schema object.");
  }
  return { type: "schema", schema: schema as JsonObject };
}
