/** `doctor` names planted faults, each with what mends it, and changes nothing. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { runCli } from "../../src/cli/program.ts";
import { CLAUDE_PATH } from "../support/claude.ts";
import { requires } from "../support/requires.ts";
import { createTmpDir, filesBelow, type TmpDir } from "../support/tmp-dir.ts";

interface Finding {
  check: string;
  state: string;
  text: string;
  remedy?: string;
}

let home: TmpDir;
/** Where nothing listens. */
let port: number;
beforeEach(async () => {
  home = await createTmpDir();
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  port = server.port ?? 0;
  await server.stop(true);
});
afterEach(() => home[Symbol.asyncDispose]());

async function doctor(env: Record<string, string | undefined> = {}): Promise<{ code: number; findings: Finding[] }> {
  let out = "";
  const code = await runCli(["doctor", "--json"], {
    facts: {
      env: {
        HOME: home.path,
        PATH: "/usr/local/bin:/usr/bin:/bin",
        CLAUDE_CODE_DAEMON_CLAUDE: CLAUDE_PATH,
        CLAUDE_CODE_DAEMON_PORT: String(port),
        ...env,
      },
      platform: process.platform,
      cwd: home.path,
      userHome: home.path,
      uid: process.getuid?.() ?? 0,
    },
    stdout: {
      isTerminal: false,
      write: (text) => {
        out += text;
      },
    },
    stderr: { isTerminal: false, write: () => undefined },
    stdinIsTerminal: false,
    readStdin: async () => "",
    name: "claude-code-daemon",
  });
  return { code, findings: (JSON.parse(out) as { findings: Finding[] }).findings };
}

const state = () => home.join(".local/state/claude-code-daemon");
const config = (text: string) => {
  mkdirSync(home.join(".config/claude-code-daemon"), { recursive: true });
  writeFileSync(home.join(".config/claude-code-daemon/config.toml"), text);
};

requires("git", "bubblewrap")("finds nothing wrong where nothing is", async () => {
  const { code, findings } = await doctor();
  expect(findings.filter((finding) => finding.state === "fault")).toEqual([]);
  expect(code).toBe(0);
  expect(findings.map(({ check }) => check)).toEqual(expect.arrayContaining(["claude", "git", "sandbox", "disk"]));
  expect(await filesBelow(home.path)).toEqual([]);
});

interface Plant {
  plant?: () => void | Promise<void>;
  env?: Record<string, string | undefined>;
  check: string;
  text: RegExp;
  remedy: RegExp;
}

const FAULTS: Record<string, Plant> = {
  "a broken config": { plant: () => config("port = "), check: "config", text: /config\.toml/, remedy: /config show/ },
  "a wrong value": {
    env: { CLAUDE_CODE_DAEMON_PORT: "99999" },
    check: "config",
    text: /CLAUDE_CODE_DAEMON_PORT/,
    remedy: /Correct/,
  },
  "no claude": {
    env: { CLAUDE_CODE_DAEMON_CLAUDE: undefined, PATH: "/nowhere" },
    check: "claude",
    text: /not found/,
    remedy: /npm install -g/,
  },
  "a claude that is too old": {
    plant: () => {
      writeFileSync(home.join("claude"), '#!/bin/sh\necho "1.0.60 (Claude Code)"\n');
      chmodSync(home.join("claude"), 0o755);
    },
    env: { CLAUDE_CODE_DAEMON_CLAUDE: "~/claude" },
    check: "claude",
    text: /cannot be used/,
    remedy: /update Claude Code/,
  },
  "no git": { env: { PATH: "/nowhere" }, check: "git", text: /git was not found/, remedy: /apt install git/ },
  "no sandbox": { env: { PATH: "/nowhere" }, check: "sandbox", text: /bubblewrap/, remedy: /apt install bubblewrap/ },
  "a workspace that is gone": {
    env: { CLAUDE_CODE_DAEMON_WORKSPACES_ROOTS: "/nowhere/at/all" },
    check: "workspace",
    text: /not a directory/,
    remedy: /workspace remove/,
  },
  "no workspace": {
    env: { CLAUDE_CODE_DAEMON_WORKSPACES_CURRENT_DIRECTORY: "false" },
    check: "workspace",
    text: /nowhere/,
    remedy: /workspace add/,
  },
  "a state directory that others can read": {
    plant: () => {
      mkdirSync(state(), { recursive: true });
      chmodSync(state(), 0o755);
    },
    check: "files",
    text: /others can reach/,
    remedy: /chmod -R go=/,
  },
  "a state directory that is a link": {
    plant: () => {
      mkdirSync(home.join(".local/state"), { recursive: true });
      symlinkSync("/tmp", state());
    },
    check: "files",
    text: /symbolic link/,
    remedy: /XDG_STATE_HOME/,
  },
};
for (const [title, { plant, env, check, text, remedy }] of Object.entries(FAULTS)) {
  test(`names ${title}`, async () => {
    await plant?.();
    const { code, findings } = await doctor(env);
    const fault = findings.find((finding) => finding.check === check && finding.state === "fault");
    expect(fault?.text).toMatch(text);
    expect(fault?.remedy).toMatch(remedy);
    expect(code).toBe(1);
    rmSync(state(), { recursive: true, force: true });
  });
}

test("names a port that another program has taken", async () => {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("not the daemon") });
  const { findings } = await doctor({ CLAUDE_CODE_DAEMON_PORT: String(server.port) });
  await server.stop(true);
  expect(findings.find(({ check }) => check === "port")).toMatchObject({
    state: "fault",
    remedy: expect.stringContaining("--port"),
  });
});

test("passes on what a running daemon says of itself", async () => {
  const health = { status: "degraded", claude: { logged_in: false }, problems: ["the store is read-only"] };
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => Response.json(health) });
  const { code, findings } = await doctor({ CLAUDE_CODE_DAEMON_PORT: String(server.port) });
  await server.stop(true);
  expect(code).toBe(1);
  expect(findings.find(({ check }) => check === "login")).toMatchObject({
    state: "fault",
    remedy: expect.stringContaining("log in"),
  });
  expect(findings.find(({ check }) => check === "daemon")?.text).toContain("the store is read-only");
});

test("does not call a running daemon to witness where none runs", async () => {
  const { findings } = await doctor();
  expect(findings.find(({ check }) => check === "login")?.text).toBe("not known: only a running daemon asks");
  const health = { status: "ok", claude: { logged_in: null } };
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => Response.json(health) });
  const running = await doctor({ CLAUDE_CODE_DAEMON_PORT: String(server.port) });
  await server.stop(true);
  const login = running.findings.find(({ check }) => check === "login");
  expect(login).toMatchObject({ state: "note", text: "the running daemon has not asked yet" });
});
