/**
 * Chat messages that are edited or asked again, answers that were stopped or failed: the process that carried them goes on
 * from the history before, and the model API receives exactly what the client sent. On CLIs that cannot be taken back a
 * new process resumes the history.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { ClaudeProcess } from "../../src/claude/transport.ts";
import { toDaemonError } from "../../src/errors.ts";
import type { TurnResult } from "../../src/turn/collect.ts";
import type { Message } from "../../src/turn/message.ts";
import type { ClientTool } from "../../src/turn/request.ts";
import type { ApiRequest } from "../support/anthropic-api.ts";
import {
  apiError,
  createGate,
  message,
  type Reply,
  rateLimited,
  text,
  textBlock,
  toolBlock,
} from "../support/api-reply.ts";
import { CLAUDE_FEATURES } from "../support/claude.ts";
import { apiHistory, historyOf } from "../support/history.ts";
import { waitUntil } from "../support/processes.ts";
import { asHistory, type Running, said, startEngine, textOfResult, user } from "./harness.ts";

setDefaultTimeout(60_000);

/** How many turns are carried by a process that was taken back, of so many that could be. */
const takenBack = (turns: number) => (CLAUDE_FEATURES.rewindsConversations ? turns : 0);

/** So many exchanges, each of which the model answered with the echo of its question. */
async function converse({ answer }: Running, questions: string[], tools: ClientTool[] = []): Promise<Message[]> {
  const messages: Message[] = [];
  for (const question of questions) {
    messages.push(user(question));
    messages.push(asHistory(await answer({ messages: [...messages], tools })));
  }
  return messages;
}

/** The newest request at the model API holds exactly this history. */
function expectHistory({ api }: Running, messages: Message[]): void {
  const last = api.requests.at(-1);
  expect(last && historyOf(last)).toEqual(apiHistory(messages));
}

const counts = ({ engine }: Running) => {
  const { live, rewound, resume, cold } = engine.metrics().firstTokenSeconds;
  return { live: live.count, rewound: rewound.count, resume: resume.count, cold: cold.count };
};

test("a question asked again, and then an earlier one edited, need no new process", async () => {
  await using running = await startEngine();
  const { answer, launches } = running;
  const messages = await converse(running, ["one", "two", "three"]);
  const started = launches.length;
  expect(textOfResult(await answer({ messages: messages.slice(0, 5) }))).toBe("echo: three");
  expectHistory(running, messages.slice(0, 5));
  const edited = [...messages.slice(0, 2), user("TWO")];
  const result = await answer({ messages: edited });
  expectHistory(running, edited);
  const more = [...edited, asHistory(result), user("and then?")];
  await answer({ messages: more });
  expectHistory(running, more);
  expect(launches.length - started).toBe(2 - takenBack(2));
  expect(counts(running)).toMatchObject({ live: 3, rewound: takenBack(2) });
});

test("whoever goes on from where a process stood before it was taken back gets another, with the same history", async () => {
  await using running = await startEngine();
  const { answer } = running;
  const messages = await converse(running, ["one", "two"]);
  await answer({ messages: [...messages.slice(0, 2), user("TWO")] });
  const before = [...messages, user("three")];
  expect(textOfResult(await answer({ messages: before }))).toBe("echo: three");
  expectHistory(running, before);
});

test("the same question asked again by several at once is answered to each from its own process", async () => {
  await using running = await startEngine();
  const { answer, api } = running;
  const messages = (await converse(running, ["one", "two"])).slice(0, 3);
  const before = api.requests.length;
  await Promise.all([1, 2, 3].map(() => answer({ messages })));
  const seen = api.requests.slice(before).map((request) => historyOf(request));
  expect(seen).toEqual([messages, messages, messages].map(apiHistory));
  expect(counts(running)).toMatchObject({ rewound: takenBack(1), resume: 3 - takenBack(1) });
});

for (const when of ["before that is heard of", "at once", "later"] as const) {
  test(`an answer that the client stopped, asked again ${when}, needs no new process`, async () => {
    await using running = await startEngine();
    const { answer, ask, api, engine, launches } = running;
    const messages = [...(await converse(running, ["one"])), user("two")];
    const gate = createGate();
    api.script(text(["begin", gate, "never"]));
    const started = launches.length;
    let again: Promise<TurnResult> | undefined;
    for await (const event of ask({ messages })) {
      if (event.type !== "text-delta") continue;
      if (when === "before that is heard of") {
        again = answer({ messages });
        // It has looked for its process by then.
        await new Promise((resolve) => setImmediate(resolve));
      }
      break;
    }
    if (when === "later") await waitUntil("it is quiet", () => engine.status().busy === 0);
    expect(textOfResult(await (again ?? answer({ messages })))).toBe("echo: two");
    expect(await api.requests.at(-2)?.finished).toBe("closed-by-client");
    gate.open();
    expectHistory(running, messages);
    expect(launches.length - started).toBe(1 - takenBack(1));
    // What it did say before it was stopped is a history of its own.
    const withHalf = [...messages, said("begin"), user("go on")];
    await answer({ messages: withHalf });
    expectHistory(running, withHalf);
  });
}

/** What is asked of the model beside the history. */
const asked = ({ body: { messages: _, metadata: __, ...rest } }: ApiRequest) => rest;

const BADLY: Record<string, { reply: Reply; output?: { stop?: string[] } }> = {
  "an error of the API": { reply: apiError(529, "overloaded") },
  "a limit of the API": { reply: rateLimited(0) },
  max_tokens: { reply: message([textBlock("cut")], { stopReason: "max_tokens" }) },
  "a stop sequence": { reply: text(["before ", "STOP after"]), output: { stop: ["STOP"] } },
  "a refusal": { reply: message([textBlock("I will not")], { stopReason: "refusal" }) },
};
for (const [what, { reply, output = {} }] of Object.entries(BADLY)) {
  test(`after ${what} the same question needs no new process, and leaves no trace`, async () => {
    await using running = await startEngine();
    const { answer, api, engine, launches } = running;
    const messages = [...(await converse(running, ["one"])), user("two")];
    const first = api.requests[0];
    const started = launches.length;
    // The CLI tries some of these again.
    api.always(reply);
    await answer({ messages, output }).catch(toDaemonError);
    await waitUntil("it is quiet", () => engine.status().busy === 0);
    api.always(text("fine"));
    const result = await answer({ messages });
    expect(textOfResult(result)).toBe("fine");
    expectHistory(running, messages);
    const again = api.requests.at(-1);
    expect(again && asked(again)).toEqual(first && asked(first));
    const more = [...messages, asHistory(result), user("three")];
    await answer({ messages: more });
    expectHistory(running, more);
    expect(launches.length - started).toBe(1 - takenBack(1));
  });
}

test("what claude concludes from a request that the API calls invalid does not outlive it", async () => {
  await using running = await startEngine();
  const { answer, api, launches } = running;
  const messages = [...(await converse(running, ["one"])), user("two")];
  const first = api.requests[0];
  const started = launches.length;
  api.always(apiError(400, "adaptive thinking is not supported on this model"));
  expect(await answer({ messages }).catch(toDaemonError)).toMatchObject({ code: "invalid_request" });
  api.always(text("fine"));
  await answer({ messages });
  expectHistory(running, messages);
  const again = api.requests.at(-1);
  expect(again && asked(again)).toEqual(first && asked(first));
  expect(launches.length - started).toBe(1);
});

const LOOK = { name: "look", inputSchema: { type: "object", properties: {} } };

test("a question whose answer came by the client's tools is asked again from before it", async () => {
  await using running = await startEngine();
  const { answer, api, launches } = running;
  const tools = [LOOK];
  const known = await converse(running, ["one"], tools);
  const messages = [...known, user("two")];
  api.script(message([toolBlock("look", {}, { id: "toolu_1" })]), text("seen"));
  const call = await answer({ messages, tools });
  const result: Message = {
    role: "user",
    content: [{ type: "client-result", callId: "toolu_1", content: [{ type: "text", text: "R" }], isError: false }],
  };
  await answer({ messages: [...messages, asHistory(call), result], tools });
  const started = launches.length;
  await answer({ messages, tools });
  expectHistory(running, messages);
  expect(launches.length - started).toBe(1 - takenBack(1));
});

test("a process that waits for a call which the client was not shown is freed, and taken back", async () => {
  await using running = await startEngine();
  const { answer, api, engine, launches } = running;
  const tools = [LOOK];
  const messages = [...(await converse(running, ["one"], tools)), user("two")];
  api.script(message([toolBlock("look", {}, { id: "toolu_1" }), toolBlock("look", {}, { id: "toolu_2" })]));
  const shown = await answer({ messages, tools, parallelToolCalls: false });
  expect(shown.blocks).toHaveLength(1);
  await waitUntil("it is quiet", () => engine.status().busy === 0);
  const started = launches.length;
  await answer({ messages, tools });
  expectHistory(running, messages);
  expect(launches.length - started).toBe(1 - takenBack(1));
});

test("a turn that waits for results is left to them when the question before it is asked again", async () => {
  await using running = await startEngine();
  const { answer, api, launches } = running;
  const tools = [LOOK];
  const known = await converse(running, ["one"], tools);
  const messages = [...known, user("two")];
  api.script(message([toolBlock("look", {}, { id: "toolu_1" })]));
  const call = await answer({ messages, tools });
  await answer({ messages, tools });
  expectHistory(running, messages);
  const started = launches.length;
  const result: Message = {
    role: "user",
    content: [{ type: "client-result", callId: "toolu_1", content: [{ type: "text", text: "R" }], isError: false }],
  };
  const withResult = [...messages, asHistory(call), result];
  await answer({ messages: withResult, tools });
  expectHistory(running, withResult);
  expect(launches.length).toBe(started);
});

test("a client that leaves while the process is taken back finds it where it stood", async () => {
  const client = new AbortController();
  await using running = await startEngine({
    wrap: (process) => {
      const { control } = process;
      process.control = async (subtype, ...rest) => {
        const answer = await control.call(process, subtype, ...rest);
        if (subtype === "rewind_conversation") client.abort();
        return answer;
      };
      return process;
    },
  });
  const { answer, engine } = running;
  const messages = (await converse(running, ["one", "two"])).slice(0, 3);
  await answer({ messages, signal: client.signal }).catch(toDaemonError);
  await waitUntil("it is quiet", () => engine.status().busy === 0);
  const before = counts(running).live;
  await answer({ messages });
  expectHistory(running, messages);
  expect(counts(running).live - before).toBe(takenBack(1));
});

test("an image that was prompted is gone after its question was edited", async () => {
  await using running = await startEngine();
  const { answer } = running;
  const known = await converse(running, ["one"]);
  const data = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
  const image: Message = {
    role: "user",
    content: [
      { type: "text", text: "what is this?" },
      { type: "image", source: { kind: "base64", mediaType: "image/png", data } },
    ],
  };
  await answer({ messages: [...known, image] });
  expectHistory(running, [...known, image]);
  await answer({ messages: [...known, user("never mind")] });
  expectHistory(running, [...known, user("never mind")]);
  expect(counts(running).rewound).toBe(takenBack(1));
});

test("where some of the history had to be prompted with the question, nobody is taken back to in between", async () => {
  await using running = await startEngine();
  const { answer } = running;
  // The CLI would drop the blank answer and join what it stood between.
  const known = [user("one"), said("fine"), user("two"), said(" ")];
  await answer({ messages: [...known, user("three")] });
  const edited = [...known, user("four")];
  await answer({ messages: edited });
  const last = running.api.requests.at(-1);
  const words = JSON.stringify(last && historyOf(last));
  for (const word of ["one", "fine", "two", "four"]) expect(words).toContain(word);
  expect(words).not.toContain("three");
});

test("a process that will not be taken back is ended, and the history resumed in a new one", async () => {
  const refuse = (process: ClaudeProcess): ClaudeProcess =>
    new Proxy(process, {
      get: (target, name) => {
        if (name === "control") {
          return (subtype: string, ...rest: [never]) =>
            subtype === "rewind_conversation"
              ? Promise.resolve({ rewound: false, error: "stale target" })
              : target.control(subtype, ...rest);
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  await using running = await startEngine({ wrap: refuse });
  const { answer, engine } = running;
  const messages = (await converse(running, ["one", "two"])).slice(0, 3);
  await answer({ messages });
  expectHistory(running, messages);
  expect(counts(running)).toMatchObject({ rewound: 0, resume: 1 });
  await waitUntil("the other is gone", () => engine.status().live === 2 - takenBack(1));
});

test("a login that was refused is read anew by a new process", async () => {
  await using running = await startEngine();
  const { answer, api, launches } = running;
  const messages = [...(await converse(running, ["one"])), user("two")];
  const started = launches.length;
  api.always(apiError(401, "invalid x-api-key"));
  expect(await answer({ messages }).catch(toDaemonError)).toMatchObject({ code: "claude_logged_out" });
  api.always(text("fine"));
  expect(textOfResult(await answer({ messages }))).toBe("fine");
  expectHistory(running, messages);
  expect(launches.length - started).toBe(1);
});
