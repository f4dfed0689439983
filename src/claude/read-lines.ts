/** Lines that are whole when they come: what the assistant said, what tools gave back, what the CLI reports. */
import type { Json, JsonObject } from "../turn/message.ts";
import { retryFault } from "./faults.ts";
import { isObject } from "./json.ts";
import type { AssistantLine, SystemLine, UserLine } from "./messages.ts";
import { fail, notice, type Reading, startModel } from "./reading.ts";
import { add, usageOf } from "./usage.ts";

/** Longest announced pause before a retry of the CLI that a turn sits out; below what clients wait for a status. */
const MAX_RETRY_PAUSE_MS = 8_000;
/** Longest tool output that an event carries; the model saw what it saw. */
const MAX_TOOL_OUTPUT_CHARS = 100_000;

export function readAssistant(reading: Reading, line: AssistantLine): void {
  // Older CLIs say it without the flag; what they put there is their own words, never the model's.
  if (line.is_api_error_message === true || (line.error !== undefined && line.message.model === "<synthetic>")) {
    reading.evidence.assistant = line;
    reading.unclean = true;
    return;
  }
  const { message } = line;
  const parentId = line.parent_tool_use_id ?? undefined;
  const repeats = parentId !== undefined || reading.streamed.has(String(message.id));
  if (!repeats) {
    startModel(reading, message.model === "<synthetic>" ? undefined : String(message.model), message.usage);
    if (message.stop_reason !== null && message.model !== "<synthetic>")
      reading.part = add(reading.part, usageOf(message.usage));
  }
  const content = message.content;
  for (const block of typeof content === "string" ? [{ type: "text", text: content }] : (content as JsonObject[])) {
    if (block.type === "tool_use") readToolUse(reading, block, parentId, repeats && parentId === undefined);
    else if (!repeats) readWhole(reading, block);
  }
}

/** A tool call with its whole input. `announced`: its stream has already given start and deltas. */
function readToolUse(reading: Reading, content: JsonObject, parentId: string | undefined, announced: boolean): void {
  const { blocks, out } = reading;
  const block = blocks.blockOf(content);
  const input = isObject(content.input) ? content.input : {};
  if (block.type === "silent") return;
  if (block.type === "call") {
    if (announced) return;
    blocks.start(block);
    const json = JSON.stringify(input);
    block.json.push(json);
    out.push({ type: "client-call-delta", id: block.id, json });
    blocks.finish(block);
    reading.callsReady = true;
    return;
  }
  if (!announced) blocks.start(block, parentId);
  reading.evidence.agentStarted = true;
  out.push({ type: "tool-run", id: block.id, name: block.name, input, parentId });
}

/** A block that was never streamed. */
function readWhole({ blocks }: Reading, content: JsonObject): void {
  const block = blocks.blockOf(content);
  if (block.type !== "text" && block.type !== "thinking") return;
  blocks.readDelta(block, content);
  if (block.type === "thinking" && typeof content.signature === "string") {
    blocks.readDelta(block, { signature: content.signature });
  }
  blocks.finish(block);
}

export function readUser(reading: Reading, line: UserLine): void {
  // The CLI's own words (continuation, nudge, compaction): the process now remembers what no client said.
  if (line.isSynthetic === true && line.parent_tool_use_id === null) reading.unclean = true;
  const content = line.message.content;
  if (!Array.isArray(content)) return;
  for (const block of content) {
    if (!isObject(block) || block.type !== "tool_result") continue;
    const id = String(block.tool_use_id);
    if (!reading.blocks.ownTools.delete(id)) continue;
    reading.out.push({ type: "tool-end", id, output: outputOf(block.content), isError: block.is_error === true });
  }
}

export function readSystem(reading: Reading, line: SystemLine): void {
  const { evidence } = reading;
  switch (line.subtype) {
    case "init":
      if (typeof line.model === "string") reading.model = line.model;
      return;
    case "api_retry": {
      evidence.retry = line;
      // The CLI obeys a `retry-after` of minutes in silence. Whoever asked is better told at once, with the time.
      if (typeof line.retry_delay_ms === "number" && line.retry_delay_ms > MAX_RETRY_PAUSE_MS)
        fail(reading, retryFault(evidence));
      const status = typeof line.error_status === "number" ? ` (${line.error_status})` : "";
      notice(reading, "api_retry", `The model API did not answer${status}; claude tries again.`);
      return;
    }
    case "compact_boundary":
      reading.unclean = true;
      notice(reading, "compaction", "The conversation grew too long; claude has summarised its older part.");
      return;
    case "model_fallback":
    case "model_refusal_fallback":
    case "model_consent_fallback":
      reading.unclean = true;
      notice(reading, "model_fallback", typeof line.content === "string" ? line.content : "claude changed the model.");
      return;
    case "informational":
      if (typeof line.content === "string") notice(reading, "information", line.content);
      return;
    default:
      return;
  }
}

function outputOf(content: Json | undefined): string {
  let text = "";
  if (typeof content === "string") text = content;
  else if (Array.isArray(content)) {
    text = content
      .map((block) => {
        if (!isObject(block)) return "";
        return typeof block.text === "string" ? block.text : `[${String(block.type)}]`;
      })
      .join("\n");
  }
  return text.length > MAX_TOOL_OUTPUT_CHARS ? `${text.slice(0, MAX_TOOL_OUTPUT_CHARS)}…` : text;
}
