/** The pool on the real claude: spares, limits, the line, and what idle processes cost. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { ClaudeProcess } from "../../src/claude/transport.ts";
import { toDaemonError } from "../../src/errors.ts";
import { createGate, text } from "../support/api-reply.ts";
import { CLAUDE_FEATURES } from "../support/claude.ts";
import { answeringFake, createFakeClaude } from "../support/fake-claude.ts";
import { apiHistory, historyOf } from "../support/history.ts";
import { descendantsOf, readProcess, waitUntil, waitUntilNone } from "../support/processes.ts";
import { asHistory, said, startEngine, textOfResult, user } from "./harness.ts";

/** A cold start takes half a second, on a busy machine several. */
setDefaultTimeout(60_000);

const children = () => descendantsOf(process.pid).filter((entry) => entry.command.includes("stream-json"));

test("a new chat is served by a spare, and another is booted after it", async () => {
  await using running = await startEngine({ pool: { chatSpares: 1 } });
  const { engine, answer, launches } = running;
  await engine.models.list();
  engine.warm();
  await waitUntil("a spare", () => engine.status().spare >= 2);
  const before = launches.length;
  const result = await answer({ system: "S", model: "sonnet", messages: [user("hi")] });
  expect(textOfResult(result)).toBe("echo: hi");
  // Where the model would be told of the change, a spare of another model is exchanged instead.
  const spare = CLAUDE_FEATURES.silentModelSwitch ? 1 : 0;
  expect(engine.metrics().firstTokenSeconds.spare.count).toBe(spare);
  expect(engine.metrics().firstTokenSeconds.cold.count).toBe(1 - spare);
  expect(running.api.requests[0]?.body.model).toContain("sonnet");
  await waitUntil("the next spare", () => launches.length > before + (1 - spare));
  expect(engine.status()).toMatchObject({ hits: spare, idle: 1 });
  expect(launches.at(-1)?.model).toBe("sonnet");
});

test("a system prompt that comes again has an initialized process waiting", async () => {
  await using running = await startEngine({ pool: { profileSpares: 1 } });
  const { engine, answer } = running;
  await answer({ system: "S", messages: [user("a")] });
  await answer({ system: "S", messages: [user("b")] });
  await waitUntil("the profile's spare", () => engine.status().spare >= 2);
  await answer({ system: "S", messages: [user("c")] });
  expect(engine.metrics().firstTokenSeconds.profile.count).toBe(1);
  const last = running.api.requests.at(-1);
  expect(last && historyOf(last)).toEqual(apiHistory([user("c")]));
});

test("an initialized spare rehearses before it is needed, and its first conversation meets nothing of that", async () => {
  let rehearsed = 0;
  await using running = await startEngine({
    pool: { profileSpares: 1 },
    wrap: (process) => {
      const { control } = process;
      process.control = async (subtype, ...rest) => {
        const answer = await control.call(process, subtype, ...rest);
        if (subtype === "rewind_conversation") rehearsed += 1;
        return answer;
      };
      return process;
    },
  });
  const { engine, answer, api } = running;
  for (const content of ["a", "b"]) await answer({ system: "S", messages: [user(content)] });
  const expected = CLAUDE_FEATURES.rewindsConversations ? 2 : 0;
  // The process that told the models is the other one.
  await waitUntil("the spares", () => engine.status().spare >= 2 && rehearsed === expected);
  const messages = [user("c")];
  const result = await answer({ system: "S", messages });
  expect(engine.metrics().firstTokenSeconds.profile.count).toBe(1);
  const more = [...messages, asHistory(result), user("d")];
  await answer({ system: "S", messages: more });
  const [third, fourth] = api.requests.slice(-2);
  expect(third && historyOf(third)).toEqual(apiHistory(messages));
  expect(fourth && historyOf(fourth)).toEqual(apiHistory(more));
});

test("a spare that could not take back what it rehearsed is never used, and after three no other tries", async () => {
  const all: ClaudeProcess[] = [];
  const refused: ClaudeProcess[] = [];
  await using running = await startEngine({
    pool: { profileSpares: 1, suspendAfterMs: 400, housekeepingMs: 200 },
    wrap: (process) => {
      all.push(process);
      const { control } = process;
      process.control = (subtype, ...rest) => {
        if (subtype !== "rewind_conversation") return control.call(process, subtype, ...rest);
        refused.push(process);
        return Promise.resolve({ rewound: false });
      };
      return process;
    },
  });
  const { answer, api } = running;
  for (const content of ["a", "b"]) await answer({ system: "S", messages: [user(content)] });
  const expected = CLAUDE_FEATURES.rewindsConversations ? 3 : 0;
  await waitUntil("they have tried, and are gone", () => refused.filter(({ alive }) => !alive).length >= expected);
  // Both conversations' processes, and a spare that is left alone for longer than one waits to rehearse.
  await waitUntil("the rest is stopped", () => all.filter(({ suspended }) => suspended).length >= 3);
  expect(refused).toHaveLength(expected);
  await answer({ system: "S", messages: [user("c")] });
  const last = api.requests.at(-1);
  expect(last && historyOf(last)).toEqual(apiHistory([user("c")]));
});

test("spares that were ended while they rehearsed do not keep the next ones from it", async () => {
  let ended = 0;
  let rehearsed = 0;
  await using running = await startEngine({
    pool: { profileSpares: 1 },
    wrap: (process) => {
      const { control } = process;
      process.control = async (subtype, ...rest) => {
        if (subtype !== "rewind_conversation" || ended >= 4) {
          const answer = await control.call(process, subtype, ...rest);
          if (subtype === "rewind_conversation") rehearsed += 1;
          return answer;
        }
        ended += 1;
        await process.close({ now: true });
        return { rewound: false };
      };
      return process;
    },
  });
  const { answer } = running;
  for (const content of ["a", "b"]) await answer({ system: "S", messages: [user(content)] });
  if (CLAUDE_FEATURES.rewindsConversations) await waitUntil("one that has rehearsed", () => rehearsed > 0);
});

test("two requests never get one process, although the first waited for a rehearsal that failed", async () => {
  const gate = Promise.withResolvers<void>();
  let rehearsals = 0;
  await using running = await startEngine({
    pool: { profileSpares: 1, chatSpares: 1 },
    wrap: (process) => {
      const { control } = process;
      process.control = async (subtype, ...rest) => {
        if (subtype !== "rewind_conversation" || ++rehearsals === 1) return control.call(process, subtype, ...rest);
        await gate.promise;
        return { rewound: false };
      };
      return process;
    },
  });
  const { answer, api } = running;
  for (const content of ["a", "b"]) await answer({ system: "S", messages: [user(content)] });
  if (CLAUDE_FEATURES.rewindsConversations) await waitUntil("the profile's spare rehearses", () => rehearsals >= 2);
  const before = api.requests.length;
  const first = answer({ system: "S", messages: [user("first")] });
  const second = answer({ system: "S", messages: [user("second")] });
  await api.waitFor((request) => JSON.stringify(request.body.messages).includes("second"));
  gate.resolve();
  expect([await first, await second].map(textOfResult)).toEqual(["echo: first", "echo: second"]);
  const seen = api.requests.slice(before).map((request) => historyOf(request));
  expect(seen).toHaveLength(2);
  expect(seen).toContainEqual(apiHistory([user("first")]));
  expect(seen).toContainEqual(apiHistory([user("second")]));
});

test("at the limit the least recently used conversation gives its place, and goes on exactly later", async () => {
  await using running = await startEngine({ pool: { limit: 2 } });
  const { engine, answer, api } = running;
  const first = await answer({ messages: [user("a")] });
  await answer({ messages: [user("b")] });
  await answer({ messages: [user("c")] });
  expect(engine.status()).toMatchObject({ live: 2, idle: 2 });
  const messages = [user("a"), asHistory(first), user("more")];
  await answer({ messages });
  const last = api.requests.at(-1);
  expect(last && historyOf(last)).toEqual(apiHistory(messages));
  expect(engine.metrics().firstTokenSeconds.resume.count).toBe(1);
  expect(engine.status()).toMatchObject({ live: 2, evictions: { limit: 2 } });
});

test("a process that takes more memory than it may is ended after its turn, and its conversation goes on", async () => {
  await using running = await startEngine({ pool: { processMemoryCapBytes: 1024 * 1024, memoryLimitBytes: 2 ** 40 } });
  const { engine, answer, api } = running;
  const first = await answer({ messages: [user("a")] });
  await waitUntil("no process", () => engine.status().live === 0);
  expect(engine.status().evictions).toMatchObject({ memory: 1, limit: 0, idle: 0 });
  const messages = [user("a"), asHistory(first), user("more")];
  expect(textOfResult(await answer({ messages }))).toBe("echo: more");
  const last = api.requests.at(-1);
  expect(last && historyOf(last)).toEqual(apiHistory(messages));
});

test("a process that takes twice what it may is ended in its turn, which says why", async () => {
  await using fake = await createFakeClaude(
    answeringFake(
      "globalThis.hoard = new Uint8Array(300 * 2 ** 20).fill(1); await hang();",
      '{ value: "opus", displayName: "Opus", description: "" }',
    ),
  );
  const pool = { processMemoryCapBytes: 120 * 2 ** 20, housekeepingMs: 20 };
  await using running = await startEngine({ claudePath: fake.path, pool });
  const failed = await running.answer({ messages: [user("a")] }).catch(toDaemonError);
  expect(failed).toMatchObject({
    code: "claude_failed",
    message: expect.stringMatching(/took [2-9]\d\d MB of memory/),
  });
  expect(running.engine.status()).toMatchObject({ live: 0, evictions: { memory: 1 } });
});

test("beyond the limit requests wait in order, and past the line's bound are refused with a time", async () => {
  await using running = await startEngine({ pool: { limit: 1, queueLimit: 1 } });
  const { engine, answer, api } = running;
  await engine.models.list();
  const gate = createGate();
  api.script(text([gate, "first"]));
  const first = answer({ messages: [user("a")] });
  await gate.reached;
  const second = answer({ messages: [user("b")] });
  await waitUntil("somebody waits", () => engine.status().queue.waiting === 1);
  const refused = await answer({ messages: [user("c")] }).catch(toDaemonError);
  expect(refused).toMatchObject({ code: "queue_full" });
  expect((refused as { detail: { retryAfterSeconds: number } }).detail.retryAfterSeconds).toBeGreaterThan(0);
  gate.open();
  expect(textOfResult(await first)).toBe("first");
  expect(textOfResult(await second)).toBe("echo: b");
});

test("whoever leaves the line leaves no trace", async () => {
  await using running = await startEngine({ pool: { limit: 1 } });
  const { engine, answer, api } = running;
  await engine.models.list();
  const gate = createGate();
  api.script(text([gate, "first"]));
  const first = answer({ messages: [user("a")] });
  await gate.reached;
  const client = new AbortController();
  const second = answer({ messages: [user("b")], signal: client.signal }).catch(toDaemonError);
  await waitUntil("somebody waits", () => engine.status().queue.waiting === 1);
  client.abort();
  expect(await second).toMatchObject({ code: "interrupted" });
  expect(engine.status().queue.waiting).toBe(0);
  gate.open();
  await first;
});

test("an unused process is stopped, and wakes for its conversation; long unused, it ends", async () => {
  await using running = await startEngine({
    pool: { suspendAfterMs: 100, idleEvictionMs: 2_000, housekeepingMs: 50 },
  });
  const { answer, launches } = running;
  const first = await answer({ messages: [user("a")] });
  await waitUntil("all are stopped", () => children().every((child) => readProcess(child.pid)?.state === "T"));
  const started = launches.length;
  await answer({ messages: [user("a"), asHistory(first), user("b")] });
  expect(launches.length).toBe(started);
  await waitUntil("the conversation's process is gone", () => running.engine.status().idle === 0);
  expect(running.engine.status().evictions.idle).toBe(1);
});

test("a dozen new chats at once all succeed, and nothing is left behind", async () => {
  {
    await using running = await startEngine({ pool: { limit: 4, chatSpares: 1 } });
    const asked = Array.from({ length: 12 }, (_, index) => `chat ${index}`);
    const results = await Promise.all(asked.map((content) => running.answer({ messages: [user(content)] })));
    expect(results.map(textOfResult)).toEqual(asked.map((content) => `echo: ${content}`));
    expect(running.engine.status().live).toBeLessThanOrEqual(4);
  }
  await waitUntilNone(children);
}, 60_000);

test("while others wait to boot, whoever has finished leaves them the processor, and wakes when all have", async () => {
  await using running = await startEngine({ pool: { bootsAtOnce: 1, suspendAfterMs: 60_000, housekeepingMs: 50 } });
  const stopped = () => children().filter((child) => readProcess(child.pid)?.state === "T").length;
  const asked = ["a", "b", "c", "d"].map((content) => running.answer({ messages: [user(content)] }));
  await waitUntil("the first is stopped while the last waits to boot", () => stopped() > 0);
  await Promise.all(asked);
  await waitUntil("all are awake again", () => stopped() === 0);
});

test("an agent's spare is used while nothing it read has changed", async () => {
  let fingerprint = "one";
  await using running = await startEngine({
    pool: { profileSpares: 1 },
    deps: { fingerprint: async () => fingerprint },
  });
  const { engine, answer } = running;
  const ask = (content: string) => answer({ model: "claude-code", messages: [user(content)] });
  await ask("a");
  await waitUntil("the agent's spare", () => engine.status().spare >= 2);
  await ask("b");
  expect(engine.metrics().firstTokenSeconds.profile.count).toBe(1);
  await waitUntil("the next spare", () => engine.status().spare >= 2);
  fingerprint = "two";
  await ask("c");
  expect(engine.metrics().firstTokenSeconds.profile.count).toBe(1);
  expect(engine.metrics().firstTokenSeconds.cold.count).toBe(2);
});

test("histories of two conversations never meet", async () => {
  await using running = await startEngine({ pool: { chatSpares: 1 } });
  const { answer, api } = running;
  const same = await Promise.all([answer({ messages: [user("hi")] }), answer({ messages: [user("hi")] })]);
  const [one, two] = same.map((result) => [user("hi"), asHistory(result)]);
  if (!one || !two) throw new Error("no answers");
  await Promise.all([
    answer({ messages: [...one, user("I am one")] }),
    answer({ messages: [...two, user("I am two")] }),
    answer({ messages: [...two, user("I am three"), said("so"), user("and?")] }),
  ]);
  for (const request of api.requests)
    expect(JSON.stringify(request.body.messages).match(/I am/g)?.length ?? 0).toBeLessThan(2);
});
