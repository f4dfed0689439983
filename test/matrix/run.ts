/**
 * `bun run matrix`: every suite that drives the real `claude`, on the floor, the newest and the versions between, one after
 * the other. Prints what failed, a table of versions and suites, and the totals. About five minutes a version on two cores.
 *
 *     bun run matrix [--versions=2.1.126,2.1.197,2.1.260,newest] [--latest] [--only=claude,sessions] [-- BUN_TEST_FLAGS]
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readTotals, type Totals } from "../support/test-totals.ts";
import { installVersion, type MatrixVersion, pinnedVersions } from "./versions.ts";

/** As in .ci/check.ts: what the preload sets holds for the first file only. */
const TEST_TIMEOUT_MS = 60_000;
/** The longest takes two minutes; one that hangs must not hold up the others for ever. */
const SUITE_TIMEOUT_MS = 15 * 60_000;
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The whole output of each suite, for a look at what failed. */
const LOGS = join(ROOT, "dist/matrix");

/** What a suite's column is called, and where `bun test` finds it. */
const SUITES: Readonly<Record<string, readonly string[]>> = {
  claude: ["test/claude/"],
  sessions: ["test/sessions/"],
  contract: ["test/contract/"],
  workspace: ["test/workspace/real-claude.test.ts", "test/workspace/trust.test.ts"],
  demo: ["test/demo/"],
  e2e: ["test/e2e/"],
  cli: ["test/cli/doctor.test.ts", "test/install/prove.test.ts"],
};

const { values, positionals } = parseArgs({
  options: { versions: { type: "string" }, only: { type: "string" }, latest: { type: "boolean", default: false } },
  allowPositionals: true,
});
const say = (text: string) => process.stdout.write(`${text}\n`);

async function runSuite(claude: MatrixVersion, suite: string, paths: readonly string[]): Promise<Totals> {
  const started = performance.now();
  const child = Bun.spawn([process.execPath, "test", `--timeout=${TEST_TIMEOUT_MS}`, ...positionals, ...paths], {
    cwd: ROOT,
    env: { ...process.env, CLAUDE_CODE_DAEMON_TEST_CLAUDE: claude.path },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: SUITE_TIMEOUT_MS,
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const totals = readTotals(err, await child.exited);
  const log = join(LOGS, `${claude.version}-${suite}.log`);
  await Bun.write(log, out + err);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  say(`${claude.version} ${suite}: ${totals.passed} passed, ${totals.failed} failed (${seconds} s)`);
  // Bun repeats them at the end.
  for (const line of new Set(err.split("\n").filter((one) => one.startsWith("(fail)")))) say(`  ${line}`);
  if (totals.failed > 0) say(`  see ${log}`);
  return totals;
}

const cell = ({ passed, failed, skipped }: Totals) =>
  `${passed} ✓${failed > 0 ? ` **${failed} ✗**` : ""}${skipped > 0 ? ` ${skipped} skipped` : ""}`;

const names = values.versions?.split(",") ?? (await pinnedVersions());
if (values.latest) names.push("latest");
const suites = values.only?.split(",") ?? Object.keys(SUITES);
for (const suite of suites)
  if (!SUITES[suite]) throw new Error(`There is no ${suite}; there are ${Object.keys(SUITES).join(", ")}.`);
mkdirSync(LOGS, { recursive: true });
// All of them first: a version that cannot be had is told before an hour of testing.
const versions: MatrixVersion[] = [];
for (const name of names) versions.push(await installVersion(name));

const sum: Totals = { passed: 0, failed: 0, skipped: 0 };
const rows = [`| version | ${suites.join(" | ")} |`, `| --- |${" --- |".repeat(suites.length)}`];
for (const claude of versions) {
  const cells: string[] = [];
  for (const suite of suites) {
    const totals = await runSuite(claude, suite, SUITES[suite] ?? []);
    for (const key of ["passed", "failed", "skipped"] as const) sum[key] += totals[key];
    cells.push(cell(totals));
  }
  rows.push(`| ${claude.version}${claude.pinned ? "" : " (not pinned)"} | ${cells.join(" | ")} |`);
}
process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0;
say(`\n${rows.join("\n")}\n`);
say(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ""}`);
