/** The CLI's `result`: how a turn ended, what it used and cost. */
import type { EndReason } from "../turn/events.ts";
import type { Json } from "../turn/message.ts";
import { faultOf } from "./faults.ts";
import { isObject } from "./json.ts";
import type { ResultLine } from "./messages.ts";
import { brokeOff, type EndFacts, fail, finishBlocks, partUsage, pushEnd, type Reading } from "./reading.ts";
import { subtract, usageOf } from "./usage.ts";

export function readResult(reading: Reading, line: ResultLine): void {
  const { origin } = line;
  // The end of a turn that claude started by itself.
  if (isObject(origin) && origin.kind === "task-notification") return;
  reading.settled = true;
  if (typeof line.total_cost_usd === "number") reading.totalCostUsd = line.total_cost_usd;
  if (reading.ended) return;
  reading.evidence.result = line;
  finishBlocks(reading);
  const facts = factsOf(reading, line);
  const raw = line.stop_reason ?? reading.stopReason ?? line.terminal_reason;
  if (line.terminal_reason?.startsWith("aborted_") === true) {
    reading.unclean = true;
    pushEnd(reading, "interrupted", facts, line.terminal_reason);
    return;
  }
  if (line.subtype === "error_max_turns" || line.subtype === "error_max_budget_usd") {
    reading.unclean = true;
    pushEnd(reading, "max-turns", facts, line.subtype);
    return;
  }
  if (line.stop_reason === "refusal") {
    reading.unclean = true;
    pushEnd(reading, "refusal", facts, "refusal");
    return;
  }
  if (/max_output_tokens/.test(line.is_error ? (line.result ?? "") : "")) {
    pushEnd(reading, "length", facts, "max_tokens");
    return;
  }
  // Older CLIs end a broken answer here, with its message still open.
  if (line.is_error && reading.current?.shown === true && !reading.current.complete) brokeOff(reading);
  if (line.is_error || line.subtype !== "success") fail(reading, faultOf(reading.evidence));
  if (reading.options.structuredOutput === true) facts.structured = readStructured(reading, line);
  reading.stopReason ??= line.stop_reason ?? undefined;
  pushEnd(reading, endReasonOf(raw), facts, raw);
}

function factsOf(reading: Reading, line: ResultLine): EndFacts {
  const { totalCostUsd, previousCostUsd } = reading;
  return {
    // /clear sets the sum back to 0: then what stands there is this turn's.
    costUsd:
      line.total_cost_usd === undefined
        ? undefined
        : Math.max(0, totalCostUsd >= previousCostUsd ? totalCostUsd - previousCostUsd : totalCostUsd),
    numTurns: line.num_turns,
    denials: (line.permission_denials ?? []).map((denial) => ({
      tool: String(denial.tool_name),
      toolUseId: String(denial.tool_use_id),
      input: isObject(denial.tool_input) ? denial.tool_input : {},
    })),
    usage: line.usage === undefined ? partUsage(reading) : subtract(usageOf(line.usage), reading.earlier),
  };
}

function readStructured(reading: Reading, line: ResultLine): Json {
  if (line.structured_output === undefined) {
    const result = { ...line, subtype: "error_max_structured_output_retries" };
    fail(reading, faultOf({ ...reading.evidence, result }));
  }
  const id = "text-structured";
  const text = JSON.stringify(line.structured_output);
  reading.out.push({ type: "text-start", id }, { type: "text-delta", id, text }, { type: "text-end", id });
  return line.structured_output;
}

function endReasonOf(raw: string | undefined): EndReason {
  switch (raw) {
    case "stop_sequence":
      return "stop-sequence";
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length";
    case "refusal":
      return "refusal";
    default:
      return "end";
  }
}
