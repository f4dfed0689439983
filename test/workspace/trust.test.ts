import { expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import type { JsonObject } from "../../src/turn/message.ts";
import { WorkspaceTrust } from "../../src/workspace/trust.ts";
import { AGENT_ARGS, createClaudeHome, startBareClaude } from "../support/claude.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

/** What claude itself would say: `set_cwd` answers `needs_trust` for a directory without a record. Older ones lack it. */
async function claudeTrusts(directory: string, config: JsonObject): Promise<boolean | undefined> {
  await using home = await createClaudeHome();
  await writeFile(`${home.path}/.claude.json`, JSON.stringify(config));
  await using claude = startBareClaude({ home, apiUrl: "http://127.0.0.1:9", args: AGENT_ARGS });
  await claude.control("initialize");
  const answer = await claude.control("set_cwd", { path: directory });
  if (/unsupported|unknown/i.test(String(answer.error))) return undefined;
  return !JSON.stringify(answer).includes("needs_trust");
}

test("trust is what claude has recorded, found where claude itself finds it", async () => {
  await using directory = await createTmpDir("trust-");
  for (const name of [
    "plain/below",
    "plain-sibling",
    "repository/.git/objects",
    "repository/.git/refs",
    "repository/below",
  ]) {
    await mkdir(directory.join(name), { recursive: true });
  }
  await writeFile(directory.join("repository/.git/HEAD"), "ref: refs/heads/main\n");
  const accepted = (...names: string[]): JsonObject => ({
    projects: Object.fromEntries(names.map((name) => [directory.join(name), { hasTrustDialogAccepted: true }])),
  });
  const cases: [string, JsonObject, boolean][] = [
    ["plain", accepted("plain"), true],
    ["plain/below", accepted("plain"), true],
    ["plain", accepted("plain/below"), false],
    ["plain-sibling", accepted("plain"), false],
    ["plain", { projects: { [directory.join("plain")]: { hasTrustDialogAccepted: false } } }, false],
    ["repository", accepted("repository"), true],
    ["repository/below", accepted("repository"), true],
    ["repository", accepted("."), false],
  ];
  await using home = await createTmpDir("trust-home-");
  for (const [name, config, expected] of cases) {
    await writeFile(home.join(".claude.json"), JSON.stringify(config));
    const trust = new WorkspaceTrust({ home: home.path, added: [] });
    const ours = (await trust.of(directory.join(name))) === "claude";
    const theirs = (await claudeTrusts(directory.join(name), config)) ?? expected;
    expect({ name, config, ours, theirs }).toEqual({ name, config, ours: expected, theirs: expected });
  }
}, 120_000);

test("a config that is missing, malformed or hostile trusts nothing", async () => {
  await using home = await createTmpDir("trust-home-");
  const workspace = home.join("work");
  await mkdir(workspace);
  for (const text of [
    undefined,
    "",
    "{",
    "[]",
    "null",
    '{"projects":[]}',
    '{"projects":{"__proto__":{"hasTrustDialogAccepted":true}}}',
  ]) {
    if (text !== undefined) await writeFile(home.join(".claude.json"), text);
    expect(await new WorkspaceTrust({ home: home.path, added: [] }).of(workspace)).toBe("none");
    expect(await new WorkspaceTrust({ home: home.path, added: [] }).of("/__proto__")).toBe("none");
  }
  const record = { projects: { [workspace]: { hasTrustDialogAccepted: "true" } } };
  await writeFile(home.join(".claude.json"), JSON.stringify(record));
  expect(await new WorkspaceTrust({ home: home.path, added: [] }).of(workspace)).toBe("none");
});

test("trust that claude records later is seen, and CLAUDE_CONFIG_DIR is where it is looked for", async () => {
  await using home = await createTmpDir("trust-home-");
  const workspace = home.join("work");
  await mkdir(workspace);
  await mkdir(home.join("config"));
  const trust = new WorkspaceTrust({ home: home.path, claudeConfigDir: home.join("config"), added: [] });
  const record = JSON.stringify({ projects: { [workspace]: { hasTrustDialogAccepted: true } } });
  await writeFile(home.join(".claude.json"), record);
  expect(await trust.of(workspace)).toBe("none");
  await writeFile(home.join("config/.claude.json"), record);
  expect(await trust.of(workspace)).toBe("claude");
});

test("`workspace add` trusts a directory and what is below it", async () => {
  await using home = await createTmpDir("trust-home-");
  for (const name of ["work/below", "work-sibling"]) await mkdir(home.join(name), { recursive: true });
  const trust = new WorkspaceTrust({ home: home.path, added: [home.join("gone"), home.join("work")] });
  expect(await trust.of(home.join("work"))).toBe("added");
  expect(await trust.of(home.join("work/below"))).toBe("added");
  expect(await trust.of(home.join("work-sibling"))).toBe("none");
  expect(await trust.of(home.path)).toBe("none");
});
