import type { TurnRequest } from "../../../src/turn/request.ts";
import { call, type Step, text, turn } from "../scripted-runner.ts";

/** A model that asks for the weather of two cities at once and reports what it was told. */
export function weatherScript(request: TurnRequest): Step[] {
  const results = request.messages.at(-1)?.content.filter((block) => block.type === "client-result") ?? [];
  if (results.length === 0) {
    return turn(
      [
        ...text("t", "Let me see."),
        ...call("toolu_1", "weather", '{"city"', ':"Paris"}'),
        ...call("toolu_2", "weather", '{"city":"Rome"}'),
      ],
      { reason: { unified: "tool-calls", raw: "tool_use" } },
    );
  }
  const told = results.flatMap((result) => result.content.map((block) => (block.type === "text" ? block.text : "?")));
  return turn(text("t", told.map((line) => line.replaceAll('"', "")).join(", ")));
}
