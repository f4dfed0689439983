/** Options of the answer that several formats call alike. */
import type { OutputOptions, TurnRequest } from "../../turn/request.ts";

/** What a body says of its answer, and how the client called it. */
export interface NamedOptions {
  output: OutputOptions;
  optionNames: TurnRequest["optionNames"];
}

/** Adds `temperature` and `top_p`. */
export function addSampling(
  { output, optionNames }: NamedOptions,
  body: { temperature?: number | null | undefined; top_p?: number | null | undefined },
): void {
  if (typeof body.temperature === "number") {
    output.temperature = body.temperature;
    optionNames.temperature = "temperature";
  }
  if (typeof body.top_p === "number") {
    output.topP = body.top_p;
    optionNames.topP = "top_p";
  }
}

/** Adds the stop sequences; an empty one is none. */
export function addStop({ output, optionNames }: NamedOptions, stop: readonly string[], name: string): void {
  const said = stop.filter((text) => text !== "");
  if (said.length === 0) return;
  output.stop = said;
  optionNames.stop = name;
}
