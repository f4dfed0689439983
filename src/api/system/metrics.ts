/** Metric families, as plain data, and as Prometheus text (version 0.0.4). */

export type Labels = Readonly<Record<string, string>>;

export interface HistogramSample {
  labels: Labels;
  /** Observations at most as large as the bound of the same index, cumulative. */
  counts: readonly number[];
  count: number;
  sum: number;
}

/** One metric with all its label sets. Names follow Prometheus: base units, `_total` for counters. */
export type MetricFamily =
  | { name: string; help: string; type: "counter" | "gauge"; samples: readonly { labels: Labels; value: number }[] }
  | { name: string; help: string; type: "histogram"; bounds: readonly number[]; samples: readonly HistogramSample[] };

export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function linesOf(family: MetricFamily): string[] {
  const { name } = family;
  if (family.type !== "histogram") {
    return family.samples.map((sample) => `${name}${labelText(sample.labels)} ${sample.value}`);
  }
  return family.samples.flatMap(({ labels, counts, count, sum }) => [
    ...family.bounds.map(
      (bound, index) => `${name}_bucket${labelText({ ...labels, le: String(bound) })} ${counts[index]}`,
    ),
    `${name}_bucket${labelText({ ...labels, le: "+Inf" })} ${count}`,
    `${name}_sum${labelText(labels)} ${sum}`,
    `${name}_count${labelText(labels)} ${count}`,
  ]);
}

/** The whole exposition. A family without samples shows its header only. */
export function renderMetrics(families: readonly MetricFamily[]): string {
  const lines = families.flatMap((family) => [
    `# HELP ${family.name} ${family.help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
    `# TYPE ${family.name} ${family.type}`,
    ...linesOf(family),
  ]);
  return `${lines.join("\n")}\n`;
}
