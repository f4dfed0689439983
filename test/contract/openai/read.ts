/** Reads chat completion streams as strictly as the strictest client does. */

export interface Chunk {
  choices: { index: number; delta: Record<string, unknown>; finish_reason: string | null }[];
  usage?: Record<string, unknown> | null;
  claude_code?: Record<string, unknown>;
  [key: string]: unknown;
}

/** The data of each frame. Throws where a frame is not one `data:` line and a blank one. */
export function framesOf(raw: string): string[] {
  if (!raw.endsWith("\n\n")) throw new Error("the stream ends inside a frame");
  return raw
    .slice(0, -2)
    .split("\n\n")
    .map((frame) => {
      if (!frame.startsWith("data: ") || frame.includes("\n") || frame.length === 6)
        throw new Error(`no frame: ${frame}`);
      return frame.slice(6);
    });
}

/** All chunks before `[DONE]`. */
export function chunksOf(raw: string): Chunk[] {
  return framesOf(raw)
    .filter((data) => data !== "[DONE]")
    .map((data) => JSON.parse(data) as Chunk);
}

/** All text, by the rules of chat completions: the role comes first, one choice, one finish. */
export function textOf(raw: string): string {
  let text = "";
  let finished = 0;
  for (const [index, chunk] of chunksOf(raw).entries()) {
    if (!Array.isArray(chunk.choices)) throw new Error("a chunk without choices");
    const [choice] = chunk.choices;
    if (index === 0 && choice?.delta.role !== "assistant") throw new Error("the role is not first");
    if (!choice) continue;
    if (choice.index !== 0 || typeof choice.delta !== "object" || choice.delta === null) throw new Error("no delta");
    if (finished > 0) throw new Error("a choice after the finish");
    if (choice.finish_reason !== null) finished++;
    text += choice.delta.content ?? "";
  }
  if (finished !== 1) throw new Error(`${finished} finish reasons`);
  return text;
}
