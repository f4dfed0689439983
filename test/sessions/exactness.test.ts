/**
 * Whatever a stateless client does with its histories, and whichever process carries a turn: the model API receives
 * exactly the client's history. Random continuations, regenerations, edits and inventions, side by side, with answers
 * that end well or badly.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Message } from "../../src/turn/message.ts";
import { type ApiRequest, lastUserMessage, textOf, WORD_JOINER } from "../support/anthropic-api.ts";
import { apiError, message, type Reply, text, textBlock } from "../support/api-reply.ts";
import { apiHistory, historyOf, systemOf } from "../support/history.ts";
import { asHistory, type Running, said, startEngine, user } from "./harness.ts";

type Ending = "end" | "length" | "error" | "leave" | "stop";
type Step =
  | { kind: "new"; words: string }
  | { kind: "continue"; pick: number; words: string }
  | { kind: "edit"; pick: number; at: number; words: string }
  | { kind: "again"; pick: number; at: number }
  | { kind: "invented"; words: string[] };
interface Action {
  step: Step;
  ending: Ending;
}

interface Conversation {
  system: string | undefined;
  messages: Message[];
}

const SYSTEMS = [undefined, "Be brief.", "Be kind."];
/** Long texts too: what is new must not be cut, and nothing may be remembered from elsewhere. */
const words = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
  fc.constantFrom(
    "/help",
    "@README.md see",
    "!ls",
    "# x",
    "ultrathink",
    "  spaced  ",
    "a\n\nb",
    "--flag",
    "x".repeat(5000),
  ),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("new" as const), words }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("continue" as const), pick: fc.nat(), words }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("edit" as const), pick: fc.nat(), at: fc.nat(), words }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("again" as const), pick: fc.nat(), at: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("invented" as const),
      words: fc.array(words, { minLength: 3, maxLength: 5 }).filter((list) => list.length % 2 === 1),
    }),
  },
);
const ending: fc.Arbitrary<Ending> = fc.oneof(
  { weight: 6, arbitrary: fc.constant("end" as const) },
  { weight: 1, arbitrary: fc.constantFrom<Ending>("length", "error", "leave", "stop") },
);
const rounds = fc.array(fc.array(fc.record({ step, ending }), { minLength: 1, maxLength: 3 }), {
  minLength: 2,
  maxLength: 4,
});

/** Marks a request, so that it is found again at the API whatever else runs. */
let turnCount = 0;

class Client {
  readonly conversations: Conversation[] = [];

  constructor(private readonly running: Running) {}

  async act({ step: what, ending: how }: Action): Promise<void> {
    const mark = `(turn ${++turnCount})`;
    const conversation = this.prepare(what, mark);
    const { system, messages } = conversation;
    const endings: Record<Ending, Reply> = {
      end: text(["fine ", mark]),
      length: message([textBlock(`cut ${mark}`)], { stopReason: "max_tokens" }),
      error: apiError(400, "no such thing"),
      leave: text(["going ", mark, " on"]),
      stop: text(["before STOP after ", mark]),
    };
    replies.set(mark, endings[how]);
    const request = { ...(system === undefined ? {} : { system }), messages };
    if (how === "error") {
      expect(await this.running.answer(request).catch(({ code }: { code: string }) => code)).toBe("invalid_request");
    } else if (how === "leave") {
      for await (const event of this.running.ask(request)) if (event.type === "text-delta") break;
    } else {
      const output = how === "stop" ? { stop: ["STOP"] } : {};
      const answer = await this.running.answer({ ...request, output });
      this.conversations.push({ system, messages: [...messages, asHistory(answer)] });
    }
    const seen = this.running.api.requests.filter((one) => textOf(lastUserMessage(one)).includes(mark));
    // The CLI asks again after a 400; each time it must be the same.
    if (how === "error") expect(seen.length).toBeGreaterThan(0);
    else expect(seen).toHaveLength(1);
    for (const one of seen) {
      expect(historyOf(one)).toEqual(apiHistory(messages));
      expect(systemOf(one)).toBe(system ?? "");
    }
    // Whatever went wrong, the client may go on from what it sent.
    if (how === "error" || how === "leave")
      this.conversations.push({ system, messages: [...messages, said("gave up")] });
  }

  private prepare(what: Step, mark: string): Conversation {
    const ask = (content: string) => user(content, mark);
    const fresh = {
      system: SYSTEMS[turnCount % SYSTEMS.length],
      messages: [ask("words" in what ? String(what.words) : "hi")],
    };
    if (what.kind === "new") return fresh;
    if (what.kind === "invented") {
      const messages = what.words.map((content, index) =>
        index % 2 === 1 ? said(content) : index === what.words.length - 1 ? ask(content) : user(content),
      );
      return { system: fresh.system, messages };
    }
    const base = this.conversations[what.pick % Math.max(1, this.conversations.length)];
    if (!base) return fresh;
    const { system } = base;
    if (what.kind === "continue") return { system, messages: [...base.messages, ask(what.words)] };
    // One of its questions again, or another one in its place.
    const before = base.messages.slice(0, 2 * (what.at % (base.messages.length / 2)));
    return { system, messages: [...before, ask(what.kind === "edit" ? what.words : "again")] };
  }
}

const replies = new Map<string, Reply>();

function replyTo(request: ApiRequest): Reply {
  // Older CLIs are told by a last block of it that "/" and "@" are text (docs/claude-cli.md).
  const asked = textOf(lastUserMessage(request));
  const mark = [...replies.keys()].findLast((key) => asked.endsWith(key) || asked.endsWith(key + WORD_JOINER));
  return (mark === undefined ? undefined : replies.get(mark)) ?? text("unasked");
}

test("the model API receives exactly the client's history, every time", async () => {
  await using running = await startEngine({ pool: { limit: 6, chatSpares: 1 } });
  running.api.always(replyTo);
  await fc.assert(
    fc.asyncProperty(rounds, async (list) => {
      const client = new Client(running);
      for (const round of list) await Promise.all(round.map((action) => client.act(action)));
    }),
    { numRuns: Number(process.env.EXACTNESS_RUNS ?? 3), endOnFailure: true },
  );
  expect(running.api.scriptErrors).toEqual([]);
}, 120_000);
