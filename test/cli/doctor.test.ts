/** `doctor` names planted faults, each with what mends it, and changes nothing. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { checkDisk } from "../../src/cli/findings-files.ts";
import { runCli } from "../../src/cli/program.ts";
import { startCommand } from "../../src/cli/service-manager.ts";
import { openListFile } from "../../src/config/list-file.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { renderEnvironmentFile } from "../../src/service/environment-file.ts";
import { renderUnit } from "../../src/service/unit.ts";
import { CLAUDE_PATH } from "../support/claude.ts";
import { requires } from "../support/requires.ts";
import { createTmpDir, filesBelow, type TmpDir } from "../support/tmp-dir.ts";
import { createFakeSystemd, type FakeSystemd, type SystemdState } from "./fake-systemd.ts";

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
        ANTHROPIC_API_KEY: "sk-ant-fake",
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
  "a broken config": {
    plant: () => config("# mine\nhost = 'localhost'\n\nport = \n[log]\nlevel = 'info'\n"),
    check: "config",
    text: /config\.toml, line 4, is not valid TOML/,
    remedy: /\$EDITOR .*config\.toml/,
  },
  "a wrong value in the config": {
    plant: () => config("port = 8080\n[log]\nlevel = 'loud'\n"),
    check: "config",
    text: /log\.level is "loud" \(file .*config\.toml, line 3\)/,
    remedy: /\$EDITOR/,
  },
  "a config that others can write": {
    plant: () => {
      config("");
      chmodSync(home.join(".config/claude-code-daemon/config.toml"), 0o664);
    },
    check: "files",
    text: /others can write to .*config\.toml/,
    remedy: /^chmod go-w .*config\.toml$/,
  },
  "a service's variables that others can read": {
    plant: () => {
      config("");
      writeFileSync(home.join(".config/claude-code-daemon/service.env"), "");
      chmodSync(home.join(".config/claude-code-daemon/service.env"), 0o644);
    },
    check: "files",
    text: /others can read .*service\.env/,
    remedy: /^chmod 600 .*service\.env$/,
  },
  "a claude that is not logged in": {
    plant: () => writeFileSync(home.join(".claude.json"), "{}"),
    env: { ANTHROPIC_API_KEY: undefined },
    check: "login",
    text: /not logged in/,
    remedy: /claude auth login/,
  },
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
    remedy: expect.stringContaining("login"),
  });
  expect(findings.find(({ check }) => check === "daemon")?.text).toContain("the store is read-only");
});

test("claude itself is asked for its login where no daemon can say", async () => {
  const loginOf = ({ findings }: { findings: Finding[] }) => findings.find(({ check }) => check === "login")?.text;
  expect(loginOf(await doctor())).toBe("not known: claude has never been run here");
  writeFileSync(home.join(".claude.json"), "{}");
  expect(loginOf(await doctor())).toBe("claude is logged in");
  const health = { status: "ok", claude: { logged_in: null } };
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => Response.json(health) });
  const running = await doctor({ CLAUDE_CODE_DAEMON_PORT: String(server.port), ANTHROPIC_API_KEY: undefined });
  await server.stop(true);
  expect(loginOf(running)).toBe("claude is not logged in");
});

requires("linux")("names the program that has taken the port", async () => {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("not the daemon") });
  const { findings } = await doctor({ CLAUDE_CODE_DAEMON_PORT: String(server.port) });
  await server.stop(true);
  expect(findings.find(({ check }) => check === "port")?.text).toContain(`(process ${process.pid})`);
});

test("a full disk is a fault", () => {
  const paths = resolvePaths({ env: { HOME: home.path }, platform: "linux", userHome: undefined });
  expect(checkDisk(paths, Number.MAX_SAFE_INTEGER)).toMatchObject({
    ...{ check: "disk", state: "fault", remedy: expect.stringContaining("space") },
  });
  expect(checkDisk(paths, 1).state).toBe("ok");
});

describe("the service", () => {
  /** As `service install` leaves it, but for what a test changes. */
  async function installed(state: SystemdState, change: { unit?: string; path?: string } = {}): Promise<FakeSystemd> {
    const systemd = await createFakeSystemd(state);
    const environmentFile = systemd.join(".config/claude-code-daemon/service.env");
    const command = startCommand(systemd.env.PATH ?? "");
    mkdirSync(dirname(systemd.unitFile), { recursive: true });
    mkdirSync(dirname(environmentFile), { recursive: true });
    writeFileSync(systemd.unitFile, change.unit ?? renderUnit({ command, home: systemd.home, environmentFile }));
    const values = { PATH: change.path ?? systemd.env.PATH ?? "", CLAUDE_CODE_DAEMON_SERVICE_CLAUDE: CLAUDE_PATH };
    writeFileSync(environmentFile, renderEnvironmentFile(values), { mode: 0o600 });
    openListFile(systemd.join(".config/claude-code-daemon/workspaces.json")).add(systemd.home);
    return systemd;
  }
  const found = async (systemd: FakeSystemd, env: Record<string, string | undefined> = {}) => {
    const { findings } = await doctor({ ANTHROPIC_API_KEY: undefined, ...systemd.env, ...env });
    return findings.filter(({ check }) => check === "service").map(({ state, text, remedy }) => [state, text, remedy]);
  };
  const onLinux = requires("linux", "git");

  onLinux("that runs as it would be installed is nothing to talk about", async () => {
    await using systemd = await installed({ active: true });
    expect(await found(systemd)).toEqual([["ok", "active (running), starts by itself", undefined]]);
  });

  onLinux("that is not installed is a note", async () => {
    await using systemd = await createFakeSystemd({ active: false });
    expect(await found(systemd)).toEqual([
      ["note", expect.stringContaining("not installed"), "claude-code-daemon service install"],
    ]);
  });

  onLinux("that failed, does not start by itself and ends with the session is told so", async () => {
    await using systemd = await installed({ active: false, enabled: false, lingering: false });
    expect(await found(systemd)).toEqual([
      ["fault", "it does not run: failed (failed)", expect.stringContaining("claude-code-daemon service start")],
      ["fault", "it does not start by itself", "claude-code-daemon service install"],
      ["note", expect.stringContaining("ends with your last session"), "claude-code-daemon service install --linger"],
    ]);
  });

  onLinux("without a directory for agents is told so: this shell's own does not count", async () => {
    await using systemd = await installed({ active: true });
    openListFile(systemd.join(".config/claude-code-daemon/workspaces.json")).remove(systemd.home);
    expect(await found(systemd)).toContainEqual([
      "note",
      "no directory is open to its agents yet; chat models work",
      "claude-code-daemon workspace add DIRECTORY",
    ]);
  });

  onLinux("that was started again and again is a note", async () => {
    await using systemd = await installed({ active: true, restarts: 2 });
    expect(await found(systemd)).toContainEqual(["note", "it was started again 2 times", "claude-code-daemon logs"]);
  });

  onLinux("whose unit another version wrote is a note; one whose program is gone a fault", async () => {
    await using older = await installed({ active: true }, { unit: '[Service]\nExecStart="/bin/sh" "start"\n' });
    expect(await found(older)).toContainEqual([
      "note",
      `${older.unitFile} is not what this version writes`,
      "claude-code-daemon service install",
    ]);
    await using gone = await installed({ active: true }, { unit: '[Service]\nExecStart="/nowhere/daemon" "start"\n' });
    expect(await found(gone)).toContainEqual([
      "fault",
      expect.stringContaining("/nowhere/daemon, which is not there any more"),
      "claude-code-daemon service install",
    ]);
  });

  onLinux("whose PATH lacks what this shell finds, and that lacks this shell's login, says which", async () => {
    await using systemd = await installed({ active: true }, { path: "/nowhere" });
    expect(await found(systemd, { ANTHROPIC_API_KEY: "sk-ant-fake" })).toEqual([
      ["ok", expect.anything(), undefined],
      [
        "fault",
        expect.stringMatching(/^git is on this shell's PATH \(.*\) but not on the service's/),
        expect.anything(),
      ],
      ...(Bun.which("node", { PATH: systemd.env.PATH ?? "" }) === null
        ? []
        : [["note", expect.stringContaining("node"), expect.anything()]]),
      [
        "note",
        "set in this shell, but not for the service: ANTHROPIC_API_KEY",
        "claude-code-daemon service install --env ANTHROPIC_API_KEY",
      ],
    ]);
  });
});
