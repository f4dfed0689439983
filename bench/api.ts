/**
 * A model API that answers at once, as a process of its own (`bun bench/api.ts`; prints its port): so lean that it is
 * never what is measured. A prompt that says `deltas=N` is answered with N pieces of text, else with 8.
 */
import { ANSWER_PIECE } from "./client.ts";

const DEFAULT_DELTAS = 8;
const bodies = new Map<number, string>();
let count = 0;

const frame = (event: { type: string }) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

/** Everything after `message_start`, made once for each length. */
function bodyOf(deltas: number): string {
  let body = bodies.get(deltas);
  if (body !== undefined) return body;
  const delta = { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: ANSWER_PIECE } };
  const end = { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null } };
  body =
    frame({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } } as { type: string }) +
    frame(delta).repeat(deltas) +
    frame({ type: "content_block_stop", index: 0 } as { type: string }) +
    frame({ ...end, usage: { output_tokens: deltas } } as { type: string }) +
    frame({ type: "message_stop" });
  bodies.set(deltas, body);
  return body;
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  development: false,
  maxRequestBodySize: 256 * 1024 * 1024,
  fetch: async (request) => {
    if (request.method !== "POST") return new Response(null, { status: 404 });
    const body = await request.text();
    if (request.url.includes("count_tokens")) return Response.json({ input_tokens: body.length >> 2 });
    // The last one: a history holds the older prompts too.
    const asked = /^deltas=(\d+)/.exec(body.slice(body.lastIndexOf("deltas="), body.length));
    const deltas = asked ? Number(asked[1]) : DEFAULT_DELTAS;
    const usage = { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
    const model = /"model":"([^"]+)"/.exec(body)?.[1] ?? "claude";
    const head = { id: `msg_bench_${++count}`, type: "message", role: "assistant", model, content: [] };
    if (!body.includes('"stream":true')) {
      const content = [{ type: "text", text: ANSWER_PIECE.repeat(deltas) }];
      return Response.json({ ...head, content, stop_reason: "end_turn", stop_sequence: null, usage });
    }
    const start = { type: "message_start", message: { ...head, stop_reason: null, stop_sequence: null, usage } };
    const headers = { "content-type": "text/event-stream", "request-id": `req_bench_${count}` };
    return new Response(frame(start) + bodyOf(deltas), { headers });
  },
});
process.stdout.write(`${server.port}\n`);
