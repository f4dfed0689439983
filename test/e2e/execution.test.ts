/** Running code through the whole daemon: what changed is told, health says how code is contained, and nothing stays. */
import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { requires } from "../support/requires.ts";
import { filesBelow } from "../support/tmp-dir.ts";
import { startFromSource } from "./from-source.ts";

interface Execution {
  stdout: string;
  files_changed: { path: string; status: string }[];
}

requires(
  "linux",
  "bubblewrap",
  "git",
)("code runs, tells what it changed, and leaves nothing", async () => {
  await using api = startAnthropicApi();
  await using daemon = await startFromSource({ apiUrl: api.url });
  const state = join(daemon.home.path, ".local/state/claude-code-daemon");
  const run = async (body: unknown) => (await (await daemon.post("/v1/code/execute", body)).json()) as Execution;

  const inWorkspace = await run({
    language: "typescript",
    code: 'import { writeFileSync } from "node:fs"; writeFileSync("made.txt", "1\\n"); console.log(6 * 7 as number)',
    workspace: daemon.home.cwd,
  });
  expect(inWorkspace.stdout).toBe("42\n");
  expect(inWorkspace.files_changed).toMatchObject([{ path: "made.txt", status: "added" }]);
  expect(readdirSync(daemon.home.cwd)).toEqual(["made.txt"]);

  const before = await filesBelow(state);
  const inScratch = await run({
    language: "sh",
    code: "echo out > new.txt; echo more >> given.txt",
    files: [{ path: "given.txt", content: "given\n" }],
  });
  expect(inScratch.files_changed.map(({ path, status }) => [path, status])).toEqual([
    ["given.txt", "modified"],
    ["new.txt", "added"],
  ]);
  expect(await filesBelow(state)).toEqual(before);

  const health = (await (await fetch(`${daemon.url}/v1/health`)).json()) as { execution: unknown };
  expect(health.execution).toEqual({ enabled: true, sandbox: "bubblewrap" });
});
