/** Answers that clients come back to: by `previous_response_id`, by the ids of their items, or to read them again. */
import { DaemonError } from "../../errors.ts";
import type { JsonObject } from "../../turn/message.ts";
import { responseOfItem } from "./items.ts";
import type { ResponseBody } from "./schema.ts";

/** Where answers are kept; the store behind it says for how long. */
export interface ResponseArchive {
  put(record: { id: string; json: string }): void;
  get(id: string): Promise<{ id: string; json: string } | undefined>;
  delete(id: string): void;
}

export interface ArchivedAnswer {
  /** The response object; its items with their encrypted content, whoever asked for it. */
  response: JsonObject;
  /** The request's own items, references resolved, every one with an id. */
  input: JsonObject[];
  /** Whether the client asked for encrypted content. */
  includeSealed: boolean;
}

/** What a request refers to. */
export interface Referenced {
  /** Items of the responses before this one, oldest first. */
  before: JsonObject[];
  items: ReadonlyMap<string, JsonObject>;
}

/** Most responses of one chain, and the most text of all that a request refers to. */
const MAX_CHAIN = 5_000;
const MAX_REFERENCED_CHARS = 128 * 1024 * 1024;

/** Reads one answer; undefined where it is not kept. */
export async function readAnswer(archive: ResponseArchive, id: string): Promise<ArchivedAnswer | undefined> {
  const record = await archive.get(id);
  return record && (JSON.parse(record.json) as ArchivedAnswer);
}

/** Throws `invalid_request` or `not_found` that name the id which is not (or no longer) kept. */
export async function loadReferenced(archive: ResponseArchive, body: ResponseBody): Promise<Referenced> {
  const answers = new Map<string, ArchivedAnswer>();
  let chars = 0;
  const load = async (id: string): Promise<ArchivedAnswer | undefined> => {
    const known = answers.get(id);
    if (known) return known;
    const record = await archive.get(id);
    if (!record) return undefined;
    chars += record.json.length;
    if (chars > MAX_REFERENCED_CHARS) throw tooMuch();
    const answer = JSON.parse(record.json) as ArchivedAnswer;
    answers.set(id, answer);
    return answer;
  };

  const chain: ArchivedAnswer[] = [];
  let id: string | null | undefined = body.previous_response_id;
  while (id) {
    const answer = await load(id);
    if (!answer || chain.length === MAX_CHAIN) throw previousMissing(id, chain.length);
    chain.push(answer);
    const { previous_response_id: previous } = answer.response;
    id = typeof previous === "string" ? previous : undefined;
  }
  const before = chain.reverse().flatMap((answer) => [...answer.input, ...outputOf(answer)]);

  const items = new Map<string, JsonObject>();
  for (const [index, item] of (typeof body.input === "string" ? [] : body.input).entries()) {
    const reference = referenceOf(item as JsonObject);
    if (reference === undefined || items.has(reference)) continue;
    const owner = responseOfItem(reference);
    const answer = owner === undefined ? undefined : await load(owner);
    const found = answer && [...answer.input, ...outputOf(answer)].find((candidate) => candidate.id === reference);
    if (!found) throw itemMissing(reference, `input[${index}]`);
    items.set(reference, found);
  }
  return { before, items };
}

function outputOf(answer: ArchivedAnswer): JsonObject[] {
  return Array.isArray(answer.response.output) ? (answer.response.output as JsonObject[]) : [];
}

/** The id an item refers to; undefined where it is an item itself. */
export function referenceOf(item: JsonObject): string | undefined {
  const { type, id } = item;
  if (type !== "item_reference" && (type !== undefined || item.role !== undefined)) return undefined;
  return typeof id === "string" ? id : undefined;
}

const show = (id: string) => id.slice(0, 100);

function previousMissing(id: string, depth: number): DaemonError {
  const why =
    depth === 0 ? "" : " It is an earlier part of this conversation and is no longer kept; send the whole history.";
  return new DaemonError("invalid_request", `Previous response with id '${show(id)}' not found.${why}`, {
    detail: { param: "previous_response_id", reason: "previous_response_not_found" },
  });
}

function itemMissing(id: string, param: string): DaemonError {
  const message = `Item with id '${show(id)}' not found. Items are not kept with \`store: false\`; send the item itself.`;
  return new DaemonError("not_found", message, { detail: { param } });
}

function tooMuch(): DaemonError {
  return new DaemonError("context_length_exceeded", "What this request refers to is more than any model can read.");
}
