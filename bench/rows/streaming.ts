/** Events per second through the daemon beside the bare process, and what a reader that does not read costs. */
import { connect } from "node:net";
import { Conversation, chat } from "../client.ts";
import type { Place } from "../place.ts";
import { cpuSeconds, memoryOf } from "../proc.ts";
import { median, quantile, type Row } from "../statistics.ts";

const MODEL = "sonnet";
const SYSTEM = "You are a helper.";
const EVENT_OF_BARE = Buffer.from('"text_delta"');
const EVENT_OF_DAEMON = Buffer.from('"content":"t');
/** How long the slow reader reads nothing, and how often memory is looked at. */
const STALL_MS = 8_000;
const LOOK_EVERY_MS = 250;

/** Counts by whole chunks; what a boundary splits is one in thousands. */
function count(chunk: Uint8Array, what: Buffer): number {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  let found = 0;
  for (let at = bytes.indexOf(what); at !== -1; at = bytes.indexOf(what, at + what.length)) found++;
  return found;
}

/** Events per second between the first chunk and the last. */
function meter(what: Buffer) {
  let first = 0;
  let last = 0;
  let events = 0;
  let inFirst = 0;
  return {
    add: (chunk: Uint8Array) => {
      const found = count(chunk, what);
      if (found === 0) return;
      last = performance.now();
      if (events === 0) {
        first = last;
        inFirst = found;
      }
      events += found;
    },
    perSecond: () => ((events - inFirst) / (last - first)) * 1000,
    events: () => events,
  };
}

export async function streaming(place: Place, events: number, rounds: number): Promise<Row> {
  const daemon = await place.startDaemon();
  const rates = { daemon: [] as number[], bare: [] as number[] };
  const cpu: number[] = [];
  for (let round = 0; round < rounds + 1; round++) {
    // Conversations of their own each time, on both sides: nobody should have to carry the answer before.
    const bare = await place.startBare({ model: MODEL });
    await bare.initialize(SYSTEM);
    await bare.turn("Begin.");
    const conversation = new Conversation(daemon.url, MODEL, SYSTEM);
    await conversation.turn("Begin.");
    await daemon.settled();
    const bareMeter = meter(EVENT_OF_BARE);
    bare.watch(bareMeter.add);
    const ours = meter(EVENT_OF_DAEMON);
    const prompt = `Round ${round} deltas=${events}`;
    const work = [
      () => bare.turn(prompt),
      async () => {
        const before = cpuSeconds(daemon.pid);
        const messages = [...conversation.messages, { role: "user" as const, content: prompt }];
        await chat(daemon.url, MODEL, messages, { watch: ours.add });
        if (round > 0) cpu.push(((cpuSeconds(daemon.pid) - before) * 1e6) / events);
      },
    ];
    for (const one of round % 2 === 0 ? work : work.toReversed()) await one();
    await bare.end();
    if (ours.events() < events * 0.99) throw new Error(`${ours.events()} of ${events} events came`);
    if (round === 0) continue;
    rates.bare.push(bareMeter.perSecond());
    rates.daemon.push(ours.perSecond());
  }
  await daemon.stop();
  const share = median(rates.daemon) / median(rates.bare);
  const thousands = (values: number[]) =>
    `${(median(values) / 1000).toFixed(1)} k/s (${(quantile(values, 0.1) / 1000).toFixed(1)}-${(quantile(values, 0.9) / 1000).toFixed(1)})`;
  return {
    what: "streaming",
    target: "≥ 90 % of the bare process's events per second",
    measured: `${thousands(rates.daemon)}: ${(share * 100).toFixed(0)} % of ${thousands(rates.bare)}; ${median(cpu).toFixed(1)} µs of the daemon's CPU an event`,
    verdict: share >= 0.9 ? "met" : "missed",
  };
}

/** A client that asks for a long answer and does not read it. */
export async function slowReader(place: Place, events: number): Promise<Row> {
  const daemon = await place.startDaemon();
  // Long answers read at full speed first: what the runtime keeps for itself is not the slow reader's.
  for (let index = 0; index < 2; index++) {
    await new Conversation(daemon.url, MODEL, `${SYSTEM} ${index}`).turn("Much.", events);
  }
  await daemon.settled();
  // Without the pages of the binary's file: which of those are mapped says nothing of the reader.
  const before = memoryOf(daemon.pid).anonymousMb;
  const { hostname, port } = new URL(daemon.url);
  const body = JSON.stringify({
    model: MODEL,
    stream: true,
    messages: [{ role: "user", content: `Much. deltas=${events}` }],
  });
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  socket.on("data", () => {
    socket.pause();
    begin();
  });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: ${hostname}:${port}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  socket.write(head + body);
  await begun;
  const seen: number[] = [];
  for (let waited = 0; waited < STALL_MS; waited += LOOK_EVERY_MS) {
    await Bun.sleep(LOOK_EVERY_MS);
    seen.push(memoryOf(daemon.pid).anonymousMb);
  }
  // A turn that ended meanwhile would say that somebody swallowed it.
  const { busy } = (await daemon.health()).processes;
  socket.destroy();
  await daemon.stop();
  const quarter = seen.length >> 2;
  const growth = median(seen.slice(-quarter)) - median(seen.slice(quarter, 2 * quarter));
  const over = Math.max(...seen) - before;
  return {
    what: `memory while a reader of ${events / 1000} k events does not read`,
    target: "flat",
    measured: `${growth.toFixed(1)} MB from the second ${STALL_MS / 4000} s to the last; at most ${over.toFixed(1)} MB over the ${before.toFixed(0)} MB before${busy === 1 ? "" : " (the turn did not wait)"}`,
    verdict: growth <= 1 && over <= 16 && busy === 1 ? "met" : "missed",
  };
}
