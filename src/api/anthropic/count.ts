/**
 * How many tokens a request would be, without asking anyone: claude's CLI cannot count, and a process for each of the
 * dozens of counts that clients ask for at a time would cost more than the answer is worth.
 *
 * The number must not be too low: clients fill the context up to it and overflow later. Text is therefore counted by
 * rules for classes of characters, and the sum is raised by `MARGIN`, because newer models cut text finer than the
 * tokenizer that Anthropic has published (`@anthropic-ai/tokenizer`). Measured against that one on prose in fifteen
 * languages, source code, JSON, base64, hex, random letters, symbols and emoji, the sum before the margin is 0.98 times
 * (Polish) to 3 times its count, 1.5 times on English. Images and files count as the largest that the model API would
 * make of them.
 */
import type { JsonObject, Message, UserBlock } from "../../turn/message.ts";
import type { TurnRequest } from "../../turn/request.ts";

/** Newer tokenizers give up to this much more than the published one. */
const MARGIN = 1.35;
/** Letters that share a token, at the least: in a short word, in a long one (rare, or none at all), in capitals. */
const LETTERS_PER_TOKEN = 3;
const SHORT_WORD = 5;
const LETTERS_PER_TOKEN_LONG = 1.8;
const CAPITALS_PER_TOKEN = 1.5;
/** Blanks that share a token; a tab is worth two. */
const BLANKS_PER_TOKEN = 8;
/** Roles and separators around each message, and what surrounds one tool definition. */
const MESSAGE_TOKENS = 8;
const TOOL_TOKENS = 24;
/** The instructions that the API itself adds once there are tools. */
const TOOLS_TOKENS = 550;
const REQUEST_TOKENS = 8;
/** The API scales larger images down to this. */
const IMAGE_TOKENS = 4800;
/** Text and picture of one page of a pdf. */
const PAGE_TOKENS = IMAGE_TOKENS + 3000;
/** A page takes at least about this much of a file whose pages cannot be counted from outside. */
const BASE64_CHARS_PER_PAGE = 4000;

type Countable = Pick<TurnRequest, "system" | "messages" | "tools">;

/** At least the input tokens of the request, as the client wrote it. */
export function countTokens(request: Countable): number {
  let text = estimateText(request.system ?? "");
  let fixed = REQUEST_TOKENS + (request.tools.length > 0 ? TOOLS_TOKENS : 0);
  for (const tool of request.tools) {
    text += estimateText(tool.name) + estimateText(tool.description ?? "") + estimateJson(tool.inputSchema);
    fixed += TOOL_TOKENS;
  }
  for (const message of request.messages) {
    fixed += MESSAGE_TOKENS;
    const counted = countMessage(message);
    text += counted.text;
    fixed += counted.fixed;
  }
  return Math.ceil(text * MARGIN) + fixed;
}

interface Counted {
  text: number;
  fixed: number;
}

function countMessage(message: Message): Counted {
  const counted: Counted = { text: 0, fixed: 0 };
  if (message.role === "user") {
    for (const block of message.content) addUserBlock(counted, block);
    return counted;
  }
  for (const block of message.content) {
    if (block.type === "text" || block.type === "thinking") counted.text += estimateText(block.text);
    else if (block.type === "redacted-thinking") counted.text += block.data.length;
    else {
      counted.text += estimateText(block.name) + estimateJson(block.input);
      counted.fixed += TOOL_TOKENS;
    }
  }
  return counted;
}

function addUserBlock(counted: Counted, block: UserBlock): void {
  if (block.type === "text") counted.text += estimateText(block.text);
  else if (block.type === "image") counted.fixed += IMAGE_TOKENS;
  else if (block.type === "client-result") {
    counted.fixed += TOOL_TOKENS;
    for (const content of block.content) addUserBlock(counted, content);
  } else if (block.mediaType === "text/plain") {
    counted.text += estimateText(block.title ?? "") + estimateText(block.data);
    counted.fixed += MESSAGE_TOKENS;
  } else counted.fixed += Math.ceil(block.data.length / BASE64_CHARS_PER_PAGE) * PAGE_TOKENS;
}

function estimateJson(value: JsonObject): number {
  return estimateText(JSON.stringify(value));
}

const wordTokens = (letters: number) =>
  Math.ceil(letters / (letters > SHORT_WORD ? LETTERS_PER_TOKEN_LONG : LETTERS_PER_TOKEN));

/** Tokens of a character outside of ASCII. */
function charTokens(code: number): number {
  if (code < 0x590) return 1;
  if (code < 0x800) return 1.25;
  // Private use: nothing shares a token, three bytes are three.
  return code >= 0xe000 && code <= 0xf8ff ? 3 : 2.25;
}

/** Tokens of a text before the margin: one pass, no allocation. */
export function estimateText(text: string): number {
  let tokens = 0;
  let small = 0;
  let capitals = 0;
  let blanks = 0;
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position);
    const isSmall = code >= 0x61 && code <= 0x7a;
    const isCapital = code >= 0x41 && code <= 0x5a;
    // A word ends with its case too: `userName` is two. `User` is one.
    if (small > 0 && !isSmall) {
      tokens += wordTokens(small);
      small = 0;
    }
    if (capitals > 0 && !isCapital) {
      if (isSmall && capitals === 1) small = 1;
      else tokens += Math.ceil(capitals / CAPITALS_PER_TOKEN);
      capitals = 0;
    }
    if (code === 0x20 || code === 0x09) {
      blanks += code === 0x20 ? 1 : 2;
      continue;
    }
    // One blank belongs to the word after it; more are tokens of their own.
    if (blanks > 1) tokens += Math.ceil(blanks / BLANKS_PER_TOKEN);
    blanks = 0;
    if (isSmall) small++;
    else if (isCapital) capitals++;
    else tokens += code < 0x80 ? 1 : charTokens(code);
  }
  return tokens + wordTokens(small) + Math.ceil(capitals / CAPITALS_PER_TOKEN) + Math.ceil(blanks / BLANKS_PER_TOKEN);
}
