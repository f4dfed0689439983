/**
 * `bun bench/candidates.ts [ROUNDS]`: in which state a claude is best kept for a conversation that has not begun. Each candidate
 * takes its turn in every round; printed are medians from the request to the first text, in milliseconds, and what else the model
 * API received. What came of it stands in docs/performance.md, "How a process is started".
 */
import type { ClaudeFeatures } from "../src/claude/features.ts";
import { rehearse } from "../src/claude/rewind.ts";
import type { JsonObject } from "../src/turn/message.ts";
import { startAnthropicApi } from "../test/support/anthropic-api.ts";
import {
  type BareClaude,
  CHAT_ARGS,
  CLAUDE_FEATURES,
  createClaudeHome,
  startBareClaude,
} from "../test/support/claude.ts";
import { median } from "./statistics.ts";

const ROUNDS = Number(process.argv[2] ?? 7);
/** By then a claude has collected its garbage (docs/performance.md). */
const COLLECTS_AFTER_MS = 1_300;
const SYSTEM = { systemPrompt: ["You are a helper."] };
const ARGS = [...CHAT_ARGS, "--model=sonnet"];

interface Candidate {
  args?: string[];
  /** What is done ahead of need; without it the process is started for the request. */
  ready?(claude: BareClaude): Promise<unknown>;
  /** What must still be said when the request comes, right before its prompt. */
  late?(claude: BareClaude): void;
}

const initialize = (claude: BareClaude) => claude.control("initialize", SYSTEM);
const boot = (claude: BareClaude) => claude.control("apply_flag_settings", { settings: {} });
const prompt = async (claude: BareClaude, line: JsonObject) => {
  const from = claude.lines.length;
  const message = { role: "user", content: [{ type: "text", text: "." }] };
  claude.send({ type: "user", message, parent_tool_use_id: null, session_id: "", uuid: crypto.randomUUID(), ...line });
  await claude.turn(from);
};

async function rehearsed(claude: BareClaude, features: ClaudeFeatures): Promise<void> {
  await initialize(claude);
  await rehearse({
    control: async (subtype, payload) => (await claude.control(subtype, payload)).response ?? null,
    listen: (listener) => {
      const from = claude.lines.length;
      if (listener) void claude.turn(from).then(([...lines]) => listener.message(lines.at(-1) ?? never()));
    },
    prompt: async (_, { uuid = "", unanswered = false }) => {
      await prompt(claude, { uuid, ...(unanswered ? { shouldQuery: false } : {}) });
      return uuid;
    },
    features,
  });
}

const CANDIDATES: Record<string, Candidate> = {
  "cold, `initialize` and prompt in one write": { late: (claude) => void initialize(claude) },
  "booted, then initialized late": { ready: boot, late: (claude) => void initialize(claude) },
  "parked with `--await-claim`, initialized, then claimed": {
    args: ["--await-claim"],
    ready: initialize,
    late: (claude) => void claude.control("claim_session", { cwd: process.cwd(), include_initialize: false }),
  },
  "initialized ahead": { ready: initialize },
  "initialized, `/cost` before": {
    ready: async (claude) => {
      await initialize(claude);
      await prompt(claude, { message: { role: "user", content: "/cost" } });
    },
  },
  "initialized, tokens counted before": {
    ready: async (claude) => {
      await initialize(claude);
      await claude.control("get_context_usage");
    },
  },
  "initialized and rehearsed": { ready: (claude) => rehearsed(claude, CLAUDE_FEATURES) },
  "initialized and rehearsed, as before 2.1.330": {
    ready: (claude) => rehearsed(claude, { ...CLAUDE_FEATURES, refusesByLimit: false }),
  },
  "later turns": {
    ready: async (claude) => {
      await initialize(claude);
      for (let turn = 0; turn < 3; turn++) await prompt(claude, {});
    },
  },
};

function never(): never {
  throw new Error("a turn without lines");
}

/** From the request to the first text. */
async function measure({ args = [], ready, late }: Candidate, apiUrl: string): Promise<number> {
  await using home = await createClaudeHome();
  const start = () => startBareClaude({ home, apiUrl, args: [...ARGS, ...args] });
  const begin = performance.now();
  await using claude = start();
  await ready?.(claude);
  if (ready) await Bun.sleep(COLLECTS_AFTER_MS);
  const asked = ready ? performance.now() : begin;
  const from = claude.lines.length;
  late?.(claude);
  claude.prompt([{ type: "text", text: "Say something." }]);
  await claude.waitForLine((line) => JSON.stringify(line).includes('"text_delta"'), from);
  return performance.now() - asked;
}

const api = startAnthropicApi();
const times = new Map<string, number[]>();
const besides = new Map<string, number>();
for (let round = 0; round < ROUNDS + 1; round++) {
  for (const [name, candidate] of Object.entries(CANDIDATES)) {
    const before = api.others.length;
    const ms = await measure(candidate, api.url);
    // The first round is for the caches of files.
    if (round === 0) continue;
    times.set(name, [...(times.get(name) ?? []), ms]);
    besides.set(name, api.others.length - before);
  }
}
await api[Symbol.asyncDispose]();
for (const [name, list] of times) {
  const others = besides.get(name) ?? 0;
  process.stdout.write(
    `${median(list).toFixed(0).padStart(4)} ms (${Math.min(...list).toFixed(0)}-${Math.max(...list).toFixed(0)})  ${name}${others === 0 ? "" : `, and ${others} requests to the model API`}\n`,
  );
}
