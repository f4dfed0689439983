/** What a full store changes: 10,000 sessions and a million events, beside an empty one. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createLogger } from "../../src/log.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import { Conversation } from "../client.ts";
import type { Daemon, Place } from "../place.ts";
import { median, type Row } from "../statistics.ts";

const SESSIONS = 10_000;
const EVENTS_EACH = 100;
const MODEL = "sonnet";
const STATE = [".local", "state", "claude-code-daemon"];
/** Writes between two commits of the seed. */
const BATCH = 20;
/** One after the other: a claude is 5 to 10 % faster or slower than the next, one of constant pace is not. */
const CONVERSATIONS = { real: 12, steady: 6 };
/** Rounds from one new chat to the next. */
const NEW_CHAT_EVERY = 4;

async function seed(home: string): Promise<void> {
  const directory = join(home, ...STATE);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const log = createLogger({ level: "error", timestamps: false });
  const store = openSqliteStore({ path: join(directory, "daemon.sqlite"), log });
  const at = Date.now() - 86_400_000;
  const usage = { inputTokens: 10, outputTokens: 10, cacheReadTokens: 0, cacheWriteTokens: 0 };
  for (let index = 0; index < SESSIONS; index++) {
    const id = `ses_bench${String(index).padStart(20, "0")}`;
    const turnId = `trn_bench${String(index).padStart(20, "0")}`;
    store.sessions.put({
      id,
      workspace: join(home, "work"),
      model: "claude-code",
      permissionMode: "acceptEdits",
      origin: "stateless",
      claudeSessionId: crypto.randomUUID(),
      forkPending: false,
      title: `Session ${index}`,
      createdAt: at,
      lastActiveAt: at + index,
      closedAt: undefined,
      turns: 1,
      usage,
      costUsd: 0.01,
      options: {},
    });
    store.turns.put({
      id: turnId,
      sessionId: id,
      number: 1,
      status: "completed",
      prompt: "Say something.",
      content: "tok ".repeat(50),
      model: "claude",
      createdAt: at,
      startedAt: at,
      endedAt: at,
      reason: "end",
      rawReason: "end_turn",
      usage,
      costUsd: 0.01,
      numTurns: 1,
      filesChanged: [],
      permissionDenials: [],
      error: undefined,
    });
    for (let seq = 1; seq <= EVENTS_EACH; seq++) {
      const event = { type: "code_delta", turn_id: turnId, text: "tok ".repeat(10) };
      store.events.append(id, { seq, firstSeq: seq, at, event, cuts: undefined });
    }
    for (let depth = 0; depth < 2; depth++) {
      const data = { session: id, depth };
      store.prefixes.put({ hash: Bun.hash(`${id} ${depth}`).toString(16), owner: id, data, usedAt: at });
    }
    if (index % BATCH === 0) await store.flush();
  }
  await store.close();
}

type Times = Record<"newChat" | "continued" | "agent", number[]>;

interface Homes {
  empty: string;
  full: string;
}

/** Homes of two daemons; the full one is seeded. */
export async function makeStores(place: Place): Promise<Homes> {
  const full = place.directory("full");
  await seed(full);
  return { empty: place.directory("empty"), full };
}

/** Both daemons run at the same time and take turns, so that a busy moment hits both. */
export async function fullStore(place: Place, homes: Homes, rounds: number, claude?: string): Promise<Row> {
  const withClaude = claude === undefined ? {} : { claude };
  const count = claude === undefined ? CONVERSATIONS.real : CONVERSATIONS.steady;
  const starts = { empty: [] as number[], full: [] as number[] };
  for (let round = 0; round < Math.min(rounds, 10); round++) {
    for (const kind of ["empty", "full"] as const) {
      const daemon = await place.startDaemon({ home: homes[kind], warm: false, ...withClaude });
      starts[kind].push(daemon.startMs);
      await daemon.stop();
    }
  }
  const daemons = {
    empty: await place.startDaemon({ home: homes.empty, ...withClaude }),
    full: await place.startDaemon({ home: homes.full, ...withClaude }),
  };
  const times: Record<"empty" | "full", Times> = {
    empty: { newChat: [], continued: [], agent: [] },
    full: { newChat: [], continued: [], agent: [] },
  };
  let conversations = { empty: await open(daemons.empty), full: await open(daemons.full) };
  for (let round = 0; round < rounds; round++) {
    if (round > 0 && round % Math.ceil(rounds / count) === 0)
      conversations = { empty: await open(daemons.empty), full: await open(daemons.full) };
    // The order changes from round to round, and from one new chat to the next.
    const emptyFirst = (round + Math.floor(round / NEW_CHAT_EVERY)) % 2 === 0;
    for (const kind of emptyFirst ? (["empty", "full"] as const) : (["full", "empty"] as const)) {
      const { chat, agent } = conversations[kind];
      times[kind].continued.push((await chat.turn(`Turn ${round}.`)).totalMs);
      times[kind].agent.push((await agent.turn(`Turn ${round}.`)).totalMs);
      if (round % NEW_CHAT_EVERY !== 0) continue;
      await daemons.empty.settled();
      await daemons.full.settled();
      const fresh = new Conversation(daemons[kind].url, MODEL, `Number ${round}.`);
      times[kind].newChat.push((await fresh.turn("Say something.")).firstMs);
    }
  }
  await daemons.empty.stop();
  await daemons.full.stop();
  const compare = (name: string, empty: number[], fullTimes: number[]) => {
    const difference = (median(fullTimes) / median(empty) - 1) * 100;
    return { text: `${name} ${difference >= 0 ? "+" : ""}${difference.toFixed(0)} %`, difference };
  };
  // How a stand-in starts says nothing; its turns do.
  const starting = [
    compare("start", starts.empty, starts.full),
    compare("new chat", times.empty.newChat, times.full.newChat),
  ];
  const found = [
    ...(claude === undefined ? starting : []),
    compare("chat turn", times.empty.continued, times.full.continued),
    compare("agent turn", times.empty.agent, times.full.agent),
  ];
  const agentMs = `${median(times.empty.agent).toFixed(1)} ms empty, ${median(times.full.agent).toFixed(1)} ms full`;
  const size = `${SESSIONS / 1000} k stored sessions, ${(SESSIONS * EVENTS_EACH) / 1e6} M events`;
  return {
    what: claude === undefined ? size : "… beside a claude of constant pace",
    target: "≤ 10 % difference",
    measured: `${found.map(({ text }) => text).join(", ")} (agent turn ${agentMs})`,
    verdict: found.every(({ difference }) => difference <= 10) ? "met" : "missed",
  };
}

interface Open {
  chat: Conversation;
  agent: Conversation;
}

async function open(daemon: Daemon): Promise<Open> {
  const chat = new Conversation(daemon.url, MODEL, "You are a helper.");
  const agent = new Conversation(daemon.url, "claude-code");
  for (let turn = 0; turn < 3; turn++) {
    await chat.turn(`Warm ${turn}.`);
    await agent.turn(`Warm ${turn}.`);
  }
  await daemon.settled();
  return { chat, agent };
}
