/** What both of OpenAI's formats know of parameters that are not honoured. */

/** Fields that shape nothing of the answer. */
export const BOOKKEEPING: readonly string[] = [
  "claude_code",
  "user",
  "metadata",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prompt_cache_options",
  "client_metadata",
  "prediction",
];

/** What a field means where it is left out: sent with this value it changes nothing. */
export const NEUTRAL: ReadonlyMap<string, (value: unknown) => boolean> = new Map<string, (value: unknown) => boolean>([
  ["frequency_penalty", (value) => value === 0],
  ["presence_penalty", (value) => value === 0],
  ["logprobs", (value) => value === false],
  ["top_logprobs", (value) => value === 0],
  ["logit_bias", (value) => typeof value === "object" && Object.keys(value ?? {}).length === 0],
  ["service_tier", (value) => value === "auto" || value === "default"],
  ["store", (value) => value === false],
  ["truncation", (value) => value === "disabled"],
]);
