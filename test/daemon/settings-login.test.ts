import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { createSettingsLogin } from "../../src/daemon/settings-login.ts";
import { recordingLogger } from "../claude/harness.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

async function place() {
  const directory = await createTmpDir("settings-");
  const { logger, lines } = recordingLogger();
  const [path, ownFile] = [directory.join("settings.json"), directory.join("chat-login.json")];
  const login = createSettingsLogin({ path, ownFile, own: { ports: [8080], hosts: [] }, log: logger });
  const write = (settings: unknown) => Bun.write(path, JSON.stringify(settings));
  return { login, write, path, ownFile, lines, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}
const NONE = { file: undefined, environment: {} };

test("a login that is added, changed or removed while the daemon runs counts for the next process", async () => {
  await using at = await place();
  expect(at.login()).toEqual(NONE);
  await at.write({ apiKeyHelper: "one", hooks: {}, awsAuthRefresh: "aws sso login" });
  expect(at.login()).toEqual({ file: at.ownFile, environment: {} });
  expect(JSON.parse(readFileSync(at.ownFile, "utf8"))).toEqual({
    apiKeyHelper: "one",
    awsAuthRefresh: "aws sso login",
  });
  await at.write({ env: { ANTHROPIC_AUTH_TOKEN: "t", NUMBER: 1 } });
  expect(at.login()).toEqual({ file: undefined, environment: { ANTHROPIC_AUTH_TOKEN: "t" } });
  await at.write({});
  expect(at.login()).toEqual(NONE);
});

test("settings that send claude to this daemon are no login: chats go where the daemon itself would", async () => {
  await using at = await place();
  await at.write({
    apiKeyHelper: "echo x",
    env: { ANTHROPIC_BASE_URL: "http://localhost:8080", ANTHROPIC_AUTH_TOKEN: "any" },
  });
  expect(at.login()).toEqual(NONE);
  expect(existsSync(at.ownFile)).toBe(false);
});

test("settings that cannot be read are none, and the log repeats nothing of them", async () => {
  await using at = await place();
  for (const broken of ['{"env":{"ANTHROPIC_AUTH_TOKEN":"secret-token"', '"secret-token"', `"${"x".repeat(2e6)}"`]) {
    await Bun.write(at.path, broken);
    expect(at.login()).toEqual(NONE);
  }
  expect(at.lines).toHaveLength(1);
  expect(at.lines.join()).not.toContain("secret-token");
});
