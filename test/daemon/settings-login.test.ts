import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { createSettingsLogin, requireUsableLogin } from "../../src/daemon/settings-login.ts";
import { recordingLogger } from "../claude/harness.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

async function place(base: Record<string, string> = {}) {
  const directory = await createTmpDir("settings-");
  const { logger, lines } = recordingLogger();
  const [path, ownFile] = [directory.join("settings.json"), directory.join("chat-login.json")];
  const login = createSettingsLogin({ path, ownFile, base, own: { ports: [8080], hosts: [] }, log: logger });
  const write = (settings: unknown) => Bun.write(path, JSON.stringify(settings));
  return { login, write, path, ownFile, lines, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}
const NONE = { file: undefined, environment: {}, withheld: undefined };

test("a login that is added, changed or removed while the daemon runs counts for the next process", async () => {
  await using at = await place();
  expect(at.login()).toEqual(NONE);
  await at.write({ apiKeyHelper: "one", hooks: {}, awsAuthRefresh: "aws sso login" });
  expect(at.login()).toEqual({ ...NONE, file: at.ownFile });
  expect(JSON.parse(readFileSync(at.ownFile, "utf8"))).toEqual({
    apiKeyHelper: "one",
    awsAuthRefresh: "aws sso login",
  });
  await at.write({ env: { AWS_PROFILE: "work", NUMBER: 1 } });
  expect(at.login()).toEqual({ ...NONE, environment: { AWS_PROFILE: "work" } });
  await at.write({});
  expect(at.login()).toEqual(NONE);
});

test.each([
  ...["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_FOUNDRY_API_KEY"],
  ...["CLAUDE_CODE_OAUTH_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
  ...["AWS_BEARER_TOKEN_BEDROCK", "AZURE_CLIENT_SECRET", "GOOGLE_API_KEY", "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE"],
])("a credential is not taken from the settings, and nothing that would go elsewhere without it: %s", async (name) => {
  await using at = await place();
  await at.write({
    apiKeyHelper: "one",
    env: { CLAUDE_CODE_USE_BEDROCK: "1", [name]: "secret-value" },
  });
  expect(at.login()).toEqual({ ...NONE, withheld: name });
  expect(() => requireUsableLogin(at.login())).toThrow(`--env ${name}`);
  expect(existsSync(at.ownFile)).toBe(false);
  expect(JSON.stringify([at.login(), at.lines])).not.toContain("secret-value");
});

test("a cloud's key is for the user's own tools where claude does not go through a cloud: not passed, and no hindrance", async () => {
  await using at = await place();
  await at.write({
    env: { AWS_SECRET_ACCESS_KEY: "secret-value", GOOGLE_API_KEY: "secret-value", AWS_REGION: "eu-1" },
  });
  expect(at.login()).toEqual({ ...NONE, environment: { AWS_REGION: "eu-1" } });
  expect(() => requireUsableLogin(at.login())).not.toThrow();
  await at.write({ env: { ANTHROPIC_AUTH_TOKEN: "secret-value" } });
  expect(at.login().withheld).toBe("ANTHROPIC_AUTH_TOKEN");
});

test("a credential that the daemon was started with need not come from the settings: the rest of them counts", async () => {
  await using at = await place({ ANTHROPIC_AUTH_TOKEN: "mine" });
  const provider = {
    ANTHROPIC_BASE_URL: "https://gateway.example",
    AWS_WEB_IDENTITY_TOKEN_FILE: "/run/token",
    CLAUDE_CODE_API_KEY_HELPER_TTL_MS: "60000",
    GOOGLE_APPLICATION_CREDENTIALS: "/home/me/adc.json",
  };
  await at.write({ env: { ...provider, ANTHROPIC_AUTH_TOKEN: "theirs" } });
  expect(at.login()).toEqual({ ...NONE, environment: provider });
  expect(() => requireUsableLogin(at.login())).not.toThrow();
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
