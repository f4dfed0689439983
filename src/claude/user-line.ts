/** The neutral blocks of a user message as the API's content blocks. */
import { DaemonError } from "../errors.ts";
import type { DocumentBlock, ImageBlock, JsonObject, TextBlock, UserBlock } from "../turn/message.ts";
import type { ClaudeFeatures } from "./features.ts";
import type { PromptOptions } from "./transport.ts";

/** Nothing of the client's shape passes but the content itself (no cache marks, no unknown keys). */
export function toApiBlock(block: TextBlock | ImageBlock | DocumentBlock): JsonObject {
  switch (block.type) {
    case "text":
      // Half a surrogate pair is no text to the API; older CLIs pass it on.
      return { type: "text", text: block.text.toWellFormed() };
    case "image":
      return {
        type: "image",
        source:
          block.source.kind === "url"
            ? { type: "url", url: block.source.url }
            : { type: "base64", media_type: block.source.mediaType, data: block.source.data },
      };
    case "document": {
      const source =
        block.mediaType === "text/plain"
          ? { type: "text", media_type: block.mediaType, data: block.data }
          : { type: "base64", media_type: block.mediaType, data: block.data };
      return block.title === undefined
        ? { type: "document", source }
        : { type: "document", source, title: block.title };
    }
  }
}

/**
 * After a client's text on CLIs without `client_composed`: only the last text block of a message is searched for
 * commands and `@file`, so a constant one keeps the client's text as it is.
 */
const GUARD_BLOCK: JsonObject = { type: "text", text: "\u2060" };
/** What such a CLI looks for in a prompt: mentions, commands, keywords. It stands in the history, so only where it must. */
const NEEDS_GUARD = /@|^\s*\/|\bultra|\bworkflow/im;

export interface UserLineOptions extends PromptOptions {
  uuid: string;
  features: Pick<ClaudeFeatures, "clientComposed" | "deniesLinkedMentions">;
}

/** One line for stdin. Throws `internal` for results of client tools: the CLI drops them from user messages. */
export function toUserLine(content: readonly UserBlock[], options: UserLineOptions): JsonObject {
  const { uuid, verbatim, features } = options;
  const blocks = content.map((block) => {
    if (block.type === "client-result")
      throw new DaemonError("internal", "The daemon tried to send a tool's result as text. Please report it.");
    return toApiBlock(block);
  });
  const line: JsonObject = {
    type: "user",
    message: { role: "user", content: blocks },
    parent_tool_use_id: null,
    session_id: "",
    uuid,
  };
  if (options.unanswered) line.shouldQuery = false;
  const has = (pattern: RegExp) => content.some((block) => block.type === "text" && pattern.test(block.text));
  // Where a mention of a link would open what is denied, none is expanded: the agent reads the file with its tools.
  if (!verbatim && (features.deniesLinkedMentions || !has(/@/))) return line;
  if (features.clientComposed) line.client_composed = true;
  else if (has(NEEDS_GUARD)) blocks.push(GUARD_BLOCK);
  return line;
}
