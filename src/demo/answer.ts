/**
 * What the stand-in says: a pure function of the request. Every text it writes says that it is the stand-in and not
 * Claude. For an agent it has Claude Code's own Write tool write one file, so that what changed is real.
 */
import { join, normalize } from "node:path";
import type { JsonObject } from "../turn/message.ts";
import type { StandInRequest, ToolOffer, ToolUse } from "./request.ts";
import { argumentsFor, shapedBy } from "./shape.ts";

export type AnswerBlock = { kind: "text"; text: string } | { kind: "tool"; name: string; input: JsonObject };

export const LABEL = "[stand-in of claude-code-daemon, not Claude]";

/** Prompts are quoted up to here. */
const MAX_QUOTED_CHARS = 2000;
/** Rounds with tools after which it ends with text, whatever the tools answered. */
const MAX_TOOL_ROUNDS = 6;
const DEFAULT_FILE = "stand-in.md";

/** @param now goes into the written file, so that each run changes it. */
export function answerTo(request: StandInRequest, now: Date): AnswerBlock[] {
  if (request.wantsTitle) return [text('{"title":"Stand-in demo"}')];
  const next = nextTool(request, now);
  if (next) {
    const announced = request.toolUses.length === 0 && request.forcedTool === undefined;
    return announced ? [text(`${LABEL} Calling the tool ${next.name}.`), next] : [next];
  }
  // Structured answers hold nothing but their JSON; their strings say "stand-in".
  if (request.outputSchema) return [text(JSON.stringify(shapedBy(request.outputSchema)))];
  return [text(closingText(request))];
}

function nextTool(request: StandInRequest, now: Date): (AnswerBlock & { kind: "tool" }) | undefined {
  const { tools, forcedTool, toolUses } = request;
  if (forcedTool === null || toolUses.length >= MAX_TOOL_ROUNDS) return undefined;
  const forced = tools.find((tool) => tool.name === forcedTool) ?? (forcedTool === "" ? tools[0] : undefined);
  if (forced) return call(forced);
  const used = (name: string) => toolUses.some((use) => use.name === name);
  const structured = tools.find((tool) => tool.name === "StructuredOutput");
  const client = tools.find((tool) => isClientTool(tool, isAgent(request)));
  if (client && !used(client.name)) return call(client);
  if (isAgent(request)) {
    const step = nextFileStep(request, now);
    if (step) return step;
  }
  return structured && !used(structured.name) ? call(structured) : undefined;
}

/** Write; where the file is there already Claude Code wants it read first, then Write again. */
function nextFileStep(request: StandInRequest, now: Date): (AnswerBlock & { kind: "tool" }) | undefined {
  const path = filePath(request);
  const write = (): AnswerBlock & { kind: "tool" } => ({
    kind: "tool",
    name: "Write",
    input: { file_path: path, content: fileContent(request, now) },
  });
  const steps = request.toolUses.filter((use) => use.name === "Write" || use.name === "Read");
  const last = steps.at(-1);
  if (last === undefined) return write();
  if (last.name === "Read") return last.result?.isError ? undefined : write();
  const mustRead = last.result?.isError === true && /read/i.test(last.result.text);
  const canRead = request.tools.some((tool) => tool.name === "Read") && !steps.some((use) => use.name === "Read");
  return mustRead && canRead ? { kind: "tool", name: "Read", input: { file_path: path } } : undefined;
}

function isAgent(request: StandInRequest): boolean {
  const names = request.tools.map((tool) => tool.name);
  return request.directory !== undefined && names.includes("Write") && names.includes("Read");
}

/** Beside Claude Code's own tools (`Bash`, `WebFetch`) and its users' MCP servers. */
function isClientTool(tool: ToolOffer, agent: boolean): boolean {
  if (tool.name === "StructuredOutput") return false;
  if (tool.name.startsWith("mcp__")) return tool.name.startsWith("mcp__client__");
  return !agent || !/^[A-Z][A-Za-z]*$/.test(tool.name);
}

function call(tool: ToolOffer): AnswerBlock & { kind: "tool" } {
  return { kind: "tool", name: tool.name, input: argumentsFor(tool.inputSchema) };
}

/** The first file name in the prompt, kept inside the working directory, else a name of our own. */
function filePath(request: StandInRequest): string {
  const directory = request.directory ?? "/";
  const named = /(?:^|[\s"'`(])((?:[\w-][\w.-]*\/)*[\w-][\w.-]*\.[A-Za-z]\w{0,7})(?=$|[\s"'`),:;!?]|\.(?:\s|$))/.exec(
    request.prompt,
  )?.[1];
  const path = normalize(join(directory, named ?? DEFAULT_FILE));
  return path.startsWith(join(directory, "/")) ? path : join(directory, DEFAULT_FILE);
}

function fileContent(request: StandInRequest, now: Date): string {
  return [
    `${LABEL}`,
    "",
    `Written ${now.toISOString()} by Claude Code's Write tool, as the built-in stand-in for the model API asked it to.`,
    "No model was involved. The request was:",
    "",
    quoted(request.prompt),
    "",
  ].join("\n");
}

function closingText(request: StandInRequest): string {
  const said = request.prompt === "" ? "You sent no text" : `You said: ${quoted(request.prompt)}`;
  const attached = request.attachments === 0 ? "" : ` (with ${request.attachments} attachment(s))`;
  const done = request.toolUses.map(describe);
  return [
    `${LABEL} This answer comes from the built-in stand-in for the model API; no model was involved.`,
    `${said}${attached}`,
    ...done,
  ].join("\n\n");
}

function describe(use: ToolUse): string {
  if (!use.result) return `The tool ${use.name} gave no result.`;
  return `The tool ${use.name} ${use.result.isError ? "failed" : "answered"}: ${quoted(use.result.text)}`;
}

function quoted(value: string): string {
  return value.length > MAX_QUOTED_CHARS ? `${value.slice(0, MAX_QUOTED_CHARS)} …` : value;
}

function text(value: string): AnswerBlock {
  return { kind: "text", text: value };
}
