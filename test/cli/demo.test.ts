/** `demo`: what its answers tell a person to do works on it. */
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { ROOT, runCommand } from "../e2e/from-source.ts";
import { CLAUDE_PATH } from "../support/claude.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

const COMMAND = [process.execPath, "--no-env-file", "--config=/dev/null", `${ROOT}src/main.ts`];
const MAX_RUN_MS = 50_000;

async function startDemo(env: Record<string, string>) {
  const child = Bun.spawn([...COMMAND, "demo", "--json", "--port=0"], {
    ...{ env, cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  });
  const tooLate = setTimeout(() => child.kill("SIGKILL"), MAX_RUN_MS);
  const { value } = await child.stdout.getReader().read();
  const { url } = JSON.parse(new TextDecoder().decode(value)) as { url: string };
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await child.exited;
      clearTimeout(tooLate);
    },
  };
}

test("the commands that its refusals name let an origin and a directory in", async () => {
  await using home = await createTmpDir("demo-");
  mkdirSync(home.join("app"));
  const env = { HOME: home.path, PATH: "/usr/bin:/bin", TMPDIR: home.path, CLAUDE_CODE_DAEMON_CLAUDE: CLAUDE_PATH };
  await using demo = await startDemo(env);
  const command = (...words: string[]) => runCommand(words, env, home.join("app"));
  const asked = () => fetch(`${demo.url}/v1/health`, { headers: { origin: "http://localhost:5173" } });
  const refused = await asked();
  expect(refused.status).toBe(403);
  const named = /claude-code-daemon (origin allow [\w:/.-]+\w)/.exec(await refused.text())?.[1] ?? "";
  expect((await command(...named.split(" "))).code).toBe(0);
  expect((await asked()).status).toBe(200);

  const port = new URL(demo.url).port;
  const chat = () => command("chat", "--port", port, "hi");
  const closed = await chat();
  expect(closed.code).not.toBe(0);
  expect(closed.err).toContain("claude-code-daemon workspace add DIRECTORY");
  expect((await command("workspace", "add", ".")).code).toBe(0);
  expect(await chat()).toMatchObject({ code: 0, out: expect.stringContaining("stand-in") });
});
