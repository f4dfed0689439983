/**
 * A client's history as the CLI's own session file, so that a resumed process sends it to the model as it was written:
 * roles, tool calls, results, images; never flattened into text. What the CLI changes all the same is listed in
 * docs/exactness.md.
 *
 * The file is resumed by its path with the interrupted-turn resume (`LaunchOptions.answerInterrupted`): the CLI then
 * answers the last user line as it stands. It is secret like the conversation: 0600 in a 0700 directory, removed by its
 * owner.
 */
import { randomUUID } from "node:crypto";
import { chmod, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { DaemonError } from "../errors.ts";
import type { AssistantBlock, JsonObject, Message, UserBlock } from "../turn/message.ts";

export interface TranscriptOptions {
  /** The session the lines belong to (UUID); also the file's name. */
  sessionId: string;
  /** The process's working directory. */
  cwd: string;
  /** The CLI's version, as its own lines carry it. */
  version: string;
  /** Full id of the model that answers: thinking of another model is not sent back to it. */
  model: string;
}

export interface Transcript extends AsyncDisposable {
  /** For `LaunchOptions.resume.from`. */
  path: string;
  sessionId: string;
  /** Removes the file; idempotent. The CLI has read it once its first API request is out. */
  remove(): Promise<void>;
}

/** Largest transcript written; far over any model's context window. */
const MAX_TRANSCRIPT_CHARS = 256 * 1024 * 1024;
/** Lines are written together up to this size. */
const WRITE_CHARS = 1024 * 1024;

/**
 * The lines of a history, one JSON text each without newline, in order. Timestamps strictly increase: CLIs up to 2.1.81
 * cut the history where they do not. Throws `invalid_request` where a tool result answers no call.
 */
export function* encodeTranscript(messages: readonly Message[], options: TranscriptOptions): Generator<string> {
  const lines = toLines(messages);
  let parentUuid: string | null = null;
  // In the past, one millisecond a line, so that what the CLI adds comes later.
  let time = Date.now() - lines.length - 1000;
  for (const line of lines) {
    const uuid = randomUUID();
    time += 1;
    yield JSON.stringify({
      parentUuid,
      isSidechain: false,
      type: line.role,
      message: line.role === "user" ? { role: "user", content: line.content } : assistantMessage(line.content, options),
      uuid,
      timestamp: new Date(time).toISOString(),
      userType: "external",
      entrypoint: "sdk-cli",
      cwd: options.cwd,
      sessionId: options.sessionId,
      version: options.version,
      // Else the resumed last line would run as a slash command and pull in `@files`.
      ...(line.role === "user" ? { queueSkipSlashCommands: true, queueSkipAttachments: true } : {}),
    });
    parentUuid = uuid;
  }
}

/**
 * Writes a history to `<directory>/<sessionId>.jsonl`, which must not exist yet. The directory is the caller's (0700). The
 * caller removes the transcript when the process has begun to answer, or is gone.
 */
export async function writeTranscript(
  directory: string,
  messages: readonly Message[],
  options: TranscriptOptions,
): Promise<Transcript> {
  const path = join(directory, `${options.sessionId}.jsonl`);
  const remove = () => rm(path, { force: true });
  await chmod(directory, 0o700);
  const file = await open(path, "wx", 0o600);
  try {
    let chunk = "";
    let written = 0;
    for (const line of encodeTranscript(messages, options)) {
      chunk += `${line}\n`;
      if (chunk.length < WRITE_CHARS) continue;
      written += chunk.length;
      if (written > MAX_TRANSCRIPT_CHARS) {
        throw new DaemonError("context_length_exceeded", "The conversation is too long. Start a new one.");
      }
      await file.write(chunk);
      chunk = "";
    }
    await file.write(chunk);
    await file.close();
  } catch (error) {
    await file.close().catch(() => undefined);
    await remove();
    throw error;
  }
  return { path, sessionId: options.sessionId, remove, [Symbol.asyncDispose]: remove };
}

interface Line {
  role: "user" | "assistant";
  content: JsonObject[];
}

/**
 * Messages to lines. Neighbours of one role become one line: to the API they are one message, and the CLI would add a line
 * break where it joins them.
 */
function toLines(messages: readonly Message[]): Line[] {
  const lines: Line[] = [];
  const ids = createCallIds();
  for (const { role, content } of mergeRoles(messages)) {
    if (role === "assistant") {
      ids.forget();
      // What was said after a call stands before it, wherever the CLI would leave it.
      const calls = content.filter((block) => block.type === "client-call");
      const said = content.filter((block) => block.type !== "client-call");
      lines.push({ role, content: [...said, ...calls].map((block) => encodeBlock(block, ids)) });
      continue;
    }
    // Results come first, as the API demands, and every call has one.
    const results = content.filter((block) => block.type === "client-result");
    const rest = content.filter((block) => block.type !== "client-result");
    const answers = [...results.map((block) => encodeBlock(block, ids)), ...ids.unanswered().map(missingResult)];
    const said = rest.filter((block) => block.type !== "text" || block.text.trim() !== "");
    // As the CLI puts an empty prompt; older ones would pass an empty text on, which the API refuses.
    if (said.length === 0 && answers.length === 0) said.push({ type: "text", text: "(no content)" });
    lines.push({ role, content: [...answers, ...said.map((block) => encodeBlock(block, ids))] });
  }
  return splitLast(lines);
}

type AnyBlock = UserBlock | AssistantBlock;

function mergeRoles(messages: readonly Message[]): { role: Line["role"]; content: AnyBlock[] }[] {
  const merged: { role: Line["role"]; content: AnyBlock[] }[] = [];
  for (const message of messages) {
    const content: AnyBlock[] = message.role === "user" ? message.content : sendable(message.content);
    if (content.length === 0) continue;
    const last = merged.at(-1);
    if (last?.role === message.role) last.content.push(...content);
    else merged.push({ role: message.role, content: [...content] });
  }
  return merged;
}

/**
 * The API takes no empty text. The CLI drops it, and with it a message that holds nothing else or only thinking; then it
 * joins the neighbours: better dropped before they are merged here.
 */
function sendable(content: readonly AssistantBlock[]): AssistantBlock[] {
  const kept = content.filter((block) => block.type !== "text" || block.text.trim() !== "");
  return kept.some((block) => block.type === "text" || block.type === "client-call") ? kept : [];
}

/**
 * A last line of results and text becomes two: the CLI then sees a history that ends in the user's words and adds no
 * resume prompt.
 */
function splitLast(lines: Line[]): Line[] {
  const last = lines.at(-1);
  if (last?.role !== "user") return lines;
  const results = last.content.filter((block) => block.type === "tool_result");
  const rest = last.content.filter((block) => block.type !== "tool_result");
  if (results.length === 0 || rest.length === 0) return lines;
  return [...lines.slice(0, -1), { role: "user", content: results }, { role: "user", content: rest }];
}

interface CallIds {
  /** A new call: its id toward the API. */
  add(id: string): string;
  /** The id of the open call that this result answers; throws `invalid_request` where there is none. */
  answer(id: string): string;
  /** The open calls that no result has answered. */
  unanswered(): string[];
  /** Open calls can be answered no more: the assistant spoke again. */
  forget(): void;
}

/** The API wants ids of few characters that are unique in a conversation; other vendors' clients count from 0 anew. */
function createCallIds(): CallIds {
  const used = new Set<string>();
  const stems = new Set<string>();
  const open = new Map<string, string>();
  // The CLI takes `call_0_2` for a double of `call_0` and drops its result.
  const stemOf = (id: string) => id.replace(/_\d+$/, "");
  const taken = (id: string) => used.has(id) || stems.has(id) || (stemOf(id) !== id && used.has(stemOf(id)));
  return {
    add: (id) => {
      const base = id.replace(/[^A-Za-z0-9_-]/g, "_");
      let unique = base;
      for (let count = 2; taken(unique); count++) unique = `${base}-${count}`;
      used.add(unique);
      stems.add(stemOf(unique));
      open.set(id, unique);
      return unique;
    },
    answer: (id) => {
      const unique = open.get(id);
      if (unique === undefined) {
        const message = `The tool result for ${JSON.stringify(id.slice(0, 100))} answers no tool call of the message before it.`;
        throw new DaemonError("invalid_request", message, { detail: { param: "messages" } });
      }
      open.delete(id);
      return unique;
    },
    unanswered: () => {
      const left = [...open.values()];
      open.clear();
      return left;
    },
    forget: () => open.clear(),
  };
}

/** The API refuses a call without result, and the CLI would drop its whole message. */
function missingResult(id: string): JsonObject {
  const content = [{ type: "text", text: "The tool gave no result." }];
  return { type: "tool_result", tool_use_id: id, content, is_error: true };
}

function assistantMessage(content: JsonObject[], options: TranscriptOptions): JsonObject {
  const calls = content.some((block) => block.type === "tool_use");
  return {
    id: `msg_${randomUUID().replaceAll("-", "")}`,
    type: "message",
    role: "assistant",
    model: options.model,
    content,
    stop_reason: calls ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
  };
}

function encodeBlock(block: AnyBlock, ids: CallIds): JsonObject {
  switch (block.type) {
    case "text":
      return { type: "text", text: block.text };
    case "image": {
      const { source } = block;
      if (source.kind === "url") return { type: "image", source: { type: "url", url: source.url } };
      return { type: "image", source: { type: "base64", media_type: source.mediaType, data: source.data } };
    }
    case "document": {
      const type = block.mediaType === "text/plain" ? "text" : "base64";
      const source = { type, media_type: block.mediaType, data: block.data };
      return { type: "document", source, ...(block.title === undefined ? {} : { title: block.title }) };
    }
    case "client-result":
      return {
        type: "tool_result",
        tool_use_id: ids.answer(block.callId),
        content: block.content.map((inner) => encodeBlock(inner, ids)),
        ...(block.isError ? { is_error: true } : {}),
      };
    case "thinking":
      return { type: "thinking", thinking: block.text, signature: block.signature ?? "" };
    case "redacted-thinking":
      return { type: "redacted_thinking", data: block.data };
    case "client-call":
      // The name as the CLI itself gives an offered tool to the API.
      return {
        type: "tool_use",
        id: ids.add(block.id),
        name: block.name.replace(/[^A-Za-z0-9_-]/g, "_"),
        input: block.input,
      };
  }
}
