/** First token of new chats, of chats that go on, and of those whose process was stopped meanwhile. */
import { Conversation, chat } from "../client.ts";
import type { Daemon, Place } from "../place.ts";
import { descendants, stateOf } from "../proc.ts";
import { atMost, fraction, median, quantile, type Row, spread, standardError } from "../statistics.ts";

const MODEL = "sonnet";
const PROFILE = "You are the assistant of this application. Answer briefly.";
/** By then a claude that has booted or done its first turn has collected its garbage (docs/performance.md). */
const COLLECTS_AFTER_MS = 1_300;
/** Longest wait for the daemon to stop its idle processes, one second after their last use. */
const STOP_WAIT_MS = 15_000;

export interface FirstTokens {
  rows: Row[];
  /** Medians in milliseconds, for rows that compare with them. */
  oneShotMs: number;
}

interface Times {
  oneShot: number[];
  daemon: number[];
  bare: number[];
}

const rowOf = (what: string, { oneShot, daemon, bare }: Times, limits: { oneShot: number; bare?: number }): Row => {
  const ratio = median(daemon) / median(oneShot);
  const overBare = median(daemon) / median(bare);
  const met = ratio <= limits.oneShot && (limits.bare === undefined || overBare <= limits.bare);
  const beside = limits.bare === undefined ? "" : `, ≤ ${limits.bare} × bare`;
  return {
    what,
    target: `≤ ${fraction(limits.oneShot).replace(".0", "")} of \`claude -p\`${beside}`,
    measured: `${spread(daemon)}: ${fraction(ratio)} of ${spread(oneShot)}; ${overBare.toFixed(2)} × bare ${spread(bare)}`,
    verdict: met ? "met" : "missed",
  };
};

/** One daemon and bare processes take turns with `claude -p`, so that a busy moment hits all of them. */
export async function firstTokens(place: Place, rounds: number): Promise<FirstTokens> {
  const daemon = await place.startDaemon();
  const oneShot: number[] = [];
  const warm: Times = { oneShot, daemon: [], bare: [] };
  const profile: Times = { oneShot, daemon: [], bare: [] };
  for (let round = 0; round < rounds + 1; round++) {
    const before = round === 0 ? undefined : oneShot;
    const systemPrompt = `You are a helper. Number ${round}.`;
    const once = (await place.oneShot("Say something.")).firstMs;
    // The daemon's spare has the model of the last chat.
    const bare = await place.startBare({ model: MODEL });
    await daemon.settled();
    const bareMs = (await bare.turn("Say something.", { systemPrompt })).firstMs;
    await bare.end();
    await daemon.settled();
    const daemonMs = (await new Conversation(daemon.url, MODEL, systemPrompt).turn("Say something.")).firstMs;
    const ready = await place.startBare({ model: MODEL });
    await ready.initialize(PROFILE);
    await daemon.settled();
    const readyMs = (await ready.turn("Say something.")).firstMs;
    await ready.end();
    // Twice before it counts: then a process is kept for this profile.
    if (round === 0) await new Conversation(daemon.url, MODEL, PROFILE).turn("Say something.");
    await daemon.settled();
    const profileMs = (await new Conversation(daemon.url, MODEL, PROFILE).turn("Say something.")).firstMs;
    // The first round is for caches, of files and of homes.
    if (!before) continue;
    before.push(once);
    warm.bare.push(bareMs);
    warm.daemon.push(daemonMs);
    profile.bare.push(readyMs);
    profile.daemon.push(profileMs);
  }
  const { misses } = (await daemon.health()).pool;
  await daemon.stop();
  const rows = [
    rowOf("first token, new chat, warm pool", warm, { oneShot: 1 / 4, bare: 1.15 }),
    rowOf("… with a pre-initialized profile", profile, { oneShot: 1 / 6, bare: 1.15 }),
  ];
  if (misses > 1) rows.push(unexpected("new chats that found no spare", misses - 1));
  return { rows, oneShotMs: median(oneShot) };
}

const unexpected = (what: string, count: number): Row => ({
  what,
  target: "none",
  measured: String(count),
  verdict: "missed",
});

interface TurnTimes {
  first: { daemon: number[]; bare: number[] };
  total: { daemon: number[]; bare: number[] };
  /** First tokens of the daemon in those of the bare process, for each conversation: how much one claude is like the next. */
  ratios: number[];
  /** Requests that found no process. */
  misses: number;
}

/** Turns of conversations that go on, alternating between the daemon and a bare process. */
async function turnTimes(place: Place, conversations: number, each: number, claude?: string): Promise<TurnTimes> {
  const daemon = await place.startDaemon(claude === undefined ? {} : { claude });
  const first = { daemon: [] as number[], bare: [] as number[] };
  const total = { daemon: [] as number[], bare: [] as number[] };
  const ratios: number[] = [];
  for (let index = 0; index < conversations; index++) {
    const before = first.daemon.length;
    const conversation = new Conversation(daemon.url, MODEL, `You are a helper. Number ${index}.`);
    const bare = await place.startBare({ model: MODEL }, claude);
    await bare.initialize(`You are a helper. Number ${index}.`);
    await conversation.turn("Begin.");
    await bare.turn("Begin.");
    await daemon.settled();
    // The new spare and the two processes that have begun: a tenth of a second of a core each, on no turn's account.
    await Bun.sleep(COLLECTS_AFTER_MS);
    await daemon.settled();
    for (let turn = 0; turn < each; turn++) {
      // Each begins every other time: what the one before still does after its turn falls on both alike.
      const oursFirst = turn % 2 === 0 ? await conversation.turn(`Turn ${turn}.`) : undefined;
      const bares = await bare.turn(`Turn ${turn}.`);
      const ours = oursFirst ?? (await conversation.turn(`Turn ${turn}.`));
      // The second and third turns of a process are slower than the rest, on both sides.
      if (turn < 3) continue;
      first.daemon.push(ours.firstMs);
      first.bare.push(bares.firstMs);
      total.daemon.push(ours.totalMs);
      total.bare.push(bares.totalMs);
    }
    await bare.end();
    ratios.push(median(first.daemon.slice(before)) / median(first.bare.slice(before)));
  }
  const { misses } = (await daemon.health()).pool;
  await daemon.stop();
  return { first, total, ratios, misses };
}

/** What a turn of the daemon took longer than one of the bare process: of the medians, and of the p99. */
function added({ total }: TurnTimes): { typicalMs: number; lateMs: number; text: string } {
  const typicalMs = median(total.daemon) - median(total.bare);
  const lateMs = quantile(total.daemon, 0.99) - quantile(total.bare, 0.99);
  const count = total.daemon.length;
  return {
    typicalMs,
    lateMs,
    text: `${typicalMs.toFixed(2)} ms median, ${lateMs.toFixed(2)} ms p99 (${count} turns each)`,
  };
}

/** Many conversations rather than long ones: one claude is faster or slower than the next for all its life. */
export async function turns(place: Place, conversations: number, each: number, oneShotMs: number): Promise<Row[]> {
  const real = await turnTimes(place, conversations, each);
  const { first, ratios, misses } = real;
  const ratio = median(first.daemon) / oneShotMs;
  const overBare = median(first.daemon) / median(first.bare);
  const { typicalMs, text } = added(real);
  const rows: Row[] = [
    {
      what: "first token, conversation continued by a stateless client",
      target: "≤ 1/15 of `claude -p`, ≤ 1.1 × bare",
      measured: `${spread(first.daemon)}: ${fraction(ratio)}; ${overBare.toFixed(2)} × bare ${spread(first.bare)}; by conversation ${quantile(ratios, 0.1).toFixed(2)}-${quantile(ratios, 0.9).toFixed(2)}, ± ${standardError(ratios).toFixed(3)}`,
      verdict: ratio <= 1 / 15 && overBare <= 1.1 ? "met" : "missed",
    },
    {
      what: "what the daemon adds to a turn",
      target: "≤ 2 ms median (p99: next row)",
      measured: text,
      verdict: atMost(typicalMs, 2),
    },
  ];
  if (misses > 1) rows.push(unexpected("conversations that lost their process", misses - 1));
  return rows;
}

/** The same with a claude of constant pace: there the late turns are the daemon's own. */
export async function steadyTurns(place: Place, conversations: number, each: number): Promise<Row> {
  const times = await turnTimes(place, conversations, each, place.steadyClaude);
  const { typicalMs, lateMs, text } = added(times);
  const firstMs = median(times.first.daemon) - median(times.first.bare);
  return {
    what: "… beside a claude of constant pace",
    target: "≤ 2 ms median, ≤ 5 ms p99",
    measured: `${text}; ${firstMs.toFixed(2)} ms to the first token`,
    verdict: typicalMs <= 2 && lateMs <= 5 ? "met" : "missed",
  };
}

async function stopped(daemon: Daemon): Promise<void> {
  const until = performance.now() + STOP_WAIT_MS;
  const isClaude = (pid: number) => stateOf(pid) === "T";
  while (performance.now() < until) {
    const below = descendants(daemon.pid);
    const live = (await daemon.health()).processes.live;
    if (below.filter(isClaude).length >= live) return;
    await Bun.sleep(100);
  }
  throw new Error("the daemon did not stop its idle processes");
}

/** Conversations whose processes were stopped for want of use, and woken by the next turn. */
export async function afterStop(place: Place, conversations: number, oneShotMs: number): Promise<Row> {
  const daemon = await place.startDaemon({ env: { CLAUDE_CODE_DAEMON_LIMITS_SUSPEND_AFTER_SECONDS: "1" } });
  const started: Conversation[] = [];
  for (let index = 0; index < conversations; index++) {
    const conversation = new Conversation(daemon.url, MODEL, `You are a helper. Number ${index}.`);
    for (let turn = 0; turn < 3; turn++) await conversation.turn("Go on.");
    started.push(conversation);
  }
  await daemon.settled();
  await stopped(daemon);
  const times: number[] = [];
  for (const conversation of started) times.push((await conversation.turn("And now?")).firstMs);
  await daemon.stop();
  const ratio = median(times) / oneShotMs;
  return {
    what: "first token, continued after a stop",
    target: "≤ 1/8 of `claude -p`",
    measured: `${spread(times)}: ${fraction(ratio)}`,
    verdict: atMost(ratio, 1 / 8),
  };
}

/** The last question of a conversation, asked again: its process is taken back to before it. */
export async function askedAgain(place: Place, conversations: number, oneShotMs: number): Promise<Row> {
  const daemon = await place.startDaemon();
  const times: number[] = [];
  for (let index = 0; index < conversations; index++) {
    const conversation = new Conversation(daemon.url, MODEL, `You are a helper. Number ${index}.`);
    for (let turn = 0; turn < 3; turn++) await conversation.turn("Go on.");
    await daemon.settled();
    for (let turn = 0; turn < 3; turn++) times.push((await conversation.again()).firstMs);
  }
  const { misses } = (await daemon.health()).pool;
  await daemon.stop();
  const ratio = median(times) / oneShotMs;
  const lost = misses > 1 ? `; ${misses - 1} lost their process` : "";
  return {
    what: "first token, a question asked again",
    target: "≤ 1/8 of `claude -p`",
    measured: `${spread(times)}: ${fraction(ratio)}${lost}`,
    verdict: lost === "" ? atMost(ratio, 1 / 8) : "missed",
  };
}

/** New chats that come all at once, with the default spares, and as many `claude -p` at once. */
export async function burst(place: Place, size: number, rounds: number): Promise<Row> {
  const daemon = await place.startDaemon();
  const times = { daemon: [] as number[], oneShot: [] as number[] };
  let failed = 0;
  const wall = async (work: (index: number) => Promise<unknown>) => {
    const start = performance.now();
    const results = await Promise.allSettled(Array.from({ length: size }, (_, index) => work(index)));
    const bad = results.filter((result) => result.status === "rejected").length;
    return { ms: performance.now() - start, bad };
  };
  for (let round = 0; round < rounds; round++) {
    await daemon.settled();
    const once = await wall(() => place.oneShot("Say something."));
    await daemon.settled();
    const system = (index: number) => ({ role: "system" as const, content: `Round ${round}, chat ${index}.` });
    const ours = await wall((index) => chat(daemon.url, MODEL, [system(index), { role: "user", content: "Hi." }]));
    failed += ours.bad;
    times.oneShot.push(once.ms);
    times.daemon.push(ours.ms);
  }
  await daemon.stop();
  const ratio = median(times.daemon) / median(times.oneShot);
  return {
    what: `${size} new chats at once`,
    target: `≤ 3/4 of ${size} × \`claude -p\`, none failed`,
    measured: `${spread(times.daemon)}: ${ratio.toFixed(2)} of ${spread(times.oneShot)}; ${failed} failed`,
    verdict: ratio <= 0.75 && failed === 0 ? "met" : "missed",
  };
}
