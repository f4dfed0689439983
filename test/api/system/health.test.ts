import { describe, expect, test } from "bun:test";
import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { type HealthFacts, healthMetrics, healthStatus, renderHealth } from "../../../src/api/system/health.ts";
import { type MetricFamily, renderMetrics } from "../../../src/api/system/metrics.ts";
import { HealthBody } from "../../../src/api/system/schema.ts";
import { engineMetrics } from "../../../src/daemon/engine-metrics.ts";
import { START_KINDS } from "../../../src/sessions/contracts.ts";
import { MetricsRecorder } from "../../../src/sessions/metrics.ts";

const pool = {
  ...{ live: 3, busy: 1, idle: 1, spare: 1, limit: 8, rssBytes: 300_000_000, hits: 5, misses: 2 },
  queue: { waiting: 0, limit: 2 },
  evictions: { limit: 4, idle: 1, waiting: 0, stale: 2, memory: 3, unwanted: 0 },
};
function facts(over: Partial<HealthFacts> = {}): HealthFacts {
  return {
    uptimeSeconds: 12.7,
    stopping: false,
    claude: { usable: true, path: "/opt/claude", version: "2.1.330", loggedIn: true, problem: undefined },
    pool,
    openSessions: 4,
    activity: {
      firstTokens: {
        ...{ turns: 3, medianSeconds: 0.02444 },
        byStart: { live: { turns: 2, medianSeconds: 0.02 }, cold: { turns: 1, medianSeconds: 0.5 } },
      },
      today: { date: "2026-01-31", turns: 7, costUsd: 0.30000000000000004 },
    },
    ownRssBytes: 50_000_000,
    execution: undefined,
    refused: {
      byReason: { origin_not_allowed: 2, misdirected: 1 },
      last: { reason: "misdirected", message: "Use http://127.0.0.1:8080.", secondsAgo: 3.5 },
    },
    problems: [],
    ...over,
  };
}
const claude = (over: Partial<HealthFacts["claude"]>) => facts({ claude: { ...facts().claude, ...over } });

describe("status", () => {
  test.each([
    ["all is well", facts(), "ok", 200],
    ["claude is not known yet", claude({ loggedIn: undefined, version: undefined }), "ok", 200],
    ["not logged in", claude({ loggedIn: false, problem: "log in" }), "degraded", 200],
    ["the queue is full", facts({ pool: { ...pool, queue: { waiting: 2, limit: 2 } } }), "degraded", 200],
    ["a file cannot be used", facts({ problems: ["origins.json is not used"] }), "degraded", 200],
    ["no claude", claude({ usable: false, problem: "not found" }), "unavailable", 503],
    ["stopping", facts({ stopping: true }), "unavailable", 503],
  ] as const)("%s", (_, given, status, code) => {
    expect(healthStatus(given)).toBe(status);
    expect(renderHealth(given).status).toBe(code);
  });
});

test("the body is what docs/api.md says, with null where nothing is known", () => {
  expect(renderHealth(claude({ path: undefined, version: undefined, loggedIn: undefined })).body).toEqual({
    status: "ok",
    version: "dev",
    uptime_s: 12,
    claude: { path: null, version: null, logged_in: null },
    processes: { live: 3, busy: 1, idle: 1, spare: 1, limit: 8, rss_bytes: 300_000_000 },
    queue: { waiting: 0, limit: 2 },
    sessions: { open: 4 },
    pool: { hits: 5, misses: 2, evictions: { limit: 4, idle: 1, waiting: 0, stale: 2, memory: 3, unwanted: 0 } },
    rss_bytes: 50_000_000,
    first_token: {
      ...{ turns: 3, median_ms: 24.4 },
      by_start: { live: { turns: 2, median_ms: 20 }, cold: { turns: 1, median_ms: 500 } },
    },
    today: { date: "2026-01-31", turns: 7, cost_usd: 0.3 },
    refused: {
      ...{ total: 3, by_reason: { origin_not_allowed: 2, misdirected: 1 } },
      last: { reason: "misdirected", message: "Use http://127.0.0.1:8080.", seconds_ago: 3 },
    },
    execution: null,
  });
});

test.each([
  ["all is known", facts({ problems: ["a problem"], execution: { enabled: true, sandbox: "b", problem: "p" } })],
  ["nothing is known yet", facts({ pool: undefined, activity: undefined })],
  ["claude is missing", claude({ usable: false, path: undefined, version: undefined, problem: "not found" })],
])("the body is as documented when %s", (_, given) => {
  const body = JSON.parse(JSON.stringify(renderHealth(given).body));
  expect([...Value.Errors(Type.Object(HealthBody.properties, { additionalProperties: false }), body)]).toEqual([]);
});

describe("metrics", () => {
  test("Prometheus text: header lines, labels escaped, histogram buckets cumulative to +Inf", () => {
    const families: MetricFamily[] = [
      { name: "a_total", help: "Line\nbreak.", type: "counter", samples: [{ labels: { end: 'a"b\\c\nd' }, value: 3 }] },
      {
        name: "t_seconds",
        help: "Time.",
        type: "histogram",
        bounds: [0.1, 1],
        samples: [{ labels: { start: "cold" }, counts: [1, 3], count: 4, sum: 5.5 }],
      },
    ];
    expect(renderMetrics(families)).toBe(
      [
        "# HELP a_total Line\\nbreak.",
        "# TYPE a_total counter",
        'a_total{end="a\\"b\\\\c\\nd"} 3',
        "# HELP t_seconds Time.",
        "# TYPE t_seconds histogram",
        't_seconds_bucket{start="cold",le="0.1"} 1',
        't_seconds_bucket{start="cold",le="1"} 3',
        't_seconds_bucket{start="cold",le="+Inf"} 4',
        't_seconds_sum{start="cold"} 5.5',
        't_seconds_count{start="cold"} 4',
        "",
      ].join("\n"),
    );
  });

  test("the engine's first tokens become cumulative buckets by kind of start", () => {
    const recorder = new MetricsRecorder();
    recorder.firstTokenAfter("cold", 0.03);
    recorder.firstTokenAfter("cold", 0.03);
    recorder.firstTokenAfter("cold", 100);
    recorder.turnStarted();
    recorder.turnEnded("end");
    const text = renderMetrics(engineMetrics(recorder.snapshot()));
    const name = "claude_code_daemon_time_to_first_token_seconds";
    expect(text).toContain(`${name}_bucket{start="cold",le="0.025"} 0`);
    expect(text).toContain(`${name}_bucket{start="cold",le="0.05"} 2`);
    expect(text).toContain(`${name}_bucket{start="cold",le="60"} 2`);
    expect(text).toContain(`${name}_bucket{start="cold",le="+Inf"} 3`);
    for (const kind of START_KINDS) expect(text).toContain(`${name}_count{start="${kind}"}`);
    expect(text).toContain('claude_code_daemon_turns_total{end="end"} 1');
  });

  test("every line is a comment or a sample", () => {
    const text = renderMetrics(healthMetrics(facts()));
    for (const line of text.trimEnd().split("\n")) {
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? -?\d+(\.\d+)?)$/);
    }
    expect(text).toContain('claude_code_daemon_processes{state="spare"} 1');
    expect(text).toContain('claude_code_daemon_evictions_total{reason="memory"} 3');
    expect(text).toContain("claude_code_daemon_up 1");
  });
});
