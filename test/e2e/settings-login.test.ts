/** Users who are logged in through claude's own settings: chat and agent answer, and chat shows nothing else of these. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type ApiRequest, startAnthropicApi } from "../support/anthropic-api.ts";
import { text } from "../support/api-reply.ts";
import { createClaudeHome } from "../support/claude.ts";
import { startFromSource } from "./from-source.ts";

const mark = (name: string) => [{ hooks: [{ type: "command", command: `touch "$HOME/${name}"; echo hook-mark` }] }];
/** Everything of a user's that would show in a chat. */
const PERSONAL = {
  model: "haiku",
  outputStyle: "Explanatory",
  language: "french",
  effortLevel: "low",
  permissions: { defaultMode: "plan", additionalDirectories: ["/etc"] },
  hooks: { SessionStart: mark("ran-start"), UserPromptSubmit: mark("ran-prompt") },
};
const PERSONAL_ENV = {
  MAX_THINKING_TOKENS: "1234",
  CLAUDE_CODE_MAX_OUTPUT_TOKENS: "777",
  CLAUDE_CODE_EXTRA_BODY: '{"metadata":{"user_id":"leak"}}',
  CLAUDE_CODE_DISABLE_THINKING: "1",
  SOMETHING_SECRET: "personal",
};

/** The body without what differs between any two processes. */
function comparable({ body }: ApiRequest, home: string): string {
  const { metadata: _, ...rest } = body as Record<string, unknown>;
  return JSON.stringify(rest).replaceAll(home.slice(0, home.lastIndexOf("/")), "<home>");
}

/** Asks the daemon of a user with these settings: a chat, then the agent. `environment` replaces the plain login. */
async function ask(settings: object | undefined, environment: (apiUrl: string) => Record<string, string> = () => ({})) {
  const api = startAnthropicApi();
  const home = await createClaudeHome();
  await mkdir(join(home.path, ".claude"));
  const file = join(home.path, ".claude", "settings.json");
  const written = settings && JSON.stringify(settings).replaceAll("{api}", api.url);
  if (written) await Bun.write(file, written);
  const daemon = await startFromSource({ apiUrl: api.url, home, env: environment(api.url) });
  api.always(text("hello"));
  const turn = async (model: string) => {
    const response = await daemon.post("/v1/chat/completions", { model, messages: [{ role: "user", content: "hi" }] });
    const body = (await response.json()) as { choices?: { message: { content: string } }[] };
    expect(body.choices?.[0]?.message.content, JSON.stringify(body)).toBe("hello");
    return api.requests.at(-1) as ApiRequest;
  };
  return {
    chat: await turn("sonnet"),
    hookRan: existsSync(join(home.path, "ran-start")) || existsSync(join(home.path, "ran-prompt")),
    agent: await turn("claude-code"),
    health: (await (await fetch(`${daemon.url}/v1/health`)).json()) as { claude: { logged_in: boolean } },
    settingsAfter: written && readFileSync(file, "utf8") === written,
    stateFile: join(home.path, ".local/state/claude-code-daemon/chat-login.json"),
    home: home.path,
    log: daemon.stderr,
    [Symbol.asyncDispose]: async () => {
      await daemon[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

const noLogin = () => ({ ANTHROPIC_API_KEY: "" });

describe("a login in claude's settings", () => {
  test("by apiKeyHelper", async () => {
    await using plain = await ask(undefined);
    await using mine = await ask({ apiKeyHelper: "echo sk-ant-from-helper", ...PERSONAL, env: PERSONAL_ENV }, noLogin);
    expect(mine.chat.headers.get("x-api-key")).toBe("sk-ant-from-helper");
    expect(mine.agent.headers.get("x-api-key")).toBe("sk-ant-from-helper");
    expect(mine.health.claude.logged_in).toBe(true);
    expect(comparable(mine.chat, mine.home)).toBe(comparable(plain.chat, plain.home));
    expect(mine.hookRan).toBe(false);
    expect(mine.settingsAfter).toBe(true);
    expect(JSON.parse(readFileSync(mine.stateFile, "utf8"))).toEqual({ apiKeyHelper: "echo sk-ant-from-helper" });
    expect(statSync(mine.stateFile).mode & 0o777).toBe(0o600);
  });

  test("by a provider's address in the settings and its token in the daemon's environment", async () => {
    await using plain = await ask(undefined);
    const env = { ANTHROPIC_BASE_URL: "{api}", ...PERSONAL_ENV };
    await using mine = await ask({ ...PERSONAL, env }, () => ({
      ...noLogin(),
      ANTHROPIC_AUTH_TOKEN: "token-of-the-daemon",
      // Where claude would go without its settings: nobody is there.
      ANTHROPIC_BASE_URL: "http://127.0.0.1:9",
    }));
    expect(mine.chat.headers.get("authorization")).toBe("Bearer token-of-the-daemon");
    expect(mine.agent.headers.get("authorization")).toBe("Bearer token-of-the-daemon");
    expect(comparable(mine.chat, mine.home)).toBe(comparable(plain.chat, plain.home));
    expect(mine.hookRan).toBe(false);
    expect(existsSync(mine.stateFile)).toBe(false);
  });

  test("by a token in the settings: the agent works, a chat is told what to do and goes nowhere", async () => {
    await using api = startAnthropicApi();
    await using home = await createClaudeHome();
    await mkdir(join(home.path, ".claude"));
    const env = { ANTHROPIC_BASE_URL: api.url, ANTHROPIC_AUTH_TOKEN: "secret-token" };
    await Bun.write(join(home.path, ".claude", "settings.json"), JSON.stringify({ env }));
    await using daemon = await startFromSource({ apiUrl: api.url, home, env: noLogin() });
    api.always(text("hello"));
    const turn = (model: string) =>
      daemon.post("/v1/chat/completions", { model, messages: [{ role: "user", content: "hi" }] });
    const chat = await turn("sonnet");
    expect(chat.status).toBe(401);
    expect(await chat.text()).toContain("service install --env ANTHROPIC_AUTH_TOKEN");
    expect(api.requests).toHaveLength(0);
    expect((await turn("claude-code")).status).toBe(200);
    expect(api.requests.at(-1)?.headers.get("authorization")).toBe("Bearer secret-token");
    expect(daemon.stderr()).not.toContain("secret-token");
  });
});
