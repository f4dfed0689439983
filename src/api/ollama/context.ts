/**
 * `context` of /api/generate: the conversation so far as numbers that the client keeps and sends back. The numbers are
 * the history itself (its JSON, deflated, three bytes to a number), so nothing is stored here, a restart loses nothing,
 * and what a client changes is only its own.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { createValidator, invalidField } from "../shared/validation.ts";
import { HistorySchema, type WireMessage } from "./schema.ts";

export interface GenerateHistory {
  system: string | undefined;
  messages: WireMessage[];
}

/** First of the numbers: others than ours are refused, not misread. */
const MAGIC = 0x434344;
/** Longer histories get no context: the client goes on without, as with servers that give none. */
const MAX_HISTORY_CHARS = 4 * 1024 * 1024;
/** What a context may inflate to. */
const MAX_INFLATED_BYTES = 4 * MAX_HISTORY_CHARS;

const validate = createValidator(HistorySchema);

/** The numbers of a history; undefined where it is beyond the bound. */
export function encodeContext(history: GenerateHistory): number[] | undefined {
  const json = JSON.stringify(history);
  if (json.length > MAX_HISTORY_CHARS) return undefined;
  const bytes = deflateRawSync(json);
  const numbers = [MAGIC, bytes.length];
  for (let place = 0; place < bytes.length; place += 3) {
    numbers.push(((bytes[place] ?? 0) << 16) | ((bytes[place + 1] ?? 0) << 8) | (bytes[place + 2] ?? 0));
  }
  return numbers;
}

/** Throws `invalid_request` for numbers that are no context of ours. */
export function decodeContext(numbers: readonly number[]): GenerateHistory {
  const [magic, length = -1, ...packed] = numbers;
  if (magic !== MAGIC || Math.ceil(length / 3) !== packed.length) throw foreign();
  const bytes = new Uint8Array(packed.length * 3);
  for (const [place, number] of packed.entries()) {
    bytes[place * 3] = number >> 16;
    bytes[place * 3 + 1] = number >> 8;
    bytes[place * 3 + 2] = number;
  }
  try {
    const inflated = inflateRawSync(bytes.subarray(0, length), { maxOutputLength: MAX_INFLATED_BYTES });
    const { system, messages } = validate(JSON.parse(inflated.toString("utf8")));
    return { system: system ?? undefined, messages };
  } catch {
    throw foreign();
  }
}

function foreign() {
  return invalidField("context", "was not made by this daemon. Leave it out to begin a new conversation.");
}
