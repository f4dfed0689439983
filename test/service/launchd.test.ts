/** The order in which launchctl is called, against an imitation of its states: launchd itself runs on macOS only. */
import { expect, test } from "bun:test";
import { existsSync, statSync, writeFileSync } from "node:fs";
import type { CommandResult } from "../../src/service/contract.ts";
import { createLaunchd } from "../../src/service/launchd.ts";
import { createTmpDir, filesBelow } from "../support/tmp-dir.ts";

const TARGET = "gui/501/dev.claude-code-daemon";

/** Loaded or not; `bootout` takes a while, and `bootstrap` fails with error 5 until it is through. */
async function createMachine() {
  const directory = await createTmpDir("launchd-");
  const calls: string[] = [];
  let loaded = false;
  let goingFor = 0;
  let slowStarts = 0;
  const answer = (exitCode: number, stdout = ""): CommandResult => ({
    exitCode,
    stdout,
    stderr: exitCode === 0 ? "" : "Input/output error",
  });
  const run = async (command: readonly string[]): Promise<CommandResult> => {
    const [, verb = ""] = command;
    if (verb !== "print") calls.push(command.slice(1).join(" ").replace(directory.path, "~"));
    if (verb === "print") {
      if (loaded && goingFor > 0 && --goingFor === 0) loaded = false;
      return loaded ? answer(0, "\tstate = running\n\tpid = 77\n\tlast exit code = 0\n") : answer(113);
    }
    if (verb === "bootstrap") {
      if (loaded) return answer(37);
      if (slowStarts > 0) {
        slowStarts -= 1;
        return answer(5);
      }
      loaded = true;
    }
    if (verb === "bootout") goingFor = 2;
    return answer(0);
  };
  const manager = createLaunchd({
    run,
    stream: async () => 0,
    writeFile: (path, text) => writeFileSync(path, text, { mode: 0o600 }),
    home: directory.path,
    uid: 501,
    domain: "gui/501",
    sleep: async () => undefined,
  });
  return {
    manager,
    directory,
    calls: () => calls.splice(0),
    startsSlowly: (times: number) => {
      slowStarts = times;
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

test("install, update, stop, start, uninstall", async () => {
  await using machine = await createMachine();
  const { manager, directory, calls } = machine;
  const spec = { command: ["/opt/ccd", "start"], home: directory.path, environmentFile: directory.join("service.env") };
  const plist = directory.join("Library/LaunchAgents/dev.claude-code-daemon.plist");
  const load = [`enable ${TARGET}`, "bootstrap gui/501 ~/Library/LaunchAgents/dev.claude-code-daemon.plist"];
  await Bun.write(spec.environmentFile, "");

  await manager.install(spec);
  expect(calls()).toEqual(load);
  expect(statSync(plist).mode & 0o777).toBe(0o644);
  expect(existsSync(directory.join("Library/Logs/claude-code-daemon"))).toBe(true);
  expect(await manager.state()).toMatchObject({ installed: true, running: true, pid: 77 });

  await manager.install(spec);
  expect(calls()).toEqual([`bootout ${TARGET}`, ...load]);

  await manager.stop();
  expect(calls()).toEqual([`bootout ${TARGET}`]);
  expect(await manager.state()).toMatchObject({ installed: true, running: false, pid: undefined });

  machine.startsSlowly(2);
  await manager.start();
  expect(calls()).toEqual([load[0], load[1], load[1], load[1]] as string[]);

  await manager.uninstall(spec);
  expect(calls()).toEqual([`bootout ${TARGET}`]);
  expect(await filesBelow(directory.path)).toEqual([]);
  expect(manager.start()).rejects.toThrow("service install");
});
