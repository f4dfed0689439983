/** The unit as systemd reads it. */
import { describe, expect, test } from "bun:test";
import { chmod, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { renderUnit } from "../../src/service/unit.ts";
import { requires } from "../support/requires.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

const unit = (command: string[], environmentFile = "/home/u/.config/claude-code-daemon/service.env") =>
  renderUnit({ command, home: "/home/u", environmentFile });
const setting = (text: string, name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1];

describe("escaping", () => {
  test.each([
    [["/home/u/bin/ccd", "start"], '"/home/u/bin/ccd" "start"'],
    [["/home/a b/100%/x", "start"], '"/home/a b/100%%/x" "start"'],
    [["/bin/bun", '/opt/q"q/b\\s/x'], '"/bin/bun" "/opt/q\\"q/b\\\\s/x"'],
    [["/bin/bun", "/home/$USER/main.ts"], '"/bin/bun" "/home/$$USER/main.ts"'],
  ])("%p", (command, expected) => {
    expect(setting(unit(command), "ExecStart")).toBe(expected);
  });

  test("what systemd cannot be told is refused, with the way out", () => {
    for (const command of [
      ["/opt/$x/ccd"],
      ["/opt/'x/ccd"],
      ["/opt/b\\s/ccd"],
      ["/opt/a\nExecStartPost=/bin/evil/ccd"],
      ["ccd"],
      [],
    ]) {
      expect(() => unit(command)).toThrow(/Install the program somewhere else/);
    }
    expect(() => unit(["/bin/ccd"], "/home/u/a\nExecStart=/bin/evil")).toThrow("control character");
  });

  test("the environment file's path stands unquoted, its specifiers escaped", () => {
    expect(setting(unit(["/bin/ccd"], "/home/a b/50%/service.env"), "EnvironmentFile")).toBe(
      "-/home/a b/50%%/service.env",
    );
  });
});

test("what it must and must not say", () => {
  const text = unit(["/bin/ccd", "start"]);
  for (const line of [
    "Type=notify",
    "NotifyAccess=main",
    "Restart=on-failure",
    "RestartPreventExitStatus=78",
    "WatchdogSec=30",
    "Environment=CLAUDE_CODE_DAEMON_WORKSPACES_CURRENT_DIRECTORY=false",
    "WantedBy=default.target",
  ]) {
    expect(text.split("\n")).toContain(line);
  }
  // Each of these breaks the agent's tools, bubblewrap or the JIT, or is inherited by files that agents write.
  expect(text).not.toMatch(
    /^(UMask|NoNewPrivileges|LockPersonality|Restrict(?!art)|SystemCall|Protect|Private|MemoryDenyWriteExecute|Capability|DynamicUser)/m,
  );
});

requires("systemd")("systemd-analyze verify has nothing to say, for a plain path and an odd one", async () => {
  await using directory = await createTmpDir("unit-");
  for (const [name, program] of [
    ["plain", "bin/ccd"],
    ["odd", "b in/100%/;x/ccd"],
  ] as const) {
    const path = directory.join(program);
    await mkdir(dirname(path), { recursive: true });
    await Bun.write(path, "#!/bin/sh\n");
    await chmod(path, 0o755);
    const file = directory.join(`${name}.service`);
    await Bun.write(file, unit([path, "start"]));
    const result = Bun.spawnSync(["systemd-analyze", "verify", "--user", file], {
      env: { ...process.env, XDG_RUNTIME_DIR: directory.path, HOME: directory.path },
    });
    expect({ name, said: result.stderr.toString(), code: result.exitCode }).toEqual({ name, said: "", code: 0 });
  }
});
