/** `options`, `format` and `think`, in the vocabulary's words. */
import type { JsonObject } from "../../turn/message.ts";
import type { OutputFormat, OutputOptions, TurnRequest } from "../../turn/request.ts";
import { toEffort } from "../shared/tools.ts";
import { invalidField } from "../shared/validation.ts";
import type { ChatBody } from "./schema.ts";

export interface Output {
  output: OutputOptions;
  optionNames: TurnRequest["optionNames"];
}

/** Options that say how a model is run, not what it answers: there is nothing to run here. */
const RUNNING = /^(num_(?!predict)|use_|main_gpu$|low_vram$|f16_kv$|vocab_only$|logits_all$|numa$|embedding_only$)/;
const READ = new Set(["temperature", "top_p", "num_predict", "stop"]);

/** The names of options that nothing here honours. */
export function silentOptions(options: ChatBody["options"]): ReadonlySet<string> {
  return new Set(Object.keys(options ?? {}).filter((name) => READ.has(name) || RUNNING.test(name)));
}

export function toOutput(body: Pick<ChatBody, "options" | "format" | "think">): Output {
  const output: OutputOptions = {};
  const optionNames: TurnRequest["optionNames"] = {};
  const options = body.options ?? {};
  const { num_predict: tokens, temperature, top_p: topP } = options;
  // Negative numbers mean without end.
  if (typeof tokens === "number" && tokens >= 1) {
    output.maxTokens = Math.floor(tokens);
    optionNames.maxTokens = "options.num_predict";
  }
  const stop = (typeof options.stop === "string" ? [options.stop] : (options.stop ?? [])).filter((text) => text !== "");
  if (stop.length > 0) {
    output.stop = stop;
    optionNames.stop = "options.stop";
  }
  if (typeof temperature === "number") {
    output.temperature = temperature;
    optionNames.temperature = "options.temperature";
  }
  if (typeof topP === "number") {
    output.topP = topP;
    optionNames.topP = "options.top_p";
  }
  const format = toFormat(body.format);
  if (format) {
    output.format = format;
    optionNames.format = "format";
  }
  if (typeof body.think === "boolean") {
    output.thinking = body.think ? "on" : "off";
    optionNames.thinking = "think";
  } else if (body.think) {
    const effort = toEffort(body.think);
    if (effort) {
      output.effort = effort;
      optionNames.effort = "think";
    }
  }
  return { output, optionNames };
}

function toFormat(format: ChatBody["format"]): OutputFormat | undefined {
  if (format === undefined || format === null || format === "") return undefined;
  if (format === "json") return { type: "object" };
  if (typeof format === "object") return { type: "schema", schema: format as JsonObject };
  throw invalidField("format", 'must be "json" or a JSON Schema.');
}
