/**
 * What files_changed costs on a repository of 100,000 files, as a multiple of `git status` there (target: 1.5,
 * docs/performance.md), and what a small one costs in milliseconds. Makes its own repositories, and removes them.
 *
 *     bun bench/changes.ts [files]
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../src/log.ts";
import { createWorkspaceChanges } from "../src/workspace/workspace-changes.ts";

const FILES_PER_DIRECTORY = 100;
const ROUNDS = 15;

function git(cwd: string, ...args: string[]): void {
  const identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"];
  const result = Bun.spawnSync(["git", ...identity, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: cwd, GIT_CONFIG_NOSYSTEM: "1" },
    stdout: "ignore",
  });
  if (result.exitCode !== 0) throw new Error(`git ${args[0]}: ${result.stderr}`);
}

function makeRepository(path: string, files: number): void {
  mkdirSync(path);
  git(path, "init", "-q", ".");
  for (let index = 0; index < files; index++) {
    const directory = Math.floor(index / FILES_PER_DIRECTORY);
    const parent = join(path, `part-${Math.floor(directory / 50)}`, `directory-${directory}`);
    if (index % FILES_PER_DIRECTORY === 0) mkdirSync(parent, { recursive: true });
    writeFileSync(join(parent, `file-${index}.txt`), `file ${index}\n`.repeat(8));
  }
  git(path, "add", "-A");
  git(path, "commit", "-q", "-m", "files");
}

const median = (values: number[]) => values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
const since = (start: number) => performance.now() - start;

async function measure(directory: string, files: number): Promise<void> {
  const workspace = join(directory, `work-${files}`);
  makeRepository(workspace, files);
  const changes = createWorkspaceChanges({
    stateDirectory: join(directory, "state"),
    home: directory,
    searchPath: process.env.PATH ?? "",
    log: createLogger({ level: "warn", timestamps: false }),
  });
  const target = join(workspace, "part-0", "directory-0", "file-0.txt");
  let turn = 0;
  const run = async (work: () => void) => {
    const watch = changes.begin({ turnId: `trn_bench_${files}_${++turn}`, workspace });
    let start = performance.now();
    await watch.before();
    const before = since(start);
    work();
    start = performance.now();
    const found = await watch.changes();
    const after = since(start);
    watch.close();
    return { before, after, found: found?.length };
  };
  // The files are young: git reads them again once, for `git status` and for us.
  git(workspace, "status");
  const first = await run(() => undefined);
  const idle: { before: number; after: number }[] = [];
  const busy: { before: number; after: number }[] = [];
  const status: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    git(workspace, "status");
    status.push(since(start));
    idle.push(await run(() => undefined));
    const worked = await run(() => appendFileSync(target, `round ${round}\n`));
    if (worked.found !== 1) throw new Error(`${worked.found} changes were told`);
    busy.push(worked);
  }
  await changes.close();
  const gitStatus = median(status);
  // Each turn beside the `git status` of its own round, and the quietest of each: other load hits all of them.
  const line = (name: string, rounds: { before: number; after: number }[]) => {
    const [before, after] = [median(rounds.map((one) => one.before)), median(rounds.map((one) => one.after))];
    const sums = rounds.map((one) => one.before + one.after);
    const paired = median(sums.map((sum, round) => sum / (status[round] ?? gitStatus)));
    const quietest = Math.min(...sums) / Math.min(...status);
    const best = rounds.length > 1 ? ` (quietest ${quietest.toFixed(2)})` : "";
    const ratios = `${paired.toFixed(2)} x git status${best}`;
    return `  ${name.padEnd(22)} before ${before.toFixed(1)} ms, after ${after.toFixed(1)} ms: ${ratios}\n`;
  };
  process.stdout.write(
    `${files} files, git status ${gitStatus.toFixed(1)} ms (medians of ${ROUNDS})\n` +
      line("first turn", [first]) +
      line("turn without changes", idle) +
      line("turn with one change", busy),
  );
}

const directory = mkdtempSync(join(tmpdir(), "claude-code-daemon-bench-"));
try {
  await measure(directory, 100);
  await measure(directory, Number(process.argv[2] ?? 100_000));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
