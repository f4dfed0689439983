/**
 * In place of `claude` for one purpose: turns that are all the same work (place.ts makes a program of it). The real one's
 * turns of one conversation lie 15 ms apart, and one process is 5 to 10 % faster than the next, so a difference of one
 * millisecond or a p99 drowns in it. This one speaks the same lines in the same order, about at the real one's pace, and
 * works meanwhile in one thread, all over the caches; what it loses of its core to the daemon shows in its turns.
 */
import { writeSync } from "node:fs";
import type { JsonObject } from "../src/turn/message.ts";
import { ANSWER_PIECE } from "./client.ts";

const VERSION = "2.1.330";
const DELTAS = 8;
/** Larger than the caches that cores do not share. */
const WORKING_SET_BYTES = 24 * 1024 * 1024;
const MODELS = [
  { value: "default", resolvedModel: "claude-steady", displayName: "Default", description: "" },
  { value: "sonnet", resolvedModel: "claude-steady", displayName: "Sonnet", description: "" },
];
/** As long as the real one's lists. */
const NAMES = Array.from({ length: 40 }, (_, index) => `something-${index}`);

const sessionId = crypto.randomUUID();
const memory = new Uint8Array(WORKING_SET_BYTES);
let position = 1;
let turns = 0;

/** Steps that take about a millisecond: a number of them, not a time, so that what takes the processor away is seen. */
const STEPS_PER_MS = 60_000;

/** As much work as about so many milliseconds hold, at addresses all over the working set. */
function work(ms: number): void {
  for (let step = Math.round(ms * STEPS_PER_MS); step > 0; step--) {
    position = (Math.imul(position, 1_103_515_245) + 12_345) & 0x7fffffff;
    const at = position % WORKING_SET_BYTES;
    memory[at] = (memory[at] ?? 0) + 1;
  }
}

function say(line: JsonObject): void {
  writeSync(1, `${JSON.stringify({ ...line, session_id: sessionId, uuid: crypto.randomUUID() })}\n`);
}

const stream = (event: JsonObject) => say({ type: "stream_event", event, parent_tool_use_id: null });

function answer(promptUuid: string): void {
  const usage = { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
  const head = { id: `msg_${++turns}`, type: "message", role: "assistant", model: "claude-steady" };
  const text = ANSWER_PIECE.repeat(DELTAS);
  const lifecycle = (state: string) => say({ type: "command_lifecycle", command_uuid: promptUuid, state });
  lifecycle("queued");
  lifecycle("started");
  work(4);
  say({
    type: "system",
    subtype: "init",
    cwd: process.cwd(),
    model: "claude-steady",
    tools: NAMES,
    slash_commands: NAMES,
  });
  say({ type: "system", subtype: "status", status: "requesting" });
  work(7);
  stream({ type: "message_start", message: { ...head, content: [], stop_reason: null, stop_sequence: null, usage } });
  work(0.05);
  stream({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } });
  for (let piece = 0; piece < DELTAS; piece++) {
    stream({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: ANSWER_PIECE } });
    work(0.03);
  }
  work(0.6);
  const message = { ...head, content: [{ type: "text", text }], stop_reason: null, usage };
  say({ type: "assistant", message, parent_tool_use_id: null });
  work(0.5);
  stream({ type: "content_block_stop", index: 0 });
  const delta = { stop_reason: "end_turn", stop_sequence: null };
  stream({ type: "message_delta", delta, usage: { output_tokens: DELTAS } });
  stream({ type: "message_stop" });
  work(1);
  const spent = { usage, modelUsage: {}, total_cost_usd: turns / 1000, permission_denials: [], num_turns: 1 };
  const result = { result: text, stop_reason: "end_turn", duration_ms: 14, duration_api_ms: 7, ...spent };
  say({ type: "result", subtype: "success", is_error: false, ...result });
  work(1);
  lifecycle("completed");
}

interface Line {
  type: string;
  uuid: string;
  request_id: string;
  request: { subtype: string };
}

if (process.argv.includes("--version")) {
  process.stdout.write(`${VERSION} (Claude Code)\n`);
} else {
  for await (const text of console) {
    if (text === "") continue;
    const line: Line = JSON.parse(text);
    if (line.type === "user") answer(line.uuid);
    if (line.type !== "control_request") continue;
    const response = line.request.subtype === "initialize" ? { commands: [], models: MODELS, account: {} } : {};
    say({ type: "control_response", response: { subtype: "success", request_id: line.request_id, response } });
  }
}
