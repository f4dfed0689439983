/** What `GET /v1/health` says: only what was looked at, and `null` where nothing is known yet. */
import type { PoolStatus } from "../../sessions/contracts.ts";
import type { DayUsage } from "../../sessions/daily-usage.ts";
import type { FirstTokens, Median } from "../../sessions/first-tokens.ts";
import { VERSION } from "../../version.ts";
import type { MetricFamily } from "./metrics.ts";

export interface ClaudeFacts {
  /** False: no turn can run (missing, too old). */
  usable: boolean;
  path: string | undefined;
  version: string | undefined;
  /** Undefined until a process has been asked. */
  loggedIn: boolean | undefined;
  /** What is wrong and what to do about it. */
  problem: string | undefined;
}

export interface ExecutionFacts {
  enabled: boolean;
  /** What contains the code; undefined where nothing does. */
  sandbox: string | undefined;
  problem: string | undefined;
}

export interface ActivityFacts {
  /** Of the last turns. */
  firstTokens: FirstTokens;
  today: DayUsage;
}

/** Requests that the gate refused since the start. */
export interface RefusalFacts {
  byReason: Readonly<Record<string, number>>;
  last: { reason: string; message: string; secondsAgo: number } | undefined;
}

export interface HealthFacts {
  uptimeSeconds: number;
  stopping: boolean;
  claude: ClaudeFacts;
  /** Undefined until the pool exists, i.e. until claude has been found. */
  pool: PoolStatus | undefined;
  openSessions: number;
  /** Undefined until the engine is there. */
  activity: ActivityFacts | undefined;
  /** Memory of the daemon itself. */
  ownRssBytes: number;
  /** Whether code can be run (`/v1/code/execute`); undefined until it has been looked at. */
  execution: ExecutionFacts | undefined;
  refused: RefusalFacts;
  /** Other things that do not work as configured. */
  problems: readonly string[];
}

export type HealthStatus = "ok" | "degraded" | "unavailable";

/** Unavailable: a turn cannot succeed. Degraded: some will not, or a person should look. */
export function healthStatus(facts: HealthFacts): HealthStatus {
  if (facts.stopping || !facts.claude.usable) return "unavailable";
  const { pool } = facts;
  const full = pool !== undefined && pool.queue.waiting >= pool.queue.limit;
  const trouble = facts.claude.loggedIn === false || facts.claude.problem !== undefined || facts.problems.length > 0;
  return full || trouble ? "degraded" : "ok";
}

/** The wire form and its status code: 503 only for unavailable. */
export function renderHealth(facts: HealthFacts): { status: number; body: unknown } {
  const status = healthStatus(facts);
  const { claude, pool } = facts;
  const body = {
    status,
    version: VERSION,
    uptime_s: Math.floor(facts.uptimeSeconds),
    claude: {
      path: claude.path ?? null,
      version: claude.version ?? null,
      logged_in: claude.loggedIn ?? null,
      ...(claude.problem === undefined ? {} : { problem: claude.problem }),
    },
    processes: {
      live: pool?.live ?? 0,
      busy: pool?.busy ?? 0,
      idle: pool?.idle ?? 0,
      spare: pool?.spare ?? 0,
      limit: pool?.limit ?? null,
      rss_bytes: pool?.rssBytes ?? 0,
    },
    queue: { waiting: pool?.queue.waiting ?? 0, limit: pool?.queue.limit ?? null },
    sessions: { open: facts.openSessions },
    pool: { hits: pool?.hits ?? 0, misses: pool?.misses ?? 0, evictions: pool?.evictions ?? {} },
    rss_bytes: facts.ownRssBytes,
    first_token: renderFirstTokens(facts.activity),
    today: renderToday(facts.activity),
    execution: renderExecution(facts.execution),
    refused: renderRefusals(facts.refused),
    ...(facts.problems.length === 0 ? {} : { problems: facts.problems }),
  };
  return { status: status === "unavailable" ? 503 : 200, body };
}

const renderMedian = ({ turns, medianSeconds }: Median) => ({
  turns,
  median_ms: medianSeconds === undefined ? null : Math.round(medianSeconds * 10_000) / 10,
});

function renderFirstTokens(activity: ActivityFacts | undefined) {
  if (activity === undefined) return null;
  const { byStart, ...all } = activity.firstTokens;
  const kinds = Object.entries(byStart).map(([kind, median]) => [kind, renderMedian(median)] as const);
  return { ...renderMedian(all), by_start: Object.fromEntries(kinds) };
}

function renderToday(activity: ActivityFacts | undefined) {
  if (activity === undefined) return null;
  const { date, turns, costUsd } = activity.today;
  return { date, turns, cost_usd: Math.round(costUsd * 1e6) / 1e6 };
}

function renderExecution(execution: ExecutionFacts | undefined) {
  if (execution === undefined) return null;
  const { enabled, sandbox, problem } = execution;
  return { enabled, sandbox: sandbox ?? null, ...(problem === undefined ? {} : { problem }) };
}

function renderRefusals({ byReason, last }: RefusalFacts) {
  return {
    total: Object.values(byReason).reduce((sum, count) => sum + count, 0),
    by_reason: byReason,
    ...(last && {
      last: { reason: last.reason, message: last.message, seconds_ago: Math.floor(last.secondsAgo) },
    }),
  };
}

/** The same facts as metrics. */
export function healthMetrics(facts: HealthFacts): MetricFamily[] {
  const { pool } = facts;
  const gauge = (name: string, help: string, value: number): MetricFamily => ({
    name: `claude_code_daemon_${name}`,
    help,
    type: "gauge",
    samples: [{ labels: {}, value }],
  });
  const states = ["busy", "idle", "spare"] as const;
  return [
    {
      name: "claude_code_daemon_info",
      help: "Versions, always 1.",
      type: "gauge",
      samples: [{ labels: { version: VERSION, claude_version: facts.claude.version ?? "" }, value: 1 }],
    },
    gauge("up", "1 while turns can run.", healthStatus(facts) === "unavailable" ? 0 : 1),
    gauge("uptime_seconds", "Time since the daemon started.", Math.floor(facts.uptimeSeconds)),
    gauge("resident_memory_bytes", "Memory of the daemon itself.", facts.ownRssBytes),
    {
      name: "claude_code_daemon_processes",
      help: "Live claude processes by state.",
      type: "gauge",
      samples: states.map((state) => ({ labels: { state }, value: pool?.[state] ?? 0 })),
    },
    gauge("processes_limit", "Most claude processes at a time.", pool?.limit ?? 0),
    gauge("processes_resident_memory_bytes", "Memory of all claude processes.", pool?.rssBytes ?? 0),
    gauge("queue_waiting", "Requests that wait for a process.", pool?.queue.waiting ?? 0),
    gauge("queue_limit", "Most requests that may wait.", pool?.queue.limit ?? 0),
    gauge("sessions_open", "Open sessions.", facts.openSessions),
    {
      name: "claude_code_daemon_refused_total",
      help: "Requests refused before routing, by reason.",
      type: "counter",
      samples: Object.entries(facts.refused.byReason).map(([reason, value]) => ({ labels: { reason }, value })),
    },
    {
      name: "claude_code_daemon_pool_starts_total",
      help: "New conversations by whether a booted process was there for them.",
      type: "counter",
      samples: [
        { labels: { result: "hit" }, value: pool?.hits ?? 0 },
        { labels: { result: "miss" }, value: pool?.misses ?? 0 },
      ],
    },
    {
      name: "claude_code_daemon_evictions_total",
      help: "Processes that were ended although their conversation had not given them up, by reason.",
      type: "counter",
      samples: Object.entries(pool?.evictions ?? {}).map(([reason, value]) => ({ labels: { reason }, value })),
    },
  ];
}
