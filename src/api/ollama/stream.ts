/** Events to lines of JSON. What stands before and after the words of a delta is text of its own; only they are escaped. */
import { assertNever, type DaemonError } from "../../errors.ts";
import type { TurnEnd, TurnEvent } from "../../turn/events.ts";
import type { JsonObject } from "../../turn/message.ts";
import { toActivity } from "../shared/activity.ts";
import { toWireExtension } from "../shared/extensions.ts";
import type { Encoder } from "../shared/format.ts";
import { NDJSON_CONTENT_TYPE, ndjsonFrame } from "../shared/ndjson.ts";
import { createRoundJoiner } from "../shared/rounds.ts";
import { renderFailure } from "./errors.ts";
import { type AnswerContext, timestamp, toContext, toDoneReason, toWireCall } from "./response.ts";

/** How the two endpoints write their content. */
interface Shape {
  text(json: string): string;
  thinking(json: string): string;
}

export const CHAT_SHAPE: Shape = {
  text: (json) => `"message":{"role":"assistant","content":${json}}`,
  thinking: (json) => `"message":{"role":"assistant","content":"","thinking":${json}}`,
};
export const GENERATE_SHAPE: Shape = {
  text: (json) => `"response":${json}`,
  thinking: (json) => `"response":"","thinking":${json}`,
};

/** One encoder for one response. `turn-start` gives an empty frame, `turn-end` the one with `done`, which every client waits for. */
export function createEncoder(context: AnswerContext, shape: Shape): Encoder {
  const { showThinking, stopwatch, history } = context;
  const head = `{"model":${JSON.stringify(context.model)},"created_at":"`;
  let start: { turnId: string; sessionId: string | undefined } = { turnId: "", sessionId: undefined };
  let calls = 0;
  const text = createRoundJoiner();
  const thinking = createRoundJoiner();
  /** For `context`, and only then. */
  const said: string[] = [];

  const frame = (content: string, more = "") => `${head}${timestamp(context.now())}",${content},"done":false${more}}\n`;
  const empty = shape.text('""');
  const textDelta = (delta: string) => {
    if (delta === "") return "";
    const shown = text.join(delta);
    if (history) said.push(shown);
    return frame(shape.text(JSON.stringify(shown)));
  };
  const thinkingDelta = (delta: string) =>
    delta === "" || !showThinking ? "" : frame(shape.thinking(JSON.stringify(thinking.join(delta))));
  const activity = (event: Parameters<typeof toActivity>[0]) =>
    frame(empty, `,"claude_code":${JSON.stringify({ activity: toActivity(event) })}`);
  const call = (event: Extract<TurnEvent, { type: "client-call-end" }>) => {
    const message = { role: "assistant", content: "", tool_calls: [toWireCall(event, calls++)] };
    return frame(`"message":${JSON.stringify(message)}`);
  };
  const finish = (end: TurnEnd) => {
    let frames = "";
    if (!text.any && end.structuredOutput !== undefined) frames = textDelta(JSON.stringify(end.structuredOutput));
    const last: JsonObject = {
      done_reason: toDoneReason(end.reason.unified),
      ...(history ? toContext(history, said.join("")) : {}),
      ...stopwatch.metrics(end),
      claude_code: toWireExtension(start, end),
    };
    return `${frames}${head}${timestamp(context.now())}",${empty},"done":true,${JSON.stringify(last).slice(1)}\n`;
  };

  const encode = (event: TurnEvent): string => {
    switch (event.type) {
      case "text-delta":
        return textDelta(event.text);
      case "thinking-delta":
        return thinkingDelta(event.text);
      case "turn-start":
        stopwatch.see(event);
        start = event;
        return frame(empty);
      case "model-start":
        stopwatch.see(event);
        return "";
      case "client-call-end":
        return call(event);
      case "tool-start":
      case "tool-run":
      case "notice":
        text.work();
        thinking.work();
        return activity(event);
      case "tool-end":
      case "permission-request":
      case "permission-resolved":
        return activity(event);
      case "text-start":
        text.begin();
        return "";
      case "thinking-start":
        thinking.begin();
        return "";
      case "text-end":
      case "thinking-end":
      case "tool-delta":
      case "client-call-start":
      case "client-call-delta":
        return "";
      case "turn-end":
        return finish(event);
      default:
        return assertNever(event);
    }
  };
  return {
    contentType: NDJSON_CONTENT_TYPE,
    encode,
    keepAlive: () => frame(empty),
    fail: (error: DaemonError) => ndjsonFrame(renderFailure(error)),
  };
}
