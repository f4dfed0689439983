/**
 * `bun run bench`: the targets of docs/performance.md, measured side by side in one run and printed as a table. Needs nothing
 * but this repository: the real CLI is its development dependency, the model API a scripted one on loopback.
 *
 *     bun bench/run.ts [--source] [--only=NAME,NAME] [--quick]
 */
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { createPlace, type Place } from "./place.ts";
import { changes } from "./rows/changes.ts";
import { afterStop, askedAgain, burst, firstTokens, steadyTurns, turns } from "./rows/first-token.ts";
import { idle, start } from "./rows/idle.ts";
import { fullStore, makeStores } from "./rows/store.ts";
import { slowReader, streaming } from "./rows/streaming.ts";
import { type Row, renderTable } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    source: { type: "boolean", default: false },
    only: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});
const quick = values.quick;

/** What `claude -p` took, for the rows that are told in it; measured where the first rows were left out. */
let oneShotMs: number | undefined;
async function oneShotTime(place: Place): Promise<number> {
  if (oneShotMs !== undefined) return oneShotMs;
  const times: number[] = [];
  for (let round = 0; round < 6; round++) times.push((await place.oneShot("Say something.")).firstMs);
  oneShotMs = times.slice(1).toSorted((one, other) => one - other)[2] ?? Number.NaN;
  return oneShotMs;
}

const sections: Record<string, (place: Place) => Promise<Row[]>> = {
  "first-token": async (place) => {
    const result = await firstTokens(place, quick ? 4 : 10);
    oneShotMs = result.oneShotMs;
    return result.rows;
  },
  turns: async (place) => [
    ...(await turns(place, quick ? 3 : 16, quick ? 15 : 28, await oneShotTime(place))),
    await steadyTurns(place, 3, quick ? 53 : 203),
  ],
  streaming: async (place) => [
    await streaming(place, quick ? 10_000 : 30_000, quick ? 3 : 5),
    await slowReader(place, 100_000),
  ],
  stop: async (place) => [
    await afterStop(place, quick ? 4 : 8, await oneShotTime(place)),
    await askedAgain(place, quick ? 3 : 8, await oneShotTime(place)),
  ],
  burst: async (place) => [await burst(place, 20, quick ? 1 : 2)],
  idle: async (place) => idle(place, quick ? 10_000 : 20_000),
  start: async (place) => [await start(place, quick ? 8 : 20)],
  changes: async () => [await changes(quick ? 10_000 : 100_000)],
  store: async (place) => {
    const rounds = quick ? 16 : 96;
    const homes = await makeStores(place);
    const real = await fullStore(place, homes, rounds);
    // The empty one now has the sessions of the first run: a few.
    return [real, await fullStore(place, homes, rounds, place.steadyClaude)];
  },
};

const wanted = values.only?.split(",") ?? Object.keys(sections);
const note = (text: string) => process.stderr.write(`${text}\n`);
const load = () => loadavg()[0]?.toFixed(1);
const rows: Row[] = [];
const began = performance.now();
{
  await using place = await createPlace({ source: values.source });
  for (const name of wanted) {
    const section = sections[name];
    if (!section) throw new Error(`There is no ${name}; there are ${Object.keys(sections).join(", ")}.`);
    const start = performance.now();
    const found = await section(place);
    note(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s, load ${load()}`);
    for (const row of found) note(`  ${row.verdict}: ${row.what}: ${row.measured}`);
    rows.push(...found);
  }
}
const memory = `${(totalmem() / 1e9).toFixed(0)} GB`;
const cores = availableParallelism();
process.stdout.write(
  `${new Date().toISOString().slice(0, 10)}, ${cores} cores (${cpus()[0]?.model ?? "?"}), ${memory}, load ${load()}, ` +
    `${((performance.now() - began) / 60_000).toFixed(1)} min, medians (p10-p90)\n\n${renderTable(rows)}`,
);
