/** The answer of `GET /v1/health`, for its documentation and its tests. Fields are only ever added. */
import { type TSchema, Type } from "@sinclair/typebox";
import { EVICTION_REASONS, START_KINDS } from "../../sessions/contracts.ts";

const orNull = <T extends TSchema>(schema: T, description?: string) =>
  Type.Union([schema, Type.Null()], description === undefined ? {} : { description });
const count = (description?: string) =>
  Type.Integer({ minimum: 0, ...(description === undefined ? {} : { description }) });

const Median = {
  turns: count("How many the median is of."),
  median_ms: orNull(Type.Number(), "From the request to the first word, call or thought. `null`: there were none."),
};

export const HealthBody = Type.Object({
  status: Type.Union([Type.Literal("ok"), Type.Literal("degraded"), Type.Literal("unavailable")]),
  version: Type.String(),
  uptime_s: count(),
  rss_bytes: count("Memory of the daemon itself."),
  claude: Type.Object({
    path: orNull(Type.String()),
    version: orNull(Type.String()),
    logged_in: orNull(Type.Boolean(), "`null`: claude has not said yet."),
    problem: Type.Optional(Type.String({ description: "What is wrong and what to do about it." })),
  }),
  processes: Type.Object({
    live: count(),
    busy: count("In a turn."),
    idle: count("Of conversations that rest."),
    spare: count("Booted ahead of need."),
    limit: orNull(count()),
    rss_bytes: count("Of all claude processes together."),
  }),
  queue: Type.Object({ waiting: count("Requests that wait for a process."), limit: orNull(count()) }),
  sessions: Type.Object({ open: count() }),
  pool: Type.Object({
    hits: count("New conversations for which a booted process was there, since the start."),
    misses: count("New conversations that had to start claude."),
    evictions: Type.Partial(Type.Object(Object.fromEntries(EVICTION_REASONS.map((reason) => [reason, count()]))), {
      description:
        "Processes ended before their conversation gave them up: others needed the place, unused or stopped for too long, " +
        "results that did not come, past the memory cap, a spare nobody wants any more.",
    }),
  }),
  first_token: orNull(
    Type.Object({
      ...Median,
      by_start: Type.Partial(Type.Object(Object.fromEntries(START_KINDS.map((kind) => [kind, Type.Object(Median)]))), {
        description: "By how the turn came to its process; kinds that did not occur are left out.",
      }),
    }),
    "Exact medians of the last 512 turns since the start. `null`: claude is still being looked for.",
  ),
  today: orNull(
    Type.Object({
      date: Type.String({ description: "The daemon's local calendar day." }),
      turns: count("That came to their end, agent and chat."),
      cost_usd: Type.Number({ description: "As claude reports it; turns that failed are not in it." }),
    }),
    "Kept over restarts.",
  ),
  refused: Type.Object(
    {
      total: count(),
      by_reason: Type.Record(Type.String(), count()),
      last: Type.Optional(
        Type.Object({
          reason: Type.String(),
          message: Type.String({ description: "What to do if it should have been let in." }),
          seconds_ago: count(),
        }),
      ),
    },
    { description: "Requests refused since the start, by Host, Origin, proxy, method or kind of body." },
  ),
  execution: orNull(
    Type.Object({
      enabled: Type.Boolean(),
      sandbox: orNull(Type.String()),
      problem: Type.Optional(Type.String()),
    }),
    "Running code (`POST /v1/code/execute`). `null`: not looked at yet.",
  ),
  problems: Type.Optional(Type.Array(Type.String(), { description: "What does not work as configured." })),
});
