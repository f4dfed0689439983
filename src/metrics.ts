/** What is counted, as plain data: recorded where it happens, rendered by api/system. Label values are constants of ours. */

export type Labels = Readonly<Record<string, string>>;

export interface MetricSample {
  labels: Labels;
  value: number;
}

export interface HistogramSample {
  labels: Labels;
  /** Observations at most as large as the bound of the same index, cumulative. */
  counts: readonly number[];
  count: number;
  sum: number;
}

/** One metric with all its label sets. Names follow Prometheus: base units, `_total` for counters. */
export type MetricFamily =
  | { name: string; help: string; type: "counter" | "gauge"; samples: readonly MetricSample[] }
  | { name: string; help: string; type: "histogram"; bounds: readonly number[]; samples: readonly HistogramSample[] };

/** Label sets of one metric; further ones are counted nowhere. Bounds memory should a label ever hold a client's word. */
const MAX_LABEL_SETS = 100;

interface Series {
  labels: Labels;
  counts: number[];
  count: number;
  sum: number;
}

/** Counts observations into buckets. An observation costs one map look-up. */
export class Histogram {
  private readonly series = new Map<string, Series>();

  constructor(
    private readonly name: string,
    private readonly help: string,
    private readonly bounds: readonly number[],
  ) {}

  observe(labels: Labels, value: number): void {
    const key = Object.values(labels).join("\n");
    let series = this.series.get(key);
    if (!series) {
      if (this.series.size >= MAX_LABEL_SETS) return;
      series = { labels, counts: this.bounds.map(() => 0), count: 0, sum: 0 };
      this.series.set(key, series);
    }
    series.count += 1;
    series.sum += value;
    const bucket = this.bounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
  }

  family(): MetricFamily {
    const samples = [...this.series.values()].map((series) => {
      let running = 0;
      const counts = series.counts.map((count) => {
        running += count;
        return running;
      });
      return { labels: series.labels, counts, count: series.count, sum: series.sum };
    });
    return { name: this.name, help: this.help, type: "histogram", bounds: this.bounds, samples };
  }
}

/** Counts events by label set. */
export class Counter {
  private readonly series = new Map<string, { labels: Labels; value: number }>();

  constructor(
    private readonly name: string,
    private readonly help: string,
  ) {}

  add(labels: Labels = {}, amount = 1): void {
    const key = Object.values(labels).join("\n");
    const series = this.series.get(key);
    if (series) series.value += amount;
    else if (this.series.size < MAX_LABEL_SETS) this.series.set(key, { labels, value: amount });
  }

  family(): MetricFamily {
    return { name: this.name, help: this.help, type: "counter", samples: [...this.series.values()] };
  }
}
