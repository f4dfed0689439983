/** Nothing outlives a daemon that is killed: a stub daemon with real claudes, and small programs for the odd cases. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { startReaper, sweep } from "../../src/claude/reaper.ts";
import { createLogger } from "../../src/log.ts";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { toolCall } from "../support/api-reply.ts";
import { AGENT_ARGS, CHAT_ARGS, CLAUDE_PATH, createClaudeHome } from "../support/claude.ts";
import {
  descendantsOf,
  isAlive,
  listProcesses,
  type ProcessInfo,
  readProcess,
  residentBytes,
  waitUntil,
  waitUntilNone,
  withMarker,
} from "../support/processes.ts";
import type { StubOrder, StubReport } from "../support/stub-daemon.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

const STUB = new URL("../support/stub-daemon.ts", import.meta.url).pathname;
const MAX_RSS_BYTES = 5 * 1024 * 1024;
/** The contract (reaper.ts); in a quiet moment it takes a second. */
const REAP_MS = 5000;
const log = createLogger({ level: "error", timestamps: false });
/** Every program that is some system's /bin/sh, called by that name: bash behaves otherwise under its own. */
const SHELLS = ["/bin/dash", "/bin/bash", "/bin/busybox"].filter((path) => existsSync(path));

const newMarker = () => ({ name: "CCD_TEST_MARKER", value: crypto.randomUUID() });
const marked = (marker: { name: string; value: string }) => () => withMarker(`${marker.name}=${marker.value}`);
const plain = (script: string, detached = false) => ({
  argv: ["/bin/sh", "-c", script],
  env: { PATH: process.env.PATH ?? "" },
  cwd: "/",
  detached,
});

async function startStub(order: StubOrder) {
  const child = Bun.spawn([process.execPath, STUB], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  child.stdin.write(`${JSON.stringify(order)}\n`);
  await child.stdin.flush();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  let descendants: ProcessInfo[] = [];
  const report: StubReport = JSON.parse(new TextDecoder().decode(value));
  return {
    report,
    kill: async () => {
      descendants = descendantsOf(child.pid);
      child.kill("SIGKILL");
      await child.exited;
    },
    // A failed test leaves nothing either: by id, only what this stub started (the marker is this test's own).
    [Symbol.asyncDispose]: async () => {
      const started = [...descendants, ...descendantsOf(child.pid), ...marked(order.marker)()];
      child.kill("SIGKILL");
      await child.exited;
      for (const { pid, startTime } of started) {
        if (readProcess(pid)?.startTime === startTime) process.kill(pid, "SIGKILL");
      }
    },
  };
}

/** Processes in the records of a state directory. */
function recordedIn(directory: string): number {
  const texts = readdirSync(directory).map((name) => readFileSync(join(directory, name), "utf8"));
  return texts.flatMap((text) => text.match(/^r /gm) ?? []).length;
}

function stop(pid: number) {
  process.kill(pid, "SIGSTOP");
  return waitUntil("stopped", () => readProcess(pid)?.state === "T");
}

test("a killed daemon leaves no claude, running or stopped, and none of its shell commands", async () => {
  await using api = startAnthropicApi();
  await using working = await createClaudeHome();
  await using idle = await createClaudeHome();
  await using state = await createTmpDir();
  const marker = newMarker();
  const command = "setsid sleep 1000 & sleep 1001; echo late";
  api.script(toolCall("Bash", { command }));
  const prompt = { type: "user", message: { role: "user", content: "go" }, parent_tool_use_id: null, session_id: "" };
  await using stub = await startStub({
    stateDirectory: state.path,
    marker,
    programs: [
      {
        argv: [CLAUDE_PATH, ...AGENT_ARGS],
        env: working.environment(api.url),
        cwd: working.cwd,
        prompt: `${JSON.stringify(prompt)}\n`,
      },
      { argv: [CLAUDE_PATH, ...CHAT_ARGS], env: idle.environment(api.url), cwd: idle.cwd, detached: true },
    ],
  });
  const sleeping = (seconds: number) => marked(marker)().find((entry) => entry.command === `sleep ${seconds}`);
  await waitUntil("the shell command runs", () => sleeping(1000) !== undefined && sleeping(1001) !== undefined, 30_000);
  const strayed = sleeping(1000);
  expect(strayed?.session).toBe(strayed?.pid);
  await stop(stub.report.pids[1] ?? 0);
  expect(residentBytes(stub.report.reaper)).toBeLessThanOrEqual(MAX_RSS_BYTES);
  expect(readProcess(stub.report.reaper)?.session).toBe(stub.report.reaper);

  await stub.kill();
  await waitUntilNone(marked(marker), REAP_MS);
  await waitUntilNone(() => listProcesses().filter((entry) => entry.pid === stub.report.reaper), REAP_MS);
  expect(readdirSync(state.path)).toEqual([]);
});

for (const shell of SHELLS) {
  test(`with ${shell} as sh: strays, stubborn and stopped processes, and signals of the terminal`, async () => {
    await using state = await createTmpDir();
    await using bin = await createTmpDir();
    await symlink(shell, bin.join("sh"));
    const marker = newMarker();
    await using stub = await startStub({
      stateDirectory: state.path,
      marker,
      shell: bin.join("sh"),
      programs: [
        plain("trap '' TERM; while :; do sleep 0.2; done"),
        plain("sleep 1000 & setsid sleep 1001 & exit 0"),
        // Without the marker, but still hanging on its parent.
        plain("env -i /bin/sleep 1002 & wait"),
        plain("sleep 1003", true),
      ],
    });
    const clean = () =>
      listProcesses().filter((entry) => entry.command === "/bin/sleep 1002" && entry.parent === stub.report.pids[2]);
    await waitUntil("all run", () => marked(marker)().length >= 6 && clean().length === 1);
    const [unmarked] = clean();
    await stop(stub.report.pids[3] ?? 0);
    // The second may have exited before the reaper looked: its children are found by the marker.
    await waitUntil("recorded", () => recordedIn(state.path) >= 3);
    for (const signal of ["SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT"] as const) process.kill(stub.report.reaper, signal);
    expect(residentBytes(stub.report.reaper)).toBeLessThanOrEqual(MAX_RSS_BYTES);

    await stub.kill();
    await waitUntilNone(marked(marker), REAP_MS);
    await waitUntilNone(() => [...listProcesses().filter((entry) => entry.pid === unmarked?.pid)], REAP_MS);
    await waitUntilNone(() => listProcesses().filter((entry) => entry.pid === stub.report.reaper), REAP_MS);
    expect(readdirSync(state.path)).toEqual([]);
  });
}

test("a process that is no longer tracked and one whose pid was reused are left alone", async () => {
  await using state = await createTmpDir();
  const untracked = Bun.spawn(["sleep", "1000"], { detached: true });
  const reused = Bun.spawn(["sleep", "1001"], { detached: true });
  try {
    const reaper = startReaper({ stateDirectory: state.path, marker: newMarker(), log });
    reaper.track(untracked.pid);
    reaper.untrack(untracked.pid);
    await reaper.close();
    expect(isAlive(untracked.pid)).toBe(true);

    // A record of a pid that had another start time.
    const lines = [`marker CCD_TEST_MARKER=${crypto.randomUUID()}`, "o 1:1", `r ${reused.pid}:1`, ""];
    await Bun.write(state.join(`reaper-${crypto.randomUUID()}.list`), lines.join("\n"));
    await sweep({ stateDirectory: state.path, log });
    expect(isAlive(reused.pid)).toBe(true);
    expect(readdirSync(state.path)).toEqual([]);
  } finally {
    untracked.kill("SIGKILL");
    reused.kill("SIGKILL");
  }
});

test("closing ends what is tracked, and then the reaper", async () => {
  await using state = await createTmpDir();
  const child = Bun.spawn(["sleep", "1000"]);
  const reaper = startReaper({ stateDirectory: state.path, marker: newMarker(), log });
  reaper.track(child.pid);
  await reaper.close();
  await child.exited;
  expect(child.signalCode).toBe("SIGTERM");
  expect(isAlive(reaper.pid)).toBe(false);
  expect(readdirSync(state.path)).toEqual([]);
});

test("when the reaper is killed too, the next start sweeps what both left", async () => {
  await using state = await createTmpDir();
  const marker = newMarker();
  await using stub = await startStub({
    stateDirectory: state.path,
    marker,
    programs: [plain("sleep 1000 & setsid sleep 1001 & wait"), plain("exec sleep 1002")],
  });
  await waitUntil("all run", () => marked(marker)().length === 4);
  await waitUntil("recorded", () => recordedIn(state.path) === 2);
  // While the daemon lives its record is not swept.
  await sweep({ stateDirectory: state.path, log });
  expect(marked(marker)()).toHaveLength(4);

  // The daemon first: it would start another reaper. Stopped, the reaper cannot see that.
  process.kill(stub.report.reaper, "SIGSTOP");
  await stub.kill();
  process.kill(stub.report.reaper, "SIGKILL");
  await waitUntilNone(() => listProcesses().filter((entry) => entry.pid === stub.report.reaper));
  expect(marked(marker)()).toHaveLength(4);
  await sweep({ stateDirectory: state.path, log });
  expect(marked(marker)()).toEqual([]);
  expect(readdirSync(state.path)).toEqual([]);
});

test("a reaper that somebody ended is started again and knows what it must end", async () => {
  await using state = await createTmpDir();
  const marker = newMarker();
  await using stub = await startStub({ stateDirectory: state.path, marker, programs: [plain("exec sleep 1000")] });
  const reapers = () =>
    listProcesses().filter(
      (entry) => entry.pid !== stub.report.reaper && entry.command.includes("claude-code-daemon-reaper"),
    );
  const before = new Set(reapers().map((entry) => entry.pid));
  process.kill(stub.report.reaper, "SIGKILL");
  await waitUntil("a new reaper", () => reapers().some((entry) => !before.has(entry.pid)));
  await stub.kill();
  await waitUntilNone(marked(marker), REAP_MS);
});
