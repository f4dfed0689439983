/** What a service is given of the user's shell: the file, the choice, and the shell's own PATH. */
import { describe, expect, test } from "bun:test";
import { chmod } from "node:fs/promises";
import { parseEnvironmentFile, renderEnvironmentFile } from "../../src/service/environment-file.ts";
import { rotateLog } from "../../src/service/log-file.ts";
import { mergePaths, takeSnapshot } from "../../src/service/snapshot.ts";
import { pathOfUserShell } from "../../src/service/user-shell.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

describe("service.env", () => {
  const odd = { PATH: "/a b:/c", KEY: `q"uo\\te $HOME \`id\` 'x' 100% #no ;no` };

  test("is read back as it was written", () => {
    expect(parseEnvironmentFile(renderEnvironmentFile(odd))).toEqual(odd);
  });

  test("means the same to a shell", () => {
    const script = `${renderEnvironmentFile(odd)}\n/usr/bin/printf '%s' "$KEY"`;
    expect(Bun.spawnSync(["/bin/sh", "-c", script]).stdout.toString()).toBe(odd.KEY);
  });

  test("written again it keeps the user's own lines as they are, and replaces ours", () => {
    const first = `${renderEnvironmentFile({ PATH: "/old", LANG: "C" })}MY_KEY='as is'\n`;
    const second = renderEnvironmentFile({ PATH: "/new" }, first);
    expect(second).toContain("MY_KEY='as is'\n");
    expect(parseEnvironmentFile(second)).toEqual({ PATH: "/new", LANG: "C", MY_KEY: "as is" });
    expect(second.match(/^PATH=/gm)).toHaveLength(1);
    expect(renderEnvironmentFile({ PATH: "/new" }, second)).toBe(second);
  });

  test("a value with a line break cannot smuggle in another variable", () => {
    expect(parseEnvironmentFile(renderEnvironmentFile({ A: "1\nLD_PRELOAD=/evil", B: "2" }))).toEqual({ B: "2" });
  });
});

describe("the snapshot", () => {
  const environment = {
    PATH: "/shell",
    XDG_STATE_HOME: "/state",
    HTTPS_PROXY: "http://proxy:3128",
    ANTHROPIC_API_KEY: "sk-ant-fake",
    AWS_PROFILE: "work",
    SECRET: "s",
    NOTIFY_SOCKET: "/run/x",
  };
  const take = (names: string[], known: string[] = []) =>
    takeSnapshot({ environment, path: "/snap", claude: "/snap/claude", names, known: new Set(known) });

  test("has the places and the way to the network; logins only by name, and it names those it left out", () => {
    expect(take([])).toEqual({
      values: {
        PATH: "/snap",
        CLAUDE_CODE_DAEMON_SERVICE_CLAUDE: "/snap/claude",
        XDG_STATE_HOME: "/state",
        HTTPS_PROXY: "http://proxy:3128",
      },
      leftOut: ["ANTHROPIC_API_KEY", "AWS_PROFILE"],
    });
    expect(take(["ANTHROPIC_API_KEY", "SECRET"])).toMatchObject({
      values: { ANTHROPIC_API_KEY: "sk-ant-fake", SECRET: "s" },
      leftOut: ["AWS_PROFILE"],
    });
  });

  test("what the service has already is not asked for again", () => {
    expect(take([], ["ANTHROPIC_API_KEY"]).leftOut).toEqual(["AWS_PROFILE"]);
  });

  test("PATHs are joined without doubles and relative entries", () => {
    expect(mergePaths("/a:.:/b::bin", "/b:/c")).toBe("/a:/b:/c");
  });
});

describe("the PATH of the user's shell", () => {
  test("comes from startup files that only an interactive shell reads, whatever they print", async () => {
    await using home = await createTmpDir("shell-");
    const guarded = "case $- in *i*) ;; *) return ;; esac\n";
    await Bun.write(
      home.join(".bashrc"),
      `${guarded}echo "PATH=/banner"; export PATH="$HOME/only-interactive:$PATH"\n`,
    );
    await Bun.write(home.join(".bash_profile"), ". ~/.bashrc\n");
    const environment = { HOME: home.path, PATH: "/usr/bin:/bin", NOTIFY_SOCKET: "/run/x" };
    const path = await pathOfUserShell({ shell: "/bin/bash", home: home.path, environment });
    expect(path?.split(":")).toContain(home.join("only-interactive"));
    expect(path).not.toContain("banner");
  });

  test("of a shell that we do not know, /bin/sh answers", async () => {
    await using home = await createTmpDir("shell-");
    await Bun.write(home.join(".profile"), 'PATH="/from-profile:$PATH"\n');
    await Bun.write(home.join("oddsh"), "#!/bin/sh\nexit 1\n");
    await chmod(home.join("oddsh"), 0o755);
    const environment = { HOME: home.path, PATH: "/usr/bin:/bin" };
    for (const shell of [home.join("oddsh"), "/nowhere/bash", undefined]) {
      expect(await pathOfUserShell({ shell, home: home.path, environment })).toContain("/from-profile");
    }
  });

  test("one that fails is none", async () => {
    await using home = await createTmpDir("shell-");
    await Bun.write(home.join(".bash_profile"), "exit 3\n");
    const environment = { HOME: home.path, PATH: "/usr/bin:/bin" };
    expect(await pathOfUserShell({ shell: "/bin/bash", home: home.path, environment })).toBeUndefined();
  });
});

test("a log past its size is copied and cut; who has it open goes on writing at its new end", async () => {
  await using directory = await createTmpDir("log-");
  const path = directory.join("daemon.log");
  await Bun.write(path, "0123456789");
  expect(rotateLog(path, 10)).toBe(false);
  const writer = Bun.spawn(["/bin/sh", "-c", 'exec >>"$1"; printf first; read line; printf second', "sh", path], {
    stdin: "pipe",
    stdout: "pipe",
  });
  while (!(await Bun.file(path).text()).endsWith("first")) await Bun.sleep(1);
  expect(rotateLog(path, 10)).toBe(true);
  writer.stdin.write("\n");
  await writer.stdin.end();
  await writer.exited;
  expect(await Bun.file(path).text()).toBe("second");
  expect(await Bun.file(`${path}.1`).text()).toBe("0123456789first");
  expect(rotateLog(directory.join("missing"), 10)).toBe(false);
});
