/**
 * Live settings of a process, as the payload of `apply_flag_settings`. The same door could redirect the API or switch
 * permissions: keys are ours, values are typed, and no string of a client is ever a key here.
 */
import type { LiveSettings } from "./transport.ts";

/** Environment merges on the CLI's side and only "" resets, so every key is always said. */
export function toFlagSettings(settings: LiveSettings): { env: Record<string, string> } {
  const { maxOutputTokens, effort, thinkingOff, extraBody } = settings;
  const off = thinkingOff || effort === "none";
  return {
    env: {
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: maxOutputTokens === undefined ? "" : String(maxOutputTokens),
      CLAUDE_CODE_EFFORT_LEVEL: effort === undefined || effort === "none" ? "" : effort === "minimal" ? "low" : effort,
      CLAUDE_CODE_DISABLE_THINKING: off ? "1" : "",
      CLAUDE_CODE_EXTRA_BODY: extraBody === undefined ? "" : JSON.stringify(extraBody),
    },
  };
}

/** What a new process has: nothing set. */
export const DEFAULT_SETTINGS: LiveSettings = {
  maxOutputTokens: undefined,
  effort: undefined,
  thinkingOff: false,
  extraBody: undefined,
};
