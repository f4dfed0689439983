/** The engine's numbers as metrics. */
import type { MetricFamily } from "../api/system/metrics.ts";
import { START_KINDS } from "../sessions/contracts.ts";
import { type EngineMetrics, FIRST_TOKEN_BUCKETS } from "../sessions/metrics.ts";

const PREFIX = "claude_code_daemon_";

/** Label values are start kinds, end reasons and error codes: all of them words of ours. */
export function engineMetrics(metrics: EngineMetrics): MetricFamily[] {
  return [
    {
      name: `${PREFIX}time_to_first_token_seconds`,
      help: "From the request to the first token, by how the turn came to its process.",
      type: "histogram",
      bounds: FIRST_TOKEN_BUCKETS,
      samples: START_KINDS.map((start) => {
        const { counts, count, sumSeconds } = metrics.firstTokenSeconds[start];
        let running = 0;
        const cumulative = FIRST_TOKEN_BUCKETS.map((_, index) => {
          running += counts[index] ?? 0;
          return running;
        });
        return { labels: { start }, counts: cumulative, count, sum: sumSeconds };
      }),
    },
    {
      name: `${PREFIX}turns_total`,
      help: "Turns by how they ended.",
      type: "counter",
      samples: Object.entries(metrics.turnsEnded).map(([end, value]) => ({ labels: { end }, value })),
    },
    {
      name: `${PREFIX}turns_running`,
      help: "Turns that run now.",
      type: "gauge",
      samples: [{ labels: {}, value: metrics.turnsRunning }],
    },
    {
      name: `${PREFIX}retries_joined_total`,
      help: "Requests that joined the turn of their first attempt.",
      type: "counter",
      samples: [{ labels: {}, value: metrics.retriesJoined }],
    },
  ];
}
