/** What the daemon starts while claude is updated under it; the files are real, the processes are not. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, mkdir, realpath, rename, rm, symlink, utimes } from "node:fs/promises";
import { featuresOf } from "../../src/claude/features.ts";
import type { ClaudeInstallation } from "../../src/claude/locate.ts";
import type { ClaudeProcess, LaunchOptions } from "../../src/claude/transport.ts";
import { createClaudeLauncher } from "../../src/daemon/claude-launcher.ts";
import { DaemonError } from "../../src/errors.ts";
import { createLogger } from "../../src/log.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

/** `bin/claude` points to `versions/1`; `update` points it elsewhere, as claude's own updater does. */
async function createMachine() {
  const directory = await createTmpDir("launcher-");
  const foundAt = directory.join("bin/claude");
  await mkdir(directory.join("bin"));
  const put = async (version: string) => {
    await Bun.write(directory.join(`versions/${version}`), "");
    await chmod(directory.join(`versions/${version}`), 0o755);
  };
  const update = async (version: string) => {
    await put(version);
    await symlink(`../versions/${version}`, directory.join("bin/new"));
    await rename(directory.join("bin/new"), foundAt);
  };
  const find = async (): Promise<ClaudeInstallation> => {
    const path = await realpath(foundAt);
    const version = path.slice(path.lastIndexOf("/") + 1);
    return { path, foundAt, version, features: featuresOf("2.1.330") };
  };
  await update("1");
  let searches = 0;
  let tooOld = false;
  let now = 0;
  const launcher = createClaudeLauncher(await find(), {
    find: async () => {
      searches += 1;
      if (tooOld) throw new DaemonError("claude_missing", "The installed Claude Code is too old.");
      return find();
    },
    start: (_, { path }) => {
      if (!existsSync(path)) throw new DaemonError("claude_missing", "gone");
      return { started: path.slice(path.lastIndexOf("/") + 1) } as unknown as ClaudeProcess;
    },
    now: () => now,
    log: createLogger({ level: "error", timestamps: false, write: () => undefined }),
  });
  return {
    directory,
    update,
    put,
    searches: () => searches,
    pass: (ms: number) => {
      now += ms;
    },
    launcher,
    /** What is found from now on is below the floor, or is not. */
    setTooOld: (value: boolean) => {
      tooOld = value;
    },
    launch: () => (launcher.launch({} as LaunchOptions) as unknown as { started: string }).started,
    /** Until `current` is this version. */
    settled: async (version: string) => {
      // A search awaits the file system: how many rounds it takes is not known.
      while (launcher.current().version !== version) await new Promise((resolve) => setImmediate(resolve));
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

test("an update is taken up without a restart, and searched for once", async () => {
  await using machine = await createMachine();
  expect(machine.launch()).toBe("1");
  await machine.update("2");
  expect(machine.launch()).toBe("1");
  await machine.settled("2");
  expect([machine.launch(), machine.launch()]).toEqual(["2", "2"]);
  expect(machine.searches()).toBe(1);
});

test("an update that takes the old version away fails no launch", async () => {
  await using machine = await createMachine();
  await machine.update("2");
  await rm(machine.directory.join("versions/1"));
  expect([machine.launch(), machine.launch()]).toEqual(["2", "2"]);
});

test("what others may write to is not followed; what is gone is said", async () => {
  await using machine = await createMachine();
  await machine.update("2");
  await rm(machine.directory.join("versions/1"));
  await chmod(machine.directory.join("versions/2"), 0o777);
  expect(machine.launch).toThrow("gone");
});

test("looking notices an update that no launch has met", async () => {
  await using machine = await createMachine();
  await machine.update("2");
  await machine.launcher.look();
  expect(machine.launcher.current().version).toBe("2");
  await machine.launcher.look();
  expect(machine.searches()).toBe(1);
});

test("a version too old in the same file is refused until it is replaced again", async () => {
  await using machine = await createMachine();
  machine.setTooOld(true);
  await utimes(machine.directory.join("versions/1"), 1, 1);
  await machine.launcher.look();
  expect(machine.launch).toThrow("too old");
  expect(machine.launcher.problem()).toMatchObject({ code: "claude_missing" });
  machine.setTooOld(false);
  await utimes(machine.directory.join("versions/1"), 2, 2);
  await machine.launcher.look();
  expect(machine.launch()).toBe("1");
  expect(machine.launcher.problem()).toBeUndefined();
});

test("a reason that passes without a change of the file is found to have passed, by whoever launches or looks", async () => {
  await using machine = await createMachine();
  const fail = async (time: number) => {
    machine.setTooOld(true);
    await utimes(machine.directory.join("versions/1"), time, time);
    await machine.launcher.look();
    expect(machine.launcher.problem()).toBeDefined();
    machine.setTooOld(false);
  };
  await fail(1);
  machine.pass(2_000);
  await machine.launcher.look();
  expect(machine.launch()).toBe("1");
  await fail(2);
  machine.pass(2_000);
  expect(machine.launch).toThrow("too old");
  while (machine.launcher.problem()) await new Promise((resolve) => setImmediate(resolve));
  expect(machine.launch()).toBe("1");
});

test("however many ask for a claude that cannot be used, it is run once in two seconds", async () => {
  await using machine = await createMachine();
  machine.setTooOld(true);
  await utimes(machine.directory.join("versions/1"), 1, 1);
  await machine.launcher.look();
  for (let index = 0; index < 20; index++) {
    expect(machine.launch).toThrow("too old");
    await machine.launcher.look();
  }
  expect(machine.searches()).toBe(1);
  machine.pass(2_000);
  for (let index = 0; index < 20; index++) await machine.launcher.look();
  expect(machine.searches()).toBe(2);
});

test("a link that points to a version too old leaves the one of before in use", async () => {
  await using machine = await createMachine();
  machine.setTooOld(true);
  await machine.update("2");
  await machine.launcher.look();
  expect(machine.launch()).toBe("1");
});
