import { expect, test } from "bun:test";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { WorkspaceFingerprint } from "../../src/workspace/fingerprint.ts";
import { createTmpDir, type TmpDir } from "../support/tmp-dir.ts";

async function write(directory: TmpDir, name: string, text: string): Promise<void> {
  await mkdir(dirname(directory.join(name)), { recursive: true });
  await writeFile(directory.join(name), text);
}

async function place(): Promise<{ directory: TmpDir; fingerprint: WorkspaceFingerprint; workspace: string }> {
  const directory = await createTmpDir("fingerprint-");
  await mkdir(directory.join("home/.claude"), { recursive: true });
  await mkdir(directory.join("parent/work"), { recursive: true });
  const fingerprint = new WorkspaceFingerprint({
    home: directory.join("home"),
    managedDirectories: [directory.join("managed")],
  });
  return { directory, fingerprint, workspace: directory.join("parent/work") };
}

test("everything that a process reads when it boots changes the digest", async () => {
  const { directory, fingerprint, workspace } = await place();
  await using _ = directory;
  const seen = new Set([fingerprint.of(workspace, true).digest]);
  expect(fingerprint.of(workspace, true).digest).toBe([...seen][0] ?? "");
  const files = [
    "parent/work/CLAUDE.md",
    "parent/work/CLAUDE.local.md",
    "parent/work/.mcp.json",
    "parent/work/.claude/settings.json",
    "parent/work/.claude/settings.local.json",
    "parent/work/.claude/CLAUDE.md",
    "parent/work/.claude/agents/reviewer.md",
    "parent/CLAUDE.md",
    "home/.claude/settings.json",
    "home/.claude/CLAUDE.md",
    "home/.claude/skills/one/SKILL.md",
    "home/.claude/.credentials.json",
    "managed/managed-settings.json",
  ];
  for (const file of files) {
    await write(directory, file, "{}");
    seen.add(fingerprint.of(workspace, true).digest);
  }
  expect(seen.size).toBe(files.length + 1);
  const same = fingerprint.of(workspace, true).digest;
  await write(directory, "parent/work/CLAUDE.md", "[]");
  expect(fingerprint.of(workspace, true).digest).not.toBe(same);
});

test("an untrusted workspace's own files do not count, and trust itself does", async () => {
  const { directory, fingerprint, workspace } = await place();
  await using _ = directory;
  const before = fingerprint.of(workspace, false);
  const hooks = JSON.stringify({ hooks: { SessionStart: [{ hooks: [{ type: "command", command: "true" }] }] } });
  await write(directory, "parent/work/.claude/settings.json", hooks);
  expect(fingerprint.of(workspace, false)).toEqual(before);
  expect(fingerprint.of(workspace, true).sessionStartHooks).toBe(true);
  expect(fingerprint.of(workspace, true).digest).not.toBe(before.digest);
});

test("SessionStart hooks are found, or assumed where settings cannot be understood", async () => {
  const { directory, fingerprint, workspace } = await place();
  await using _ = directory;
  const settings = "home/.claude/settings.json";
  const hook = [{ hooks: [{ type: "command", command: "true" }] }];
  const cases: [unknown, boolean, boolean][] = [
    [{}, false, false],
    [{ hooks: { SessionStart: [] } }, false, false],
    [{ hooks: { PostToolUse: hook } }, false, true],
    [{ hooks: { SessionStart: hook } }, true, true],
    [{ enabledPlugins: { "a@b": false } }, false, false],
    [{ enabledPlugins: { "a@b": true } }, true, true],
    [[], true, true],
  ];
  for (const [content, sessionStartHooks, hooks] of cases) {
    await rm(directory.join(settings), { force: true });
    await write(directory, settings, JSON.stringify(content));
    expect(fingerprint.of(workspace, false)).toMatchObject({ sessionStartHooks, hooks });
  }
  await write(directory, settings, "{ broken");
  expect(fingerprint.of(workspace, false)).toMatchObject({ sessionStartHooks: true, hooks: true });
});

test("what claude writes into its global config at every start does not count, but MCP servers do", async () => {
  const { directory, fingerprint, workspace } = await place();
  await using _ = directory;
  const before = fingerprint.of(workspace, true).digest;
  await write(
    directory,
    "home/.claude.json",
    JSON.stringify({ numStartups: 7, projects: { [workspace]: { lastCost: 1 } } }),
  );
  expect(fingerprint.of(workspace, true).digest).toBe(before);
  const servers = { mine: { command: "true" } };
  await write(directory, "home/.claude.json", JSON.stringify({ projects: { [workspace]: { mcpServers: servers } } }));
  expect(fingerprint.of(workspace, true).digest).not.toBe(before);
});
