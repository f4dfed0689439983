/** Which fields of a body nothing here honours. */
import { EXTENSION_FIELDS } from "./extensions.ts";

/** Names in the header and in a strict refusal; more are of no use to anyone. */
const MAX_UNSUPPORTED = 32;
const MAX_NAME_CHARS = 64;

export interface KnownFields {
  /** Fields that are read, or that shape nothing of the answer. */
  silent: ReadonlySet<string>;
  /** What a field means where it is left out: sent with this value it changes nothing. */
  neutral?: ReadonlyMap<string, (value: unknown) => boolean>;
}

const EXTENSIONS: KnownFields = { silent: new Set(EXTENSION_FIELDS) };

/**
 * The client's names of what it sent in vain, `prefix` before each; null counts as absent. A typo within `claude_code` is
 * one of them: it may have been meant to limit an agent.
 */
export function findUnsupported(body: object, known: KnownFields, prefix = ""): string[] {
  const names: string[] = [];
  for (const [name, value] of Object.entries(body)) {
    if (known.silent.has(name) || value === null || value === undefined || known.neutral?.get(name)?.(value)) continue;
    if (names.length < MAX_UNSUPPORTED) names.push(prefix + name.slice(0, MAX_NAME_CHARS));
  }
  const extensions = "claude_code" in body ? body.claude_code : undefined;
  if (prefix === "" && typeof extensions === "object" && extensions !== null) {
    names.push(...findUnsupported(extensions, EXTENSIONS, "claude_code."));
  }
  return names;
}

/** At most as many names as anyone reads. */
export function boundNames(names: readonly string[]): string[] {
  return names.slice(0, MAX_UNSUPPORTED);
}
