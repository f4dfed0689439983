import { expect, test } from "bun:test";
import { createLoginWatch } from "../../src/daemon/login-watch.ts";
import { DaemonError } from "../../src/errors.ts";

function watch() {
  const state = { now: 0, failures: 0, asked: 0, answer: true as boolean | Error };
  const login = createLoginWatch({
    ask: async () => {
      state.asked += 1;
      if (state.answer instanceof Error) throw state.answer;
      return state.answer;
    },
    failures: () => state.failures,
    now: () => state.now,
  });
  return { state, login };
}

test("good news is believed until a turn meets a missing login", async () => {
  const { state, login } = watch();
  login.learn(true);
  await login.look();
  expect(state.asked).toBe(0);
  state.failures = 1;
  state.answer = false;
  await login.look();
  expect(state.asked).toBe(1);
  expect(login.loggedIn()).toBe(false);
  expect(login.problem()).toContain("log in");
});

test("somebody who logs in is noticed, and polling costs one question in ten seconds", async () => {
  const { state, login } = watch();
  login.learn(false);
  state.answer = false;
  await login.look();
  await login.look();
  expect(state.asked).toBe(1);
  state.answer = true;
  state.now = 10_000;
  await Promise.all([login.look(), login.look()]);
  expect(state.asked).toBe(2);
  expect(login.loggedIn()).toBe(true);
  expect(login.problem()).toBeUndefined();
});

test("a claude that cannot be asked is a problem, not an answer", async () => {
  const { state, login } = watch();
  state.answer = new DaemonError("claude_failed", "It ended.");
  await login.look();
  expect(login.loggedIn()).toBeUndefined();
  expect(login.problem()).toBe("claude could not be asked: It ended.");
});
