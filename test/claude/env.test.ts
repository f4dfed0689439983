/** The child's environment, pinned: literals, because a name that passes must be somebody's decision. */
import { expect, test } from "bun:test";
import { isOwn, toEnvironment } from "../../src/claude/env.ts";
import type { LaunchOptions } from "../../src/claude/transport.ts";

const CHAT: LaunchOptions = { kind: "chat", cwd: "/tmp", trusted: false, persist: false, clientTools: false };
const AGENT: LaunchOptions = { ...CHAT, kind: "agent" };

function environmentOf(options: LaunchOptions, base: Record<string, string>, passEnv: string[] = []) {
  return toEnvironment(options, {
    base,
    passEnv,
    instanceId: "instance",
    processMarker: "process",
    own: { ports: [8080], hosts: ["daemon.example"] },
  });
}

const ALWAYS = {
  CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE: "100000000",
  CLAUDE_CODE_DAEMON_PROCESS: "process",
  CLAUDE_CODE_DAEMON_SESSION: "instance",
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: "1",
  CLAUDE_CODE_DISABLE_REFUSAL_RETRY: "1",
  CLAUDE_CODE_MAX_RETRIES: "2",
  DISABLE_AUTOUPDATER: "1",
  DISABLE_ERROR_REPORTING: "1",
  DISABLE_TELEMETRY: "1",
};
const NO_BACKGROUND = { CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1" };

test("our constants, by what is launched", () => {
  expect(environmentOf(AGENT, {})).toEqual({ ...ALWAYS, ...NO_BACKGROUND });
  expect(environmentOf({ ...AGENT, backgroundTasks: true }, {})).toEqual(ALWAYS);
  expect(environmentOf({ ...CHAT, clientTools: true, answerInterrupted: true }, {})).toEqual({
    ...ALWAYS,
    ...NO_BACKGROUND,
    CLAUDE_AGENT_SDK_MCP_NO_PREFIX: "1",
    CLAUDE_CODE_ATTRIBUTION_HEADER: "0",
    CLAUDE_CODE_DISABLE_AUTO_MEMORY: "1",
    CLAUDE_CODE_DISABLE_CLAUDE_MDS: "1",
    CLAUDE_CODE_RESUME_INTERRUPTED_TURN: "1",
    CLAUDE_CODE_RESUME_PROMPT: "\u2060",
    DISABLE_AUTO_COMPACT: "1",
    ENABLE_TOOL_SEARCH: "false",
    CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY: "1000",
  });
});

const PASSES = [
  ..."HOME PATH USER LOGNAME SHELL LANG LANGUAGE LC_ALL LC_TIME TERM COLORTERM TZ TMPDIR".split(" "),
  ..."XDG_CONFIG_HOME XDG_RUNTIME_DIR SSH_AUTH_SOCK".split(" "),
  ..."HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy".split(" "),
  ..."NODE_EXTRA_CA_CERTS SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO".split(" "),
  ..."CLAUDE_CONFIG_DIR ANTHROPIC_API_KEY ANTHROPIC_BASE_URL ANTHROPIC_AUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN".split(" "),
  ..."CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_USE_VERTEX CLAUDE_CODE_SKIP_BEDROCK_AUTH AWS_PROFILE AWS_REGION".split(" "),
  ..."GOOGLE_APPLICATION_CREDENTIALS CLOUD_ML_REGION VERTEX_REGION_CLAUDE_4 CLOUDSDK_CONFIG AZURE_CLIENT_ID".split(" "),
];
const STAYS = [
  ..."CLAUDE_CODE_DAEMON_TOKEN CLAUDE_CODE_DAEMON_PORT BUN_OPTIONS BUN_BE_BUN BUN_INSTALL NODE_OPTIONS NODE_PATH".split(
    " ",
  ),
  ..."LD_PRELOAD LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES CLAUDECODE CLAUDE_CODE_ENTRYPOINT CLAUDE_CODE_SESSION_ID".split(
    " ",
  ),
  ..."CLAUDE_CODE_CHILD_SESSION CLAUDE_CODE_MESSAGING_TOKEN CLAUDE_CODE_EXECPATH CLAUDE_PID AI_AGENT".split(" "),
  ..."NOTIFY_SOCKET WATCHDOG_USEC LISTEN_FDS INVOCATION_ID JOURNAL_STREAM".split(" "),
];

test("an allow-list: what is not named does not pass, and some names never do", () => {
  const base = Object.fromEntries(
    [...PASSES, ...STAYS, "GITHUB_TOKEN", "PORT", "MY_VARIABLE"].map((name) => [name, "x"]),
  );
  const given = environmentOf(AGENT, base, ["MY_VARIABLE", ...STAYS]);
  const ours = new Set(Object.keys({ ...ALWAYS, ...NO_BACKGROUND }));
  const passed = Object.keys(given).filter((name) => !ours.has(name));
  expect(passed.sort()).toEqual([...PASSES, "MY_VARIABLE"].sort());
});

test("our constants win over the user's", () => {
  expect(environmentOf(AGENT, { CLAUDE_CODE_MAX_RETRIES: "9" }, ["CLAUDE_CODE_MAX_RETRIES"])).toMatchObject({
    CLAUDE_CODE_MAX_RETRIES: "2",
  });
});

test("a claude that would call this daemon is refused", () => {
  for (const name of ["ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL"])
    expect(() => environmentOf(AGENT, { [name]: "http://localhost:8080/v1" })).toThrow(/call itself/);
  expect(environmentOf(AGENT, { ANTHROPIC_BASE_URL: "http://localhost:8081" })).toMatchObject({});
});

test("which addresses are ours", () => {
  const own = { ports: [8080], hosts: ["daemon.example"] };
  const ours = [
    ..."http://127.0.0.1:8080 http://localhost:8080/x http://LOCALHOST.:8080 http://[::1]:8080 http://0.0.0.0:8080".split(
      " ",
    ),
    ..."http://127.1:8080 http://2130706433:8080 http://[::ffff:127.0.0.1]:8080 http://a.localhost:8080".split(" "),
    ..."https://daemon.example http://daemon.example:8080/v1".split(" "),
  ];
  for (const url of ours) expect(isOwn(url, own), url).toBe(true);
  for (const url of [
    "https://api.anthropic.com",
    "http://127.0.0.1:9090",
    "http://localhost",
    "http://10.0.0.1:8080",
    "x",
  ])
    expect(isOwn(url, own), url).toBe(false);
});

test("PATH loses its relative entries: a workspace is no place for programs", () => {
  const { PATH } = environmentOf(AGENT, { PATH: ".::/usr/bin:bin:../x:/bin" });
  expect(PATH).toBe("/usr/bin:/bin");
});

test("a resumed chat has the shortest prompt of the CLI's own after results", () => {
  const resumed = { ...CHAT, resume: { from: "/x.jsonl" } };
  expect(environmentOf(resumed, {}).CLAUDE_CODE_RESUME_PROMPT).toBe("\u2060");
  expect(environmentOf(resumed, {}).CLAUDE_CODE_RESUME_INTERRUPTED_TURN).toBeUndefined();
  expect(environmentOf({ ...AGENT, resume: { from: "/x.jsonl" } }, {}).CLAUDE_CODE_RESUME_PROMPT).toBeUndefined();
});
