/** What the sandbox costs: a program through the executor against the bare interpreter, side by side in one run. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createExecutor } from "../src/exec/runner.ts";
import { createLogger } from "../src/log.ts";

const ROUNDS = 25;
const PROGRAMS: [language: string, bare: string[], code: string][] = [
  ["sh", ["/bin/sh", "-c", ":"], ":"],
  ["python", ["python3", "-c", "pass"], "pass"],
  ["javascript", [process.execPath, "-e", "0"], "0"],
];

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const directory = mkdtempSync(join(tmpdir(), "claude-code-daemon-bench-"));
const executor = createExecutor({
  languages: { path: "/usr/local/bin:/usr/bin:/bin", home: "/nonexistent", bun: process.execPath },
  directory: join(directory, "exec"),
  allowUnsandboxed: false,
  secrets: [],
  marker: ["CLAUDE_CODE_DAEMON_SESSION", crypto.randomUUID()],
  endStragglers: async () => undefined,
  newId: () => `exe_${crypto.randomUUID()}`,
  log: createLogger({ level: "error", timestamps: false }),
});
const limits = { timeoutMs: 10_000, memoryBytes: 2 ** 29, processes: 64, fileBytes: 2 ** 26, outputBytes: 65_536 };

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function sandboxed(language: string, code: string): Promise<void> {
  const signal = new AbortController().signal;
  const common = { args: [], stdin: undefined, files: [], workspace: undefined, network: false, signal };
  for await (const _ of executor.run({ ...common, language, code, limits })) {
    // Only the whole run counts.
  }
}

try {
  const rows: string[] = [];
  for (const [language, bare, code] of PROGRAMS) {
    const times = { bare: [] as number[], sandbox: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      times.bare.push(await timed(() => Bun.spawn(bare, { stdin: "ignore", stdout: "ignore", env: {} }).exited));
      times.sandbox.push(await timed(() => sandboxed(language, code)));
    }
    const [plain, inside] = [median(times.bare), median(times.sandbox)];
    rows.push(`| ${language} | ${plain.toFixed(1)} | ${inside.toFixed(1)} | +${(inside - plain).toFixed(1)} |`);
  }
  process.stdout.write(
    `| program | bare, ms | executed, ms | difference |\n|---|---|---|---|\n${rows.join("\n")}\n(medians of ${ROUNDS}, alternating)\n`,
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}
