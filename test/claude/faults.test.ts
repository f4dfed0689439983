/** Every fault of the model API, through the real CLI, to the error a client is told. */
import { describe, expect, test } from "bun:test";
import { DaemonError, type ErrorCode, type ErrorDetail } from "../../src/errors.ts";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import {
  apiError,
  DROP,
  planLimit,
  promptTooLong,
  type Reply,
  rateLimited,
  text,
  toolCall,
} from "../support/api-reply.ts";
import { AGENT_ARGS, createClaudeHome, startBareClaude } from "../support/claude.ts";
import { runTurn } from "../support/turn-lines.ts";

const RESETS_AT = 1_900_000_000;
type Case = [name: string, reply: Reply, code: ErrorCode, detail?: ErrorDetail];

const WITH_KEY: Case[] = [
  ["400", apiError(400, "max_tokens: must be less than 10"), "invalid_request"],
  ["400 without credit", apiError(400, "Your credit balance is too low to access the Anthropic API."), "usage_limit"],
  [
    "400 image",
    apiError(400, "messages.0.content.0.image.source.base64.data: Image does not match"),
    "invalid_request",
  ],
  ["401", apiError(401, "invalid x-api-key"), "claude_logged_out"],
  ["402", apiError(402, "billing"), "usage_limit"],
  ["403", apiError(403, "not allowed"), "forbidden"],
  ["403 revoked", apiError(403, "OAuth token has been revoked"), "claude_logged_out"],
  ["404", apiError(404, "model: claude-x"), "model_not_found"],
  ["413", apiError(413, "Request exceeds the maximum size"), "payload_too_large"],
  ["429", rateLimited(1), "rate_limited"],
  ["500", apiError(500, "Internal server error"), "claude_failed"],
  ["503", apiError(503, "unavailable"), "overloaded"],
  ["504", apiError(504, "timeout"), "timed_out"],
  ["529", apiError(529, "Overloaded"), "overloaded"],
  ["a closed connection", DROP, "claude_failed", { reason: "connection" }],
  ["prompt too long", promptTooLong(), "context_length_exceeded"],
];

const WITH_LOGIN: Case[] = [
  ["401", apiError(401, "Invalid bearer token"), "claude_logged_out"],
  ["429", rateLimited(1), "rate_limited"],
  ["429 of the plan", planLimit(RESETS_AT), "usage_limit", { resetsAt: RESETS_AT }],
];

const ENV = { CLAUDE_CODE_MAX_RETRIES: "0", DISABLE_AUTO_COMPACT: "1" };

async function runCases(cases: Case[], env: Record<string, string>): Promise<void> {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  await using claude = startBareClaude({ home, apiUrl: api.url, env: { ...ENV, ...env } });
  const told: unknown[] = [];
  const expected: unknown[] = [];
  for (const [name, reply, code, detail] of cases) {
    api.always(reply);
    const { error, reader, events } = await runTurn(claude, "go");
    if (!(error instanceof DaemonError)) throw new Error(`${name}: no error`);
    told.push([name, error.code, error.detail]);
    expected.push([name, code, detail ?? {}]);
    expect(reader).toMatchObject({ ended: true, settled: true, unclean: true });
    expect(events.some((event) => event.type === "text-delta")).toBe(false);
    // Safe for a client: no address of the gateway, no advice that only the terminal can follow.
    expect(error.message).not.toMatch(/127\.0\.0\.1|localhost|--model|ANTHROPIC_BASE_URL|compact/);
  }
  expect(told).toEqual(expected);
}

describe("what the model API refuses reaches the client with its meaning", () => {
  test("with an API key", () => runCases(WITH_KEY, {}));

  test("with a login", () =>
    runCases(WITH_LOGIN, { ANTHROPIC_API_KEY: "", CLAUDE_CODE_OAUTH_TOKEN: "sk-ant-oat01-fake" }));

  test("without any login", async () => {
    await using api = startAnthropicApi();
    await using home = await createClaudeHome();
    await using claude = startBareClaude({ home, apiUrl: api.url, env: { ...ENV, ANTHROPIC_API_KEY: "" } });
    const { error } = await runTurn(claude, "go");
    expect(error).toMatchObject({ code: "claude_logged_out" });
    expect(String(error)).toContain("/login");
    expect(api.requests).toHaveLength(0);
  });

  test("with nothing listening", async () => {
    await using api = startAnthropicApi();
    await using home = await createClaudeHome();
    await using claude = startBareClaude({ home, apiUrl: api.url, env: ENV });
    await api.refuseConnections();
    const { error } = await runTurn(claude, "go");
    expect(error).toMatchObject({ code: "claude_failed", detail: { reason: "connection" } });
  });
});

test("a 400 passes on what the API said, without the CLI's prefix", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  await using claude = startBareClaude({ home, apiUrl: api.url, env: ENV });
  api.always(apiError(400, "messages.3: odd block"));
  const { error } = await runTurn(claude, "go");
  expect(String(error)).toBe("DaemonError: The model API refused the request: messages.3: odd block");
});

test("the pause that the API asked for becomes Retry-After", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  const env = { ...ENV, CLAUDE_CODE_MAX_RETRIES: "1" };
  await using claude = startBareClaude({ home, apiUrl: api.url, env });
  api.always(rateLimited(1));
  const { error } = await runTurn(claude, "go");
  // Newer CLIs add up to a quarter to the second that the API asked for.
  if (!(error instanceof DaemonError)) throw new Error("no error");
  expect(error.code).toBe("rate_limited");
  expect([1, 2]).toContain(error.detail.retryAfterSeconds ?? 0);
});

test("an error after the agent has worked forbids the automatic retry", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  await using claude = startBareClaude({ home, apiUrl: api.url, args: AGENT_ARGS, env: ENV });
  api.script(toolCall("Bash", { command: "echo x" }), apiError(529, "Overloaded"));
  const { error } = await runTurn(claude, "go");
  expect(error).toMatchObject({ code: "overloaded", detail: { agentStarted: true }, shouldRetry: false });
  api.script(apiError(529, "Overloaded"), text("unused"));
  const fresh = await runTurn(claude, "go");
  expect(fresh.error).toMatchObject({ code: "overloaded", shouldRetry: true });
});
