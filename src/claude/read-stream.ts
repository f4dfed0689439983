/** The API's own streaming events: messages that start, blocks that open, stream and close, and where a stream is cut. */
import type { EndReason } from "../turn/events.ts";
import type { JsonObject } from "../turn/message.ts";
import type { StreamEventMessage } from "./messages.ts";
import { brokeOff, finishBlocks, partUsage, pushEnd, type Reading, startModel } from "./reading.ts";
import { add, merge, usageOf } from "./usage.ts";

export function readStream(reading: Reading, line: StreamEventMessage): void {
  const { event } = line;
  const { current, blocks } = reading;
  switch (event.type) {
    case "content_block_delta": {
      const block = current?.blocks[event.index as number];
      if (!current || !block) return;
      blocks.readDelta(block, event.delta as JsonObject);
      if (block.started) current.shown = true;
      return;
    }
    case "content_block_start": {
      if (!current) return;
      const content = event.content_block as JsonObject;
      const block = blocks.blockOf(content);
      current.blocks[event.index as number] = block;
      if (block.type === "call") current.calls = true;
      if (block.type === "tool" || block.type === "call") blocks.start(block);
      // A start may already carry text.
      else blocks.readDelta(block, content);
      if (block.started) current.shown = true;
      return;
    }
    case "content_block_stop": {
      const block = current?.blocks[event.index as number];
      if (!current || !block) return;
      // The CLI closes open blocks before it closes a broken message; whether it broke shows only then. A client
      // call is real only in a message that is whole, so it ends there.
      if (block.type === "call") return;
      blocks.finish(block);
      current.blocks[event.index as number] = undefined;
      return;
    }
    case "message_start":
      startMessage(reading, event.message as JsonObject);
      return;
    case "message_delta":
      completeMessage(reading, event);
      return;
    case "message_stop":
      stopMessage(reading);
      return;
    default:
      return;
  }
}

function startMessage(reading: Reading, message: JsonObject): void {
  const { current, open } = reading;
  // A second start without an end: the stream was restarted from its first word.
  if (current && !current.complete && current.shown) brokeOff(reading);
  // Some CLIs close a broken answer themselves and prompt the model to go on with it, in words that no client sent.
  if (reading.cutShort) {
    if (reading.options.followContinuations !== true) brokeOff(reading);
    reading.unclean = true;
  }
  if (open) reading.part = add(reading.part, open);
  const id = String(message.id);
  reading.current = { id, blocks: [], shown: false, calls: false, complete: false, stop: undefined };
  reading.streamed.add(id);
  reading.open = usageOf(message.usage);
  startModel(reading, String(message.model), message.usage);
}

function completeMessage(reading: Reading, event: JsonObject): void {
  const { current } = reading;
  if (!current) return;
  const delta = event.delta as JsonObject;
  current.complete = true;
  current.stop = typeof delta.stop_reason === "string" ? delta.stop_reason : null;
  if (reading.open) reading.open = merge(reading.open, event.usage);
  reading.stopReason = current.stop ?? undefined;
  reading.stopSequence = typeof delta.stop_sequence === "string" ? delta.stop_sequence : undefined;
  const full = current.stop === "max_tokens" || current.stop === "model_context_window_exceeded";
  if (reading.options.followContinuations === true) {
    // The CLI prompts the model to go on; older ones do so without a line that says it.
    if (full) reading.unclean = true;
    return;
  }
  if (full) cut(reading, "length");
  else if (current.stop === "refusal") cut(reading, "refusal");
}

function stopMessage(reading: Reading): void {
  const { current: message, blocks, open } = reading;
  if (!message) return;
  if (!message.complete && message.shown) brokeOff(reading);
  reading.cutShort = message.stop === null && message.shown;
  if (!reading.cutShort) for (const block of message.blocks) if (block?.type === "call") blocks.finish(block);
  if (open) reading.part = add(reading.part, open);
  reading.open = undefined;
  reading.current = undefined;
  if (message.calls && message.stop === "tool_use") reading.callsReady = true;
}

/** A cut by us: the answer ends here, whatever the CLI does next. */
function cut(reading: Reading, reason: EndReason): void {
  reading.unclean = true;
  finishBlocks(reading);
  pushEnd(reading, reason, { costUsd: undefined, numTurns: undefined, denials: [], usage: partUsage(reading) });
}
