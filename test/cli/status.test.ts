/** `status` as a person and as a script see it. */
import { expect, test } from "bun:test";
import { type Health, renderStatus } from "../../src/cli/status-text.ts";
import { isColoured, styleOf } from "../../src/cli/style.ts";
import { dollars, duration, memory, milliseconds } from "../../src/cli/words.ts";
import { type Running, runCommand, startFromSource } from "../e2e/from-source.ts";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { text } from "../support/api-reply.ts";
import { createClaudeHome } from "../support/claude.ts";

const health: Health = {
  status: "ok",
  version: "0.1.0",
  uptime_s: 4 * 3600,
  rss_bytes: 48_000_000,
  claude: { path: "/home/u/.local/bin/claude", version: "2.1.330", logged_in: true },
  processes: { live: 3, busy: 1, idle: 0, spare: 2, limit: 8, rss_bytes: 312_000_000 },
  queue: { waiting: 0, limit: 64 },
  sessions: { open: 2 },
  pool: { hits: 33, misses: 7, evictions: {} },
  first_token: {
    ...{ turns: 40, median_ms: 31.4 },
    by_start: { live: { turns: 30, median_ms: 24.2 }, cold: { turns: 10, median_ms: 1540 } },
  },
  today: { date: "2026-01-31", turns: 1, cost_usd: 1.834 },
  execution: { enabled: true, sandbox: "bubblewrap" },
};
const context = (env: Record<string, string>, noColor = false) => ({
  facts: { env, platform: "linux" as const, cwd: "/", userHome: "/", uid: 1 },
  noColor,
});
const output = (isTerminal: boolean) => ({ isTerminal, write: () => undefined });
const plain = styleOf(output(false), context({}));
const render = (over: Partial<Health> = {}) =>
  renderStatus("http://127.0.0.1:8080", { ...health, ...over }, plain, (text) => text);

test("status is one fact a line, aligned, within 80 columns", () => {
  const lines = render();
  expect(lines).toEqual([
    "ok  claude-code-daemon 0.1.0 at http://127.0.0.1:8080, up 4 h",
    "",
    "claude       2.1.330, logged in",
    "             /home/u/.local/bin/claude",
    "sessions     2 open",
    "processes    3 of 8: 1 busy, 2 spare, 312 MB (the daemon itself: 48 MB)",
    "queue        empty",
    "pool         83 % of 40 new conversations found a booted process",
    "first token  31 ms in the median of the last 40 turns",
    "             going on 24 ms (30), cold 1.5 s (10)",
    "today        1 turn, $1.83 as claude reports it",
    "running code in bubblewrap",
  ]);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
});

test("what is wrong stands at the end, with where to read on", () => {
  const problem = "claude is not logged in. Run `claude` once and log in.";
  const lines = render({
    status: "degraded",
    claude: { ...health.claude, logged_in: false, problem },
    problems: ["p2"],
  });
  expect(lines.slice(-4)).toEqual(["", `! ${problem}`, "! p2", "  More: claude-code-daemon doctor"]);
});

test("a web app that is refused is shown, with what lets it in", () => {
  const message =
    "Web pages of http://a may not call this daemon. If they should: claude-code-daemon origin allow http://a";
  const refused = { total: 3, by_reason: { origin: 3 }, last: { reason: "origin", message, seconds_ago: 5 } };
  expect(render({ refused })).toEqual(
    expect.arrayContaining(["refused      3 requests, the last 5 s ago (origin):", `             ${message}`]),
  );
  expect(render({ refused: { total: 0, by_reason: {} } }).join("\n")).not.toContain("refused");
});

test("a daemon that has done nothing yet, or is older, is shown without empty numbers", () => {
  const nothing = { turns: 0, median_ms: null, by_start: {} };
  expect(render({ first_token: nothing, pool: { hits: 0, misses: 0, evictions: {} } })).toEqual(
    expect.arrayContaining(["pool         no new conversation yet", "first token  no turn yet"]),
  );
  const { rss_bytes: _rss, first_token: _first, today: _today, execution: _execution, ...older } = health;
  const lines = renderStatus("http://127.0.0.1:1", older, plain, (text) => text);
  expect(lines.join("\n")).not.toMatch(/first token|today|undefined|NaN|running code/);
});

test.each([
  ["a terminal", true, {}, false, true],
  ["a pipe", false, {}, false, false],
  ["NO_COLOR", true, { NO_COLOR: "1" }, false, false],
  ["an empty NO_COLOR", true, { NO_COLOR: "" }, false, true],
  ["TERM=dumb", true, { TERM: "dumb" }, false, false],
  ["--no-color", true, { FORCE_COLOR: "1" }, true, false],
  ["FORCE_COLOR in a pipe", false, { FORCE_COLOR: "1" }, false, true],
  ["FORCE_COLOR=0", true, { FORCE_COLOR: "0" }, false, false],
  ["NO_COLOR beside FORCE_COLOR", true, { FORCE_COLOR: "1", NO_COLOR: "1" }, false, false],
] as const)("colours: %s", (_, isTerminal, env, noColor, expected) => {
  expect(isColoured(output(isTerminal), context({ ...env }, noColor))).toBe(expected);
});

test("numbers read as a person says them", () => {
  expect([0, 119, 120, 7199, 7200, 172_800].map(duration)).toEqual([
    "0 s",
    "119 s",
    "2 min",
    "119 min",
    "2 h",
    "2 days",
  ]);
  expect([0.4, 31.6, 1540, 12_345].map(milliseconds)).toEqual(["0 ms", "32 ms", "1.5 s", "12 s"]);
  expect([0, 0.0123, 1.834].map(dollars)).toEqual(["$0.00", "$0.0123", "$1.83"]);
  expect([48_000_000, 2_340_000_000].map(memory)).toEqual(["48 MB", "2.3 GB"]);
});

test("of a real daemon: today's turns and their cost are there after a restart, chat and agent alike", async () => {
  await using api = startAnthropicApi();
  api.always(text("hello"));
  await using home = await createClaudeHome();
  const ask = async (daemon: Running, model: string) => {
    const messages = [{ role: "user", content: "hi" }];
    const workspace = model === "claude-code" ? { claude_code: { workspace: home.cwd } } : {};
    const answer = await daemon.post("/v1/chat/completions", { model, messages, ...workspace });
    return (await answer.json()) as { claude_code?: { cost_usd?: number } };
  };
  const status = async (daemon: Running) => {
    const json = JSON.parse((await runCommand(["status", "--json"], daemon.env, "/")).out);
    return { ...(json as Required<Health>), shown: (await runCommand(["status"], daemon.env, "/")).out };
  };
  let cost = 0;
  {
    await using daemon = await startFromSource({ apiUrl: api.url, home });
    const models = (await (await fetch(`${daemon.url}/v1/models`)).json()) as { data: { id: string }[] };
    const chat = models.data.find(({ id }) => !id.startsWith("claude-code"))?.id ?? "";
    for (const model of ["claude-code", chat]) cost += (await ask(daemon, model)).claude_code?.cost_usd ?? 0;
    const { today, first_token: firstToken } = await status(daemon);
    expect(today).toMatchObject({ turns: 2, cost_usd: expect.closeTo(cost, 5) });
    expect(firstToken).toMatchObject({ turns: 2, median_ms: expect.any(Number) });
  }
  await using daemon = await startFromSource({ apiUrl: api.url, home });
  const { today, first_token: firstToken, shown } = await status(daemon);
  expect(today).toMatchObject({ turns: 2, cost_usd: expect.closeTo(cost, 5) });
  expect(firstToken).toEqual({ turns: 0, median_ms: null, by_start: {} });
  expect(shown).toContain("\ntoday        2 turns, $");
  expect(shown).not.toContain("\u001b");
});
