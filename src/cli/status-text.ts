/** What `status` shows a person: the health answer, one fact a line. Pure. */
import type { Static } from "@sinclair/typebox";
import type { HealthBody } from "../api/system/schema.ts";
import type { StartKind } from "../sessions/contracts.ts";
import type { Style } from "./style.ts";
import { counted, dollars, duration, memory, milliseconds } from "./words.ts";

/** What an older daemon, still running beside a newer command, may leave out. */
type Added = "rss_bytes" | "refused" | "first_token" | "today" | "execution";
type Body = Static<typeof HealthBody>;
export type Health = Omit<Body, Added> & Partial<Pick<Body, Added>>;

const LABEL_WIDTH = 13;
/** How a turn came to its process, in words. */
const STARTS: Record<string, string> = {
  live: "going on",
  rewound: "taken back",
  profile: "prepared",
  spare: "booted ahead",
  cold: "cold",
  resume: "resumed",
} satisfies Record<StartKind, string>;

function describeLogin(claude: Health["claude"]): string {
  if (claude.logged_in === null) return "login not known yet";
  return claude.logged_in ? "logged in" : "not logged in";
}

function describeProcesses({ processes, rss_bytes: own }: Health): string {
  const { live, busy, idle, spare, limit } = processes;
  const states = [busy > 0 && `${busy} busy`, idle > 0 && `${idle} idle`, spare > 0 && `${spare} spare`].filter(
    Boolean,
  );
  const of = limit === null ? `${live}` : `${live} of ${limit}`;
  const theirs = live > 0 ? `, ${memory(processes.rss_bytes)}` : "";
  const ours = own === undefined ? "" : ` (the daemon itself: ${memory(own)})`;
  return `${of}${states.length === 0 ? "" : `: ${states.join(", ")}`}${theirs}${ours}`;
}

function describePool({ hits, misses }: Health["pool"]): string {
  const all = hits + misses;
  if (all === 0) return "no new conversation yet";
  return `${Math.round((100 * hits) / all)} % of ${counted(all, "new conversation")} found a booted process`;
}

function describeFirstToken(firstToken: NonNullable<Health["first_token"]>): string[] {
  const { turns, median_ms: median, by_start: kinds } = firstToken;
  if (median === null) return ["no turn yet"];
  const each = Object.entries(kinds).flatMap(([kind, value]) =>
    value === undefined || value.median_ms === null
      ? []
      : [`${STARTS[kind] ?? kind} ${milliseconds(value.median_ms)} (${value.turns})`],
  );
  const of = turns === 1 ? "in the one turn so far" : `in the median of the last ${turns} turns`;
  return [`${milliseconds(median)} ${of}`, each.join(", ")];
}

/** Lines of our own words and of numbers; texts of the daemon go through `clean`. */
export function renderStatus(url: string, health: Health, style: Style, clean: (text: string) => string): string[] {
  const { claude, queue } = health;
  const paint = { ok: style.good, degraded: style.warning, unavailable: style.bad }[health.status];
  const row = (label: string, [first = "", ...more]: string[]) => [
    `${style.faint(label.padEnd(LABEL_WIDTH))}${first}`,
    ...more.map((line) => `${" ".repeat(LABEL_WIDTH)}${style.faint(line)}`),
  ];
  const version = claude.version === null ? "not found" : clean(claude.version);
  const refused = health.refused?.last;
  const rows = [
    ...row("claude", [`${version}, ${describeLogin(claude)}`, ...(claude.path === null ? [] : [clean(claude.path)])]),
    ...row("sessions", [`${health.sessions.open} open`]),
    ...row("processes", [describeProcesses(health)]),
    ...row("queue", [queue.waiting === 0 ? "empty" : `${queue.waiting} waiting, at most ${queue.limit ?? "?"}`]),
    ...row("pool", [describePool(health.pool)]),
    ...(health.first_token ? row("first token", describeFirstToken(health.first_token)) : []),
    ...(health.today
      ? row("today", [`${counted(health.today.turns, "turn")}, ${dollars(health.today.cost_usd)} as claude reports it`])
      : []),
    ...(health.refused && refused
      ? row("refused", [
          `${counted(health.refused.total, "request")}, the last ${duration(refused.seconds_ago)} ago (${clean(refused.reason)}):`,
          clean(refused.message),
        ])
      : []),
    ...(health.execution
      ? row("running code", [
          health.execution.enabled ? `in ${clean(health.execution.sandbox ?? "no sandbox")}` : "off",
        ])
      : []),
  ];
  const problems = [claude.problem, health.execution?.problem, ...(health.problems ?? [])].filter(
    (problem) => problem !== undefined,
  );
  const mark = style.warning("!");
  return [
    `${paint(style.bold(health.status))}  claude-code-daemon ${clean(health.version)} at ${url}, up ${duration(health.uptime_s)}`,
    "",
    ...rows,
    ...(problems.length === 0 ? [] : ["", ...problems.map((problem) => `${mark} ${clean(problem)}`)]),
    ...(health.status === "ok" ? [] : [`  More: claude-code-daemon doctor`]),
  ];
}
