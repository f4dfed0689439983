/** A daemon that has nothing to do: how soon it listens, what it holds, what it uses. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Conversation } from "../client.ts";
import type { Place } from "../place.ts";
import { commandOf, cpuSeconds, descendants, memoryOf, stateOf } from "../proc.ts";
import { atMost, median, type Row, spread } from "../statistics.ts";

/** The default of `limits.suspend_after_seconds` and the rounds of its housekeeping. */
const UNTIL_STOPPED_MS = 27_000;

/** From exec to the line with the address, beside a compiled program that only prints a line. */
export async function start(place: Place, rounds: number): Promise<Row> {
  const times: number[] = [];
  const floor: number[] = [];
  const empty = await emptyProgram(place);
  const home = place.directory("start");
  for (let round = 0; round < rounds + 1; round++) {
    const began = performance.now();
    const child = Bun.spawn(empty, { env: {}, stdin: "ignore", stdout: "pipe" });
    await child.stdout.getReader().read();
    const floorMs = performance.now() - began;
    await child.exited;
    const daemon = await place.startDaemon({ home, warm: false });
    await daemon.stop();
    if (round === 0) continue;
    floor.push(floorMs);
    times.push(daemon.startMs);
  }
  return {
    what: "exec to listening, compiled",
    target: "≤ 50 ms",
    measured: `${spread(times)}; a compiled program that prints one line: ${spread(floor)}`,
    verdict: atMost(median(times), 50),
  };
}

/** The runtime's own start, compiled as the daemon is. */
async function emptyProgram(place: Place): Promise<string[]> {
  const directory = place.directory("empty");
  mkdirSync(directory, { recursive: true });
  const source = join(directory, "empty.ts");
  writeFileSync(source, 'process.stdout.write("here\\n");\n');
  const outfile = join(directory, "empty");
  const built = await Bun.build({
    entrypoints: [source],
    target: "bun",
    format: "esm",
    minify: true,
    bytecode: true,
    compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
  });
  if (!built.success) throw new Error("the empty program could not be built");
  return [outfile];
}

/** Memory and CPU after some work, with the default spares, once the unused processes are stopped. */
export async function idle(place: Place, windowMs: number): Promise<Row[]> {
  const daemon = await place.startDaemon();
  for (let turn = 0; turn < 3; turn++) {
    await new Conversation(daemon.url, "sonnet", "You are a helper.").turn("Say something.");
  }
  await Bun.sleep(UNTIL_STOPPED_MS);
  const below = descendants(daemon.pid);
  const isReaper = (pid: number) => !commandOf(pid).includes("stream-json");
  const reapers = below.filter(isReaper);
  const claudes = below.filter((pid) => !isReaper(pid));
  const all = [daemon.pid, ...below];
  const before = all.map(cpuSeconds);
  await Bun.sleep(windowMs);
  const used = all.map((pid, index) => ((cpuSeconds(pid) - (before[index] ?? 0)) * 100_000) / windowMs);
  const stopped = claudes.filter((pid) => stateOf(pid) === "T").length;
  const own = memoryOf(daemon.pid);
  const reaperMb = reapers.reduce((sum, pid) => sum + memoryOf(pid).rssMb, 0);
  await daemon.stop();
  const total = used.reduce((sum, one) => sum + one, 0);
  const ours = used[0] ?? Number.NaN;
  return [
    {
      what: "idle daemon, memory of its own",
      target: "≤ 60 MB RSS",
      measured: `${own.rssMb.toFixed(1)} MB RSS, of these ${own.anonymousMb.toFixed(1)} MB not pages of the binary`,
      verdict: atMost(own.rssMb, 60),
    },
    {
      what: "reaper",
      target: "≤ 5 MB RSS",
      measured: `${reaperMb.toFixed(1)} MB (${reapers.length} processes)`,
      verdict: reapers.length > 0 ? atMost(reaperMb, 5) : "not measured",
    },
    {
      what: "idle CPU, stopped spares included",
      target: "not measurable",
      measured: `${ours.toFixed(2)} % of a core for the daemon, ${total.toFixed(2)} % with ${claudes.length} claude (${stopped} stopped), over ${windowMs / 1000} s`,
      // The clock of /proc ticks every 10 ms: two ticks in the window are what cannot be told from none.
      verdict: atMost(total, (2 * 1000) / windowMs),
    },
  ];
}
