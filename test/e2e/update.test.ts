/** Claude updates itself while the daemon runs, and versions that it cannot run with. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdir, rename, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { text, toolCall } from "../support/api-reply.ts";
import { createClaudeHome, floorClaude, NEWEST_CLAUDE } from "../support/claude.ts";
import { createFakeClaude } from "../support/fake-claude.ts";
import { runCommand, startFromSource } from "./from-source.ts";

setDefaultTimeout(60_000);

interface Completion {
  choices: { message: { role: string; content: string } }[];
  claude_code?: { session_id?: string; files_changed?: { path: string }[] };
}

test("an update in place: the next requests work, what is begun goes on, and health shows the new version", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  const bin = join(dirname(home.path), "bin");
  const link = join(bin, "claude");
  await mkdir(bin);
  const pointTo = async (path: string) => {
    await symlink(path, join(bin, "new"));
    await rename(join(bin, "new"), link);
  };
  await pointTo(floorClaude().path);
  await using daemon = await startFromSource({ apiUrl: api.url, home, env: { CLAUDE_CODE_DAEMON_CLAUDE: link } });
  const ask = async (model: string, messages: object[], more: object = {}) => {
    const response = await daemon.post("/v1/chat/completions", { model, messages, ...more });
    expect(response.status).toBe(200);
    return (await response.json()) as Completion;
  };
  const health = async () => {
    const answer = (await (await fetch(`${daemon.url}/v1/health`)).json()) as { claude: { version: string } };
    return answer.claude.version;
  };
  /** Which claude made the last request for a turn. */
  const served = () => api.requests.findLast(({ kind }) => kind === "turn")?.headers.get("user-agent") ?? "";
  const user = (content: string) => ({ role: "user", content });

  const chat = [user("one")];
  const first = await ask("haiku", chat);
  expect(first.choices[0]?.message.content).toBe("echo: one");
  const write = (name: string) => toolCall("Write", { file_path: join(home.cwd, name), content: "x" });
  api.script(write("before.txt"), text("written"));
  const agent = await ask("claude-code", [user("write")]);
  expect(agent.claude_code?.files_changed).toMatchObject([{ path: "before.txt" }]);
  expect(await health()).toBe(floorClaude().version);
  expect(served()).toContain(floorClaude().version);

  await pointTo(NEWEST_CLAUDE.path);
  expect(await health()).toBe(NEWEST_CLAUDE.version);
  const second = await ask("haiku", [...chat, first.choices[0]?.message ?? {}, user("two")]);
  expect(second.choices[0]?.message.content).toBe("echo: two");
  // A history that nobody knows needs a new process.
  await ask("haiku", [user("other"), { role: "assistant", content: "yes" }, user("go on")]);
  expect(served()).toContain(NEWEST_CLAUDE.version);
  api.script(write("after.txt"), text("written"));
  const session_id = agent.claude_code?.session_id;
  const later = await ask("claude-code", [user("write again")], { claude_code: { session_id } });
  expect(later.claude_code).toMatchObject({ session_id, files_changed: [{ path: "after.txt" }] });
  const messages = JSON.stringify(api.requests.findLast(({ kind }) => kind === "turn")?.body.messages);
  expect(messages).toContain("before.txt");
  const models = (await (await fetch(`${daemon.url}/v1/models`)).json()) as { data: { id: string }[] };
  expect(models.data.map(({ id }) => id)).toContain("opus");
});

test("below the floor start refuses, and says how to update", async () => {
  await using home = await createClaudeHome();
  await using old = await createFakeClaude("", "2.1.125");
  const env = { ...home.environment("http://127.0.0.1:9"), CLAUDE_CODE_DAEMON_CLAUDE: old.path };
  const refused = await runCommand(["start", "--port=0"], env, home.cwd);
  expect(refused.code).toBe(78);
  expect(refused.err).toMatch(/version 2\.1\.125, at least 2\.1\.126 is needed/);
  expect(refused.err).toContain("npm install -g @anthropic-ai/claude-code");
});
