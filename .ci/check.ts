/**
 * Every check and test, in one run: format and lint, types, shell scripts, `bun test`. Goes on after a failure, so that one
 * run shows everything, and ends with the totals, each static check counted as one.
 */
import { existsSync } from "node:fs";
import { packagedClaude } from "../test/support/claude-package.ts";
import { KEPT_SUMMARY_CHARS, readTotals, type Totals } from "../test/support/test-totals.ts";

/** Beside every file named `.sh`. */
const NAMELESS_SHELL_SCRIPTS = [".ci/run", "bin/claude-code-daemon"];
/** What test/preload.ts sets holds for the first file only (Bun 1.4.5); the flag holds for all. */
const TEST_TIMEOUT_MS = 60_000;

/**
 * What runs with the floor too, in a minute or two: chats that go on, branch and are resumed, agents and what they changed,
 * client tools, permission prompts, interrupts, a daemon that is killed. `bun run matrix` runs everything on each version.
 */
const ON_THE_FLOOR = [
  "test/sessions/chat.test.ts",
  "test/sessions/exactness.test.ts",
  "test/sessions/agent.test.ts",
  "test/sessions/session.test.ts",
  "test/sessions/permissions.test.ts",
  "test/workspace/real-claude.test.ts",
  "test/contract/openai/real.test.ts",
  "test/e2e/restart.test.ts",
  "test/e2e/daemon.test.ts",
];

const noSkip = process.env.CLAUDE_CODE_DAEMON_TEST_NO_SKIP === "1";
const bun = process.execPath;
const say = (text: string) => process.stdout.write(`${text}\n`);

/** Runs a static check, its output passed through; true when it exits with 0. */
async function check(title: string, command: string[]): Promise<boolean> {
  const started = performance.now();
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "inherit", stderr: "inherit" });
  const passed = (await child.exited) === 0;
  say(`${passed ? "ok" : "FAILED"}: ${title} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  return passed;
}

async function forward(from: ReadableStream<Uint8Array>, to: NodeJS.WriteStream): Promise<string> {
  const decoder = new TextDecoder();
  let kept = "";
  for await (const bytes of from) {
    to.write(bytes);
    kept = (kept + decoder.decode(bytes, { stream: true })).slice(-KEPT_SUMMARY_CHARS);
  }
  return kept;
}

/** Runs `bun test` and reads its own totals; an exit code that the totals do not explain counts as a failure. */
async function runTests(patterns: string[], environment: Record<string, string> = {}): Promise<Totals> {
  const child = Bun.spawn([bun, "test", `--timeout=${TEST_TIMEOUT_MS}`, ...patterns], {
    env: { ...process.env, ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [, summary] = await Promise.all([forward(child.stdout, process.stdout), forward(child.stderr, process.stderr)]);
  const exitCode = await child.exited;
  const totals = readTotals(summary, exitCode);
  if (exitCode !== 0 && totals.failed === 1)
    say(`bun test ended with exit code ${exitCode}${child.signalCode ? ` (${child.signalCode})` : ""}`);
  return totals;
}

/** Every shell script of the repository. */
function shellScripts(): string[] {
  const named = ["*.sh", ".ci/*.sh", "{bench,bin,src,test}/**/*.sh"].flatMap((pattern) => [
    ...new Bun.Glob(pattern).scanSync({ dot: true }),
  ]);
  return [...named, ...NAMELESS_SHELL_SCRIPTS.filter((path) => existsSync(path))].sort();
}

const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
const checks: [string, string[]][] = [
  ["format and lint", [bun, "node_modules/@biomejs/biome/bin/biome", "ci", "--error-on-warnings", "."]],
  ["types", [bun, "node_modules/typescript/bin/tsc", "--noEmit"]],
  ["shell scripts", ["shellcheck", "--shell=sh", ...shellScripts()]],
];
for (const [title, command] of checks) {
  if (command[0] === "shellcheck" && Bun.which("shellcheck") === null) {
    say(`skipped: ${title}: shellcheck is not installed (apt-get install shellcheck)`);
    totals.skipped += 1;
  } else if (await check(title, command)) totals.passed += 1;
  else totals.failed += 1;
}

function count(tests: Totals): void {
  for (const key of ["passed", "failed", "skipped"] as const) totals[key] += tests[key];
}

const patterns = process.argv.slice(2);
count(await runTests(patterns));
if (patterns.length === 0) {
  const floor = packagedClaude(`${import.meta.dir}/../node_modules/claude-code-floor`);
  say(`\nagain with the oldest supported Claude Code, ${floor.version}:`);
  count(await runTests(ON_THE_FLOOR, { CLAUDE_CODE_DAEMON_TEST_CLAUDE: floor.path }));
}

const skipsForbidden = noSkip && totals.skipped > 0;
if (skipsForbidden) say(`${totals.skipped} skipped, and CLAUDE_CODE_DAEMON_TEST_NO_SKIP forbids skips`);
process.exitCode = totals.failed > 0 || totals.passed === 0 || skipsForbidden ? 1 : 0;
say(`${totals.passed} passed, ${totals.failed} failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ""}`);
