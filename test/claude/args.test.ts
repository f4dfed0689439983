/** argv, pinned: literals, because a changed flag must be somebody's decision. */
import { expect, test } from "bun:test";
import { toArgs } from "../../src/claude/args.ts";
import type { LaunchOptions } from "../../src/claude/transport.ts";

const CHAT: LaunchOptions = { kind: "chat", cwd: "/tmp", trusted: false, persist: false, clientTools: false };
const AGENT: LaunchOptions = { kind: "agent", cwd: "/tmp", trusted: false, persist: true, clientTools: false };
const ID = "0b8c2f5e-4a1d-4c7e-9f3a-2d6b8e1c7a90";
const STREAM = [
  "-p",
  "--input-format=stream-json",
  "--output-format=stream-json",
  "--verbose",
  "--include-partial-messages",
];

test("a chat process has no tools, no settings, no memory", () => {
  expect(toArgs(CHAT)).toEqual([
    ...STREAM,
    "--tools=",
    "--setting-sources=",
    "--strict-mcp-config",
    "--disable-slash-commands",
    "--no-session-persistence",
  ]);
});

test("a chat process with a login in settings reads a file of ours, and none of the user's", () => {
  expect(toArgs({ ...CHAT, loginSettings: "/state/login.json" }).slice(STREAM.length)).toEqual([
    "--tools=",
    "--setting-sources=",
    "--strict-mcp-config",
    "--disable-slash-commands",
    "--settings=/state/login.json",
    "--no-session-persistence",
  ]);
});

test("an agent in a trusted workspace runs as in the terminal, in another one without the project's settings", () => {
  expect(toArgs({ ...AGENT, trusted: true })).toEqual([...STREAM, "--permission-prompt-tool=stdio"]);
  expect(toArgs(AGENT)).toEqual([
    ...STREAM,
    "--setting-sources=user",
    "--strict-mcp-config",
    "--permission-prompt-tool=stdio",
  ]);
});

test("every option has its flag", () => {
  expect(
    toArgs({
      ...AGENT,
      trusted: true,
      clientTools: true,
      model: "opus[1m]",
      permissionMode: "acceptEdits",
      allowedTools: ["Bash(git log *)", "Read"],
      disallowedTools: ["WebFetch(domain:example.com)", "mcp__github__*"],
      maxTurns: 7,
      resume: { from: "/var/lib/daemon/a b.jsonl", at: ID, fork: true },
      sessionId: ID,
      denyPaths: ["/home/user/.local/state/claude-code-daemon/"],
    }).slice(STREAM.length),
  ).toEqual([
    "--permission-prompt-tool=stdio",
    "--model=opus[1m]",
    "--permission-mode=acceptEdits",
    "--allowed-tools=Bash(git log *),Read,mcp__client",
    "--disallowed-tools=WebFetch(domain:example.com),mcp__github__*",
    "--max-turns=7",
    "--resume=/var/lib/daemon/a b.jsonl",
    `--resume-session-at=${ID}`,
    "--fork-session",
    `--session-id=${ID}`,
    '--settings={"permissions":{"deny":["Read(//home/user/.local/state/claude-code-daemon/**)","Edit(//home/user/.local/state/claude-code-daemon/**)"]}}',
  ]);
});

const INJECTIONS = [
  "--dangerously-skip-permissions",
  "-p",
  "",
  " ",
  "x y",
  "$(id)",
  "a\nb",
  "a\0b",
  "a".repeat(10_240),
];
const HOLES: [string, (value: string) => LaunchOptions][] = [
  ["model", (model) => ({ ...AGENT, model })],
  ["session id", (sessionId) => ({ ...AGENT, sessionId })],
  ["resume", (from) => ({ ...AGENT, resume: { from } })],
  ["resume at", (at) => ({ ...AGENT, resume: { from: ID, at } })],
  ["allowed tools", (rule) => ({ ...AGENT, allowedTools: ["Read", rule] })],
  ["disallowed tools", (rule) => ({ ...AGENT, disallowedTools: [rule] })],
  ["deny paths", (path) => ({ ...AGENT, denyPaths: [path] })],
];

for (const [name, launch] of HOLES) {
  test(`no value of ${name} can be a flag or more than one value`, () => {
    for (const value of INJECTIONS) expect(() => toArgs(launch(value)), value).toThrow(/has a form/);
  });
}

test("rules that would split, paths that would match something else, numbers that are none", () => {
  const wrong = ["Bash(a),Bash(b)", "Bash(a) Read", "Bash((a))", "Read,--settings={}", "Bash(a", "9Tool"];
  for (const rule of wrong) expect(() => toArgs({ ...AGENT, allowedTools: [rule] }), rule).toThrow(/has a form/);
  expect(() => toArgs({ ...AGENT, denyPaths: ["relative"] })).toThrow(/has a form/);
  expect(toArgs({ ...AGENT, denyPaths: ["/a (1)/[b]\\c"] }).at(-1)).toContain('"Read(//a ?1?/?b??c/**)"');
  for (const maxTurns of [0, -1, 1.5, Number.NaN, 1e9])
    expect(() => toArgs({ ...AGENT, maxTurns })).toThrow(/max_turns/);
  expect(() => toArgs({ ...AGENT, allowedTools: Array.from({ length: 201 }, () => "Read") })).toThrow(/at most 200/);
});
