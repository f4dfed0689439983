/** A client of the daemon as lean as the bare driver: it looks for the first piece of text and for the end. */

/** What the API answers with, again and again. */
export const ANSWER_PIECE = "tok ";

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Timing {
  firstMs: number;
  totalMs: number;
}

const FIRST_TEXT = /"content":"[^"]/;
const decoder = new TextDecoder();

/** One streamed chat completion, from the call to its last byte. Throws where it fails. */
export async function chat(
  url: string,
  model: string,
  messages: readonly ChatMessage[],
  more: Record<string, unknown> = {},
): Promise<Timing> {
  const body = JSON.stringify({ model, messages, stream: true, ...more });
  const start = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  if (!response.ok || !response.body) throw new Error(`${response.status}: ${await response.text()}`);
  let firstMs: number | undefined;
  let done = false;
  for await (const chunk of response.body) {
    const text = decoder.decode(chunk);
    if (firstMs === undefined && FIRST_TEXT.test(text)) firstMs = performance.now() - start;
    if (text.includes("data: [DONE]")) done = true;
  }
  const totalMs = performance.now() - start;
  if (firstMs === undefined || !done) throw new Error("the answer had no text or no end");
  return { firstMs, totalMs };
}

/** A conversation whose history this side keeps, as every stateless client does. */
export class Conversation {
  readonly messages: ChatMessage[] = [];

  constructor(
    private readonly url: string,
    private readonly model: string,
    system?: string,
    private readonly more: Record<string, unknown> = {},
  ) {
    if (system !== undefined) this.messages.push({ role: "system", content: system });
  }

  async turn(prompt: string, deltas = 8): Promise<Timing> {
    this.messages.push({ role: "user", content: `${prompt} deltas=${deltas}` });
    const timing = await chat(this.url, this.model, this.messages, this.more);
    this.messages.push({ role: "assistant", content: ANSWER_PIECE.repeat(deltas) });
    return timing;
  }
}
