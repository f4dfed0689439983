/** What install.sh shows at its end: the installed binary answers, through the user's claude or else through the demo. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { type Binary, buildBinary } from "../e2e/compiled.ts";
import { type AnthropicApi, startAnthropicApi } from "../support/anthropic-api.ts";
import { apiError, text } from "../support/api-reply.ts";
import { CLAUDE_PATH, createClaudeHome } from "../support/claude.ts";
import { createTmpDir, filesBelow } from "../support/tmp-dir.ts";
import { ROOT } from "./machine.ts";

let binary: Binary;
beforeAll(async () => {
  binary = await buildBinary();
});
afterAll(() => binary[Symbol.asyncDispose]());

/** Runs bin/prove.ts as a user whose claude talks to this API. */
async function prove(api: AnthropicApi) {
  await using home = await createClaudeHome();
  const child = Bun.spawn([process.execPath, `${ROOT}bin/prove.ts`, binary.path], {
    cwd: home.cwd,
    env: { ...home.environment(api.url), CLAUDE_CODE_DAEMON_CLAUDE: CLAUDE_PATH },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [said, exitCode] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  return { said, exitCode, left: await filesBelow(home.cwd) };
}

test("a claude that is logged in is asked once, for a few tokens, and its answer is shown", async () => {
  await using api = startAnthropicApi();
  api.always(text("ready"));
  const { said, exitCode, left } = await prove(api);
  expect(exitCode).toBe(0);
  expect(said).toContain("Asked haiku through your claude; it answered: ready");
  expect(said).not.toContain("stand-in");
  expect(api.requests).toHaveLength(1);
  expect(left).toEqual([]);
});

test("where the account refuses, its reason is shown and the demo tells whether the install works", async () => {
  await using api = startAnthropicApi();
  api.always(apiError(400, "Your credit balance is too low"));
  const { said, exitCode } = await prove(api);
  expect(exitCode).toBe(0);
  expect(said).toContain("Your claude did not answer (The account that claude uses has no credit left.");
  expect(said).toContain("Files changed: hello.txt (added)");
});

test.each([
  ["that ends at once", "exit 3", "did not start: Error: it ended"],
  ["that says nothing", "exec sleep 600", "it did not say where it listens"],
  ["that does not answer", "echo listening at http://127.0.0.1:1; exec sleep 600", "Unable to connect"],
])("a program %s proves nothing, and leaves nothing", async (_, program, because) => {
  await using directory = await createTmpDir();
  const path = directory.join("claude-code-daemon");
  await Bun.write(path, `#!/bin/sh\necho "about to fail" >&2\n${program}\n`);
  chmodSync(path, 0o755);
  const child = Bun.spawn([process.execPath, `${ROOT}bin/prove.ts`, path], {
    env: {
      ...process.env,
      HOME: directory.path,
      TMPDIR: directory.path,
      CLAUDE_CODE_DAEMON_PROOF_SECONDS: "1",
      BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0",
    },
    stdin: "ignore",
    stderr: "pipe",
  });
  const [said, exitCode] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  expect(exitCode).toBe(1);
  expect(said).toContain(because);
  expect(await filesBelow(directory.path)).toEqual(["claude-code-daemon"]);
});
