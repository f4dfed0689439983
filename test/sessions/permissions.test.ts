import { expect, test } from "bun:test";
import type { PermissionPrompt } from "../../src/claude/transport.ts";
import type { PermissionContext } from "../../src/sessions/contracts.ts";
import { SessionPermissions } from "../../src/sessions/permissions.ts";

const PROMPT: PermissionPrompt = {
  requestId: "p1",
  tool: "Bash",
  input: { command: "make" },
  toolUseId: "t1",
  description: "runs make",
  suggestions: [
    {
      type: "addRules",
      rules: [{ toolName: "Bash", ruleContent: "make" }],
      behavior: "allow",
      destination: "localSettings",
    },
    { type: "setMode", mode: "bypassPermissions", destination: "session" },
  ],
};

function open(waitMs = 60_000) {
  const modes: string[] = [];
  const events: { type: string }[] = [];
  const permissions = new SessionPermissions({
    waitMs,
    graceMs: 0,
    bypassAllowed: false,
    now: () => 1000,
    modeChanged: (mode) => void modes.push(mode),
  });
  const abort = new AbortController();
  const context: PermissionContext = {
    turnId: "trn_a",
    signal: abort.signal,
    emit: (event) => void events.push(event),
  };
  const ask = (prompt: Partial<PermissionPrompt> = {}) => permissions.ask({ ...PROMPT, ...prompt }, context);
  return { permissions, ask, events, modes, abort };
}

test("nobody said that they answer: denied at once, without an event", async () => {
  const { ask, events } = open();
  expect(await ask()).toMatchObject({ behavior: "deny", message: expect.stringContaining("nobody is here") });
  expect(await ask({ tool: "AskUserQuestion" })).toMatchObject({
    message: expect.stringContaining("Decide by yourself"),
  });
  expect(await ask({ tool: "ExitPlanMode" })).toMatchObject({
    message: expect.stringContaining("plan as your answer"),
  });
  expect(events).toEqual([]);
});

test("allow, remembered: suggestions count for this session and never switch everything off", async () => {
  const { permissions, ask, events } = open();
  permissions.addAnswerer();
  const asked = ask();
  expect(permissions.pending).toMatchObject([{ id: "p1", turnId: "trn_a", expiresAt: 61_000 }]);
  permissions.answer("p1", { behavior: "allow", remember: true });
  expect(await asked).toEqual({
    behavior: "allow",
    updatedInput: { command: "make" },
    updatedPermissions: [
      {
        type: "addRules",
        rules: [{ toolName: "Bash", ruleContent: "make" }],
        behavior: "allow",
        destination: "session",
      },
    ],
  });
  expect(events.map((event) => event.type)).toEqual(["permission-request", "permission-resolved"]);
  expect(() => permissions.answer("p1", { behavior: "allow" })).toThrow(/answered, it expired/);
});

test("a mode that is off is refused and the prompt waits on; deny carries the person's words", async () => {
  const { permissions, ask } = open();
  permissions.addAnswerer();
  const asked = ask();
  expect(() => permissions.answer("p1", { behavior: "allow", permissionMode: "bypassPermissions" })).toThrow(
    /switched off/,
  );
  permissions.answer("p1", { behavior: "deny", message: "use ninja", interrupt: true });
  expect(await asked).toEqual({ behavior: "deny", message: "use ninja", interrupt: true });
});

test("a question wants an answer to each; several choices are joined", async () => {
  const { permissions, ask } = open();
  permissions.addAnswerer();
  const input = { questions: [{ question: "Which?" }, { question: "Where?" }] };
  const asked = ask({ tool: "AskUserQuestion", input });
  expect(() => permissions.answer("p1", { behavior: "allow" })).toThrow(/answer for each/);
  expect(() => permissions.answer("p1", { behavior: "allow", answers: { "Which?": "A" } })).toThrow(/Where\?/);
  permissions.answer("p1", { behavior: "allow", answers: { "Which?": ["A", "B"], "Where?": "here" } });
  expect(await asked).toMatchObject({ updatedInput: { ...input, answers: { "Which?": "A, B", "Where?": "here" } } });
});

test("an approved plan is carried out in acceptEdits, or as the person says, and the session stays there", async () => {
  const { permissions, ask, modes } = open();
  permissions.addAnswerer();
  const first = ask({ tool: "ExitPlanMode", suggestions: [] });
  permissions.answer("p1", { behavior: "allow" });
  expect(await first).toMatchObject({
    updatedPermissions: [{ type: "setMode", mode: "acceptEdits", destination: "session" }],
  });
  const second = ask({ tool: "ExitPlanMode", suggestions: [] });
  permissions.answer("p1", { behavior: "allow", permissionMode: "default" });
  await second;
  expect(modes).toEqual(["acceptEdits", "default"]);
});

test("the end of the turn, and of the waiting time, are a no", async () => {
  const ended = open();
  ended.permissions.addAnswerer();
  const asked = ended.ask();
  ended.abort.abort();
  expect(await asked).toMatchObject({ behavior: "deny" });
  expect(ended.permissions.pending).toEqual([]);
  const late = open(1);
  late.permissions.addAnswerer();
  expect(await late.ask()).toMatchObject({ behavior: "deny", message: expect.stringContaining("Nobody answered") });
});
