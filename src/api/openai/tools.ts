/** `tools`, `tool_choice`, the legacy `functions`, and `response_format`, in the vocabulary's words. */
import type { JsonObject } from "../../turn/message.ts";
import type { ClientTool, OutputFormat, ToolChoice } from "../../turn/request.ts";
import { toChoiceMode } from "../shared/functions.ts";
import { createToolList, toClientTool } from "../shared/tools.ts";
import { invalidField } from "../shared/validation.ts";
import type { ChatBody } from "./schema.ts";

type Fields = Record<string, unknown>;

export interface Tools {
  tools: ClientTool[];
  toolChoice: ToolChoice;
  /** The client's name of the choice it made, where it made one. */
  choiceName: string | undefined;
  /** The client speaks the legacy `functions` dialect and is answered in it. */
  legacy: boolean;
  /** Paths of tools that are no functions: nothing here runs them. */
  unsupported: string[];
}

export function toTools(body: ChatBody): Tools {
  const legacy = !body.tools?.length && !!body.functions?.length;
  const unsupported: string[] = [];
  const field = legacy ? "functions" : "tools";
  const sent = (legacy ? body.functions : body.tools) ?? [];
  const list = createToolList(field, sent.length);
  for (const [index, entry] of sent.entries()) {
    const definition = entry as Fields;
    if (!legacy && definition.type !== "function" && definition.type !== undefined) {
      unsupported.push(`${field}[${index}]`);
      continue;
    }
    const path = legacy ? `functions[${index}]` : `tools[${index}].function`;
    list.add(toClientTool(legacy ? definition : definition.function, path, "parameters"), path);
  }
  return { legacy, unsupported, ...toChoice(body, list.tools, legacy) };
}

function toChoice(
  body: ChatBody,
  tools: ClientTool[],
  legacy: boolean,
): Pick<Tools, "tools" | "toolChoice" | "choiceName"> {
  const choiceName = legacy ? "function_call" : "tool_choice";
  const choice = legacy ? body.function_call : body.tool_choice;
  // Without tools there is nothing to choose from.
  if (choice === undefined || choice === null || tools.length === 0) {
    return { tools, toolChoice: { type: "auto" }, choiceName: undefined };
  }
  if (typeof choice === "string") return { tools, toolChoice: toChoiceMode(choice, choiceName), choiceName };
  const fields = choice as Fields;
  if (fields.type === "allowed_tools") return { ...toAllowed(fields, tools), choiceName };
  const named = legacy ? fields.name : (fields.function as Fields | undefined)?.name;
  if (typeof named !== "string") throw invalidField(choiceName, "must name a function.");
  if (!tools.some((tool) => tool.name === named)) {
    throw invalidField(choiceName, "names a function that is not among the tools.", "invalid_value");
  }
  return { tools, toolChoice: { type: "tool", name: named }, choiceName };
}

/** A subset of the tools: the others are not offered. */
function toAllowed(fields: Fields, tools: ClientTool[]): { tools: ClientTool[]; toolChoice: ToolChoice } {
  const allowed = (fields.allowed_tools ?? fields) as Fields;
  if (!Array.isArray(allowed.tools)) throw invalidField("tool_choice.allowed_tools.tools", "must be an array.");
  const names = new Set(
    allowed.tools.map((tool: Fields | null) => (tool?.function as Fields | undefined)?.name ?? tool?.name),
  );
  const mode = typeof allowed.mode === "string" ? allowed.mode : "auto";
  return {
    tools: tools.filter((tool) => names.has(tool.name)),
    toolChoice: toChoiceMode(mode, "tool_choice.allowed_tools.mode"),
  };
}

export function toOutputFormat(value: ChatBody["response_format"]): OutputFormat | undefined {
  if (!value) return undefined;
  const { type, json_schema: definition } = value as Fields;
  if (type === "text") return { type: "text" };
  if (type === "json_object") return { type: "object" };
  if (type !== "json_schema") {
    throw invalidField("response_format.type", "must be text, json_object or json_schema.", "invalid_value");
  }
  if (typeof definition !== "object" || definition === null) {
    throw invalidField("response_format.json_schema", "this field is required.", "missing_required_parameter");
  }
  const { schema } = definition as Fields;
  if (schema === undefined || schema === null) return { type: "object" };
  if (typeof schema !== "object" || Array.isArray(schema)) {
    throw invalidField("response_format.json_schema.schema", "must be a JSON Schema object.");
  }
  return { type: "schema", schema: schema as JsonObject };
}
