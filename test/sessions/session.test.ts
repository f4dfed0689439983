import { expect, test } from "bun:test";
import { lastUserMessage, textOf } from "../support/anthropic-api.ts";
import { createGate, text } from "../support/api-reply.ts";
import { ask, prompt, startSessions, textOfResult, watch } from "./session-harness.ts";

test("turns of one session share one process and one history; usage and cost add up", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code" });
  expect(session.status).toBe("idle");
  const first = await ask(session, "one");
  expect(textOfResult(first)).toContain("one");
  await ask(session, "two");
  expect(sessions.launches).toHaveLength(1);
  const last = sessions.api.requests.at(-1);
  expect(last?.body.messages.filter((message) => message.role === "user").length).toBeGreaterThanOrEqual(2);
  expect(session.record.turns).toBe(2);
  expect(session.record.usage.outputTokens).toBeGreaterThan(0);
  expect(session.record.costUsd).toBeGreaterThan(0);
  expect(session.record.title).toBe("one");
  expect(session.record.claudeSessionId).toMatch(/^[0-9a-f-]{36}$/);
  expect([session.status, session.process]).toEqual(["idle", "live"]);
  const stored = await sessions.registry.turns(session.id, { limit: 10 });
  expect(stored.items.map((turn) => [turn.number, turn.status, turn.prompt])).toEqual([
    [2, "completed", "two"],
    [1, "completed", "one"],
  ]);
});

test("two requests on one session are carried out in order", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code" });
  const seen = watch(session);
  const first = session.submit(prompt("first"));
  const second = session.submit(prompt("second"));
  expect(session.status).toBe("running");
  const records = await Promise.all([first.done, second.done]);
  expect(records.map((record) => record.content)).toEqual(["echo: first", "echo: second"]);
  const order = seen.events.flatMap((event) =>
    ["turn_queued", "turn_start", "code_response"].includes(String(event.type)) ? [[event.type, event.turn_id]] : [],
  );
  expect(order).toEqual([
    ["turn_queued", second.turnId],
    ["turn_start", first.turnId],
    ["code_response", first.turnId],
    ["turn_start", second.turnId],
    ["code_response", second.turnId],
  ]);
  expect(session.status).toBe("idle");
});

test("more turns than may wait are refused, and those that wait are not harmed", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code" });
  const submitted = Array.from({ length: 17 }, (_, index) => session.submit(prompt(`turn ${index}`)));
  expect(() => session.submit(prompt("one too many"))).toThrow(/already wait/);
  const abandoned = submitted[16];
  expect(await session.interrupt(abandoned?.turnId)).toBe(true);
  expect((await abandoned?.done)?.status).toBe("interrupted");
  for (const turn of submitted.slice(1, 16)) void session.interrupt(turn.turnId);
  expect((await submitted[0]?.done)?.status).toBe("completed");
});

test("an interrupted turn says so, keeps what it had, and the session goes on", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code" });
  sessions.api.script(text(["Once ", "upon ", createGate(), "a time"]));
  const seen = watch(session);
  const turn = session.submit(prompt("tell"));
  await seen.event((event) => event.type === "code_delta" && String(event.text).includes("upon"));
  expect(await session.interrupt()).toBe(true);
  const record = await turn.done;
  expect([record.status, record.content]).toEqual(["interrupted", "Once upon "]);
  expect((await seen.event((event) => event.type === "code_response")).stop_reason).toBe("interrupted");
  sessions.api.script(text("still here"));
  expect(textOfResult(await ask(session, "again"))).toBe("still here");
  expect(await session.interrupt()).toBe(false);
});

test("a reader who leaves interrupts the turn; its record is complete all the same", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code" });
  sessions.api.script(text(["Once ", "upon ", createGate()]));
  const seen = watch(session);
  for await (const event of session.turn(prompt("tell"))) {
    if (event.type === "text-delta") break;
  }
  expect((await seen.event((event) => event.type === "code_response")).stop_reason).toBe("interrupted");
  expect(textOfResult(await ask(session, "again"))).toBe("echo: again");
});

test("after a restart of the daemon a session is there and goes on where it was", async () => {
  await using sessions = await startSessions();
  const { id } = await sessions.registry.create({ workspace: undefined, model: "claude-code", title: "Named" });
  const before = await sessions.registry.require(id);
  await ask(before, "remember the word plum");
  const claudeSession = before.record.claudeSessionId;
  await sessions.restart();
  const after = await sessions.registry.require(id);
  expect(after.record).toMatchObject({ title: "Named", turns: 1, claudeSessionId: claudeSession });
  expect([after.status, after.process]).toEqual(["idle", "none"]);
  expect(textOfResult(await ask(after, "which word?"))).toBe("echo: which word?");
  const request = sessions.api.requests.at(-1);
  expect(JSON.stringify(request?.body.messages)).toContain("remember the word plum");
  expect(after.record.claudeSessionId).toBe(claudeSession);
  expect(after.record.turns).toBe(2);
});

test("a process that was evicted is no end: the next turn resumes", async () => {
  await using sessions = await startSessions({ pool: { limit: 1 } });
  const [one, other] = await Promise.all(
    ["claude-code", "claude-code"].map((model) => sessions.registry.create({ workspace: undefined, model })),
  );
  if (!one || !other) throw new Error("no sessions");
  await ask(one, "alpha");
  await ask(other, "beta");
  expect([one.process, other.process]).toEqual(["none", "live"]);
  await ask(one, "gamma");
  expect(JSON.stringify(sessions.api.requests.at(-1)?.body.messages)).toContain("alpha");
  expect(JSON.stringify(sessions.api.requests.at(-1)?.body.messages)).not.toContain("beta");
});

test("model and permission mode of a turn reach the live process and are taken back after it", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code:sonnet" });
  await ask(session, "one");
  await ask(session, "two", { model: "claude-code:haiku" });
  await ask(session, "three");
  const models = sessions.api.requests.map((request) => /sonnet|haiku/.exec(request.body.model)?.[0]);
  expect(models).toEqual(["sonnet", "haiku", "sonnet"]);
  expect(sessions.launches).toHaveLength(1);
});

test("options that are launch flags start a process that resumes", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code" });
  await ask(session, "first words");
  await ask(session, "more", { options: { appendSystemPrompt: "Speak like a pirate." } });
  expect(sessions.launches).toHaveLength(2);
  const request = sessions.api.requests.at(-1);
  expect(JSON.stringify(request?.body)).toContain("Speak like a pirate.");
  expect(JSON.stringify(request?.body.messages)).toContain("first words");
  expect(textOf(request && lastUserMessage(request))).toContain("more");
});

test("a closed session takes no turns, and its past stays", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code" });
  await ask(session, "one");
  await sessions.registry.closeSession(session.id);
  expect([session.status, session.process]).toEqual(["closed", "none"]);
  expect(() => session.submit(prompt("two"))).toThrow(/closed/);
  const again = await sessions.registry.require(session.id);
  expect(again.status).toBe("closed");
  expect((await sessions.registry.turns(session.id, { limit: 9 })).items).toHaveLength(1);
  expect((await sessions.registry.list({ limit: 9 })).items).toEqual([]);
});

test("sessions of the terminal are listed and continued or forked; ours are there for the terminal", async () => {
  await using sessions = await startSessions();
  const session = await sessions.registry.create({ workspace: undefined, model: "claude-code" });
  await ask(session, "Where is the parser?");
  const claudeSession = session.record.claudeSessionId ?? "";
  await sessions.registry.closeSession(session.id);
  sessions.store.sessions.delete(session.id);
  // Nothing of ours knows it now: it is as good as begun in a terminal.
  const listed = await sessions.registry.listTerminal(10);
  expect(listed).toMatchObject([{ id: claudeSession, cwd: sessions.home.cwd, title: "Where is the parser?" }]);
  const forked = await sessions.registry.create({
    workspace: undefined,
    model: "claude-code",
    resume: claudeSession,
    fork: true,
  });
  await ask(forked, "And the lexer?");
  expect(JSON.stringify(sessions.api.requests.at(-1)?.body.messages)).toContain("Where is the parser?");
  expect(forked.record.claudeSessionId).not.toBe(claudeSession);
  const continued = await sessions.registry.create({
    workspace: undefined,
    model: "claude-code",
    resume: claudeSession,
  });
  await ask(continued, "Thanks");
  expect(continued.record.claudeSessionId).toBe(claudeSession);
  expect(JSON.stringify(sessions.api.requests.at(-1)?.body.messages)).not.toContain("And the lexer?");
  const same = await sessions.registry.create({ workspace: undefined, model: "claude-code", resume: claudeSession });
  expect(same.id).toBe(continued.id);
  await expect(
    sessions.registry.create({ workspace: undefined, model: "claude-code", resume: crypto.randomUUID() }),
  ).rejects.toMatchObject({ code: "not_found" });
});
