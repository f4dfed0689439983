/** install.sh from a release: what is fetched, verified, kept and put back. The programs are stand-ins (fake-release.ts). */
import { describe, expect, test } from "bun:test";
import { existsSync, lstatSync, readdirSync, statSync } from "node:fs";
import { requires } from "../support/requires.ts";
import { filesBelow } from "../support/tmp-dir.ts";
import { createFakeRelease, type FakeRelease, GOOD } from "./fake-release.ts";
import { BASE_TOOLS, createMachine, type Machine } from "./machine.ts";

const target = (machine: Machine) => `${machine.home}/.local/bin/claude-code-daemon`;

/** A machine with curl and a claude, whose platform is not guessed. */
async function machineWithClaude(tools = "curl"): Promise<Machine> {
  const machine = await createMachine(tools, { sources: "installer" });
  await machine.addTool("claude", "#!/bin/sh\necho 2.1.330\n");
  return machine;
}

const run = (machine: Machine, command: string[], extra: Record<string, string> = {}) =>
  machine.run(command, { CLAUDE_CODE_DAEMON_TARGET: "linux-x64", ...extra });
const install = (machine: Machine, release: FakeRelease, ...flags: string[]) =>
  run(machine, ["/bin/sh", "install.sh", `--from=${release.url}`, ...flags]);
const versionOf = async (machine: Machine) => (await machine.run([target(machine), "--version"])).stdout.trim();

/** Everything in the home, and which file the program is: equal before and after means that nothing was changed. */
async function stateOf(machine: Machine) {
  const { ino, mtimeMs, mode, nlink } = statSync(target(machine));
  return { files: await filesBelow(machine.home), ino, mtimeMs, mode, nlink };
}

const BUSYBOX = Bun.which("busybox") ?? "busybox";
const SHELLS: Record<string, string[]> = {
  sh: ["/bin/sh"],
  bash: [Bun.which("bash") ?? "bash"],
  dash: [Bun.which("dash") ?? "dash"],
  "busybox ash": [BUSYBOX, "ash"],
};

describe.each(Object.keys(SHELLS))("under %s", (shell) => {
  const need = shell === "busybox ash" ? (["busybox"] as const) : shell === "dash" ? (["dash"] as const) : [];

  requires("curl", ...need)(
    "installs the newest version with its completions, runs again without a change, and uninstalls to nothing",
    async () => {
      await using machine = await machineWithClaude("curl bash");
      await using release = await createFakeRelease();
      for (const version of ["1.9.0", "1.10.0", "2.0.0-rc.1", "1.2.3"]) await release.add(version);
      await release.add("9.9.9", GOOD, "linux-arm64");
      await machine.addTool("fish", "#!/bin/sh\n");
      const installIt = () => run(machine, [...(SHELLS[shell] ?? []), "install.sh", "--from", `${release.url}/`]);

      const first = await installIt();
      expect(first).toMatchObject({ exitCode: 0, stdout: "" });
      expect(first.stderr).toContain("It works.");
      expect(first.stderr).toContain("So there is no service");
      expect(first.stderr).toContain("Completion is installed for bash, fish");
      expect(first.stderr).toContain("is not on your PATH");
      expect(await versionOf(machine)).toBe("1.10.0");
      expect(await filesBelow(machine.home)).toEqual([
        ".local/bin/claude-code-daemon",
        ".local/share/bash-completion/completions/claude-code-daemon",
        ".local/share/fish/vendor_completions.d/claude-code-daemon.fish",
      ]);
      expect(statSync(target(machine)).mode & 0o777).toBe(0o755);

      const before = await stateOf(machine);
      const second = await installIt();
      expect(second.exitCode).toBe(0);
      expect(second.stderr).toContain("Already installed");
      const { mtimeMs, ino } = await stateOf(machine);
      expect({ mtimeMs, ino }).toEqual({ mtimeMs: before.mtimeMs, ino: before.ino });

      const removed = await run(machine, [...(SHELLS[shell] ?? []), "install.sh", "--uninstall"]);
      expect(removed.exitCode).toBe(0);
      expect(await filesBelow(machine.home)).toEqual([]);
      expect(readdirSync(`${machine.home}/.local/share`)).toEqual([]);
      expect(readdirSync(machine.tmp)).toEqual([]);
    },
  );
});

requires("curl")("a pinned version is installed, older ones too; one that is not there changes nothing", async () => {
  await using machine = await machineWithClaude();
  await using release = await createFakeRelease();
  for (const version of ["1.0.0", "1.1.0", "1.2.0-rc.1"]) await release.add(version);
  expect((await install(machine, release)).exitCode).toBe(0);
  expect(await versionOf(machine)).toBe("1.1.0");

  const down = await install(machine, release, "--version=v1.0.0");
  expect(down.exitCode).toBe(0);
  expect(down.stderr).toContain("keeps its old build");
  expect(await versionOf(machine)).toBe("1.0.0");
  const named = { CLAUDE_CODE_DAEMON_RELEASE_URL: release.directory, CLAUDE_CODE_DAEMON_VERSION: "1.2.0-rc.1" };
  expect((await run(machine, ["/bin/sh", "install.sh"], named)).exitCode).toBe(0);
  expect(await versionOf(machine)).toBe("1.2.0-rc.1");

  const before = await stateOf(machine);
  const none = await install(machine, release, "--version", "3.0.0");
  expect(none.exitCode).toBe(1);
  expect(none.stderr).toContain("has no version 3.0.0 for linux-x64. It has: 1.1.0 1.0.0 1.2.0-rc.1");
  expect((await install(machine, release, "--version=1.0.0/../x")).exitCode).toBe(64);
  const arm = await run(machine, ["/bin/sh", "install.sh", `--from=${release.url}`], {
    CLAUDE_CODE_DAEMON_TARGET: "linux-arm64",
  });
  expect(arm.exitCode).toBe(1);
  expect(arm.stderr).toContain("has nothing for linux-arm64");
  expect(await stateOf(machine)).toEqual(before);
});

requires("curl")("what is missing or not what the checksums say changes nothing", async () => {
  await using machine = await machineWithClaude();
  await using release = await createFakeRelease();
  await release.add("1.0.0");
  expect((await install(machine, release)).exitCode).toBe(0);
  const before = await stateOf(machine);
  const name = "claude-code-daemon-1.1.0-linux-x64.tar.gz";
  const failing = async (because: string) => {
    const result = await install(machine, release);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain(because);
    expect(result.stderr).toContain("nothing was changed");
    expect(await stateOf(machine)).toEqual(before);
    expect(readdirSync(machine.tmp)).toEqual([]);
  };

  await release.add("1.1.0");
  const tarball = await Bun.file(`${release.directory}/${name}`).bytes();
  const sums = await release.read("SHA256SUMS");
  await release.write(name, "evil");
  await failing("the checksum is ");
  await release.write(name, tarball.slice(0, -1));
  await failing("the checksum is ");
  await Bun.file(`${release.directory}/${name}`).delete();
  await failing(`${name} could not be had`);
  await release.write(name, tarball);
  await release.write("SHA256SUMS", sums.replace(/^[0-9a-f]+(?= .*1\.1\.0)/m, "abc"));
  await failing("SHA256SUMS is not what it should be");
  await release.write("SHA256SUMS", "<html>not found</html>");
  await failing("has nothing for linux-x64");
  await Bun.file(`${release.directory}/SHA256SUMS`).delete();
  await failing("SHA256SUMS could not be had");

  await release.write("SHA256SUMS", sums);
  expect((await install(machine, release)).exitCode).toBe(0);
  expect(await versionOf(machine)).toBe("1.1.0");
});

requires("curl")("a program that cannot run here, or calls itself another version, changes nothing", async () => {
  await using machine = await machineWithClaude();
  await using release = await createFakeRelease();
  await release.add("1.0.0");
  expect((await install(machine, release)).exitCode).toBe(0);
  const before = await stateOf(machine);
  await release.add("1.1.0");
  const honest = await Bun.file(`${release.directory}/claude-code-daemon-1.1.0-linux-x64.tar.gz`).bytes();
  const sum = new Bun.CryptoHasher("sha256").update(honest).digest("hex");
  await release.write("claude-code-daemon-1.2.0-linux-x64.tar.gz", honest);
  await release.write(
    "SHA256SUMS",
    `${await release.read("SHA256SUMS")}${sum}  claude-code-daemon-1.2.0-linux-x64.tar.gz\n`,
  );
  expect((await install(machine, release)).exitCode).toBe(1);
  expect(await stateOf(machine)).toEqual(before);
});

requires("curl")(
  "a new build that does not answer is taken back, and so is one whose proof is interrupted",
  async () => {
    await using machine = await machineWithClaude();
    await using release = await createFakeRelease();
    await release.add("1.0.0");
    expect((await install(machine, release)).exitCode).toBe(0);
    const before = await stateOf(machine);

    await release.add("1.1.0", 'echo "it broke" >&2; exit 1');
    const broken = await install(machine, release);
    expect(broken.exitCode).toBe(1);
    expect(broken.stderr).toContain("it broke");
    expect(broken.stderr).toContain("the one that was installed before is back");
    expect(await stateOf(machine)).toEqual(before);

    const pidFile = `${machine.tmp}/pid`;
    await release.add("1.2.0", `[ "$BUN_BE_BUN" != 1 ] || { kill -TERM "$(cat ${pidFile})"; exit 0; }\n${GOOD}`);
    const start = `echo $$ >${pidFile}; exec /bin/sh install.sh --from=${release.url}`;
    const interrupted = await run(machine, ["/bin/sh", "-c", start]);
    expect(interrupted.exitCode).toBe(143);
    expect(interrupted.stderr).toContain("before is back");
    expect(await stateOf(machine)).toEqual(before);
    expect(readdirSync(machine.tmp)).toEqual(["pid"]);
  },
);

requires("curl")(
  "an upgrade after which the service does not run is taken back, with the service; a first service that fails is not",
  async () => {
    await using machine = await machineWithClaude();
    await using release = await createFakeRelease();
    const log = `${machine.home}/service.log`;
    const program = (service: string) =>
      `case "$1 $2" in
         "service install") echo "$0 installs" >>${log}; ${service} ;;
         "status --json") cat ${machine.home}/health.json ;;
       esac\n${GOOD}`;
    await release.add("1.0.0", program("exit 1"));
    const first = await install(machine, release);
    expect(first.exitCode).toBe(1);
    expect(first.stderr).toContain("is installed and works");
    expect(await versionOf(machine)).toBe("1.0.0");

    await release.add("1.0.1", program("exit 1"));
    const second = await install(machine, release);
    expect(second.exitCode).toBe(1);
    expect(await versionOf(machine)).toBe("1.0.1");

    await release.add("1.0.2", program("exit 0"));
    const serving = await install(machine, release);
    expect(serving.exitCode).toBe(0);
    expect(serving.stderr).not.toContain("Start it in the directory");
    const unit = `${machine.home}/.config/systemd/user/claude-code-daemon.service`;
    await machine.run(["/bin/sh", "-c", `mkdir -p '${unit.replace(/\/[^/]*$/, "")}' && : >'${unit}'`]);
    const before = await stateOf(machine);

    await release.add("1.1.0", program('echo "no answer" >&2; exit 75'));
    const failed = await install(machine, release);
    expect(failed.exitCode).toBe(1);
    expect(failed.stderr).toContain("no answer");
    expect(failed.stderr).toContain("the one that was installed before is back, and its service runs again");
    expect(await stateOf(machine)).toEqual(before);
    // By 1.0.0, 1.0.1, 1.0.2, 1.1.0, and 1.0.2 again.
    expect((await Bun.file(log).text()).trimEnd().split("\n")).toHaveLength(5);

    // The same again, while it runs: nobody is disturbed. Not so where what runs is another version.
    for (const [running, calls] of [
      ["1.0.2", 5],
      ["1.0.1", 6],
    ] as const) {
      await Bun.write(`${machine.home}/health.json`, `{\n  "version": "${running}"\n}`);
      const again = await install(machine, release, "--version=1.0.2");
      expect(again.exitCode).toBe(0);
      expect(again.stderr.includes("it goes on")).toBe(running === "1.0.2");
      expect((await Bun.file(log).text()).trimEnd().split("\n")).toHaveLength(calls);
    }

    const left = await install(machine, release, "--no-service");
    expect(left.exitCode).toBe(0);
    expect(await versionOf(machine)).toBe("1.1.0");
    expect((await Bun.file(log).text()).trimEnd().split("\n")).toHaveLength(6);
  },
);

requires("curl")("piped into a shell it installs from a release, and says so where there is none", async () => {
  await using machine = await machineWithClaude();
  await using release = await createFakeRelease();
  await release.add("1.0.0");
  const pipe = (flags: string, script = "install.sh") =>
    run(machine, ["/bin/sh", "-c", `cat ${script} | sh -s -- ${flags}`]);
  // In a clone, even: what is in the current directory is not its business.
  await machine.run(["/bin/sh", "-c", "mkdir src bin && : >src/main.ts && : >bin/prove.ts"]);
  const none = await pipe("");
  expect(none.exitCode).toBe(1);
  expect(none.stderr).toContain("no release was named");
  expect(await filesBelow(machine.home)).toEqual([]);

  expect(await pipe(`--from ${release.url}`)).toMatchObject({ exitCode: 0 });
  expect(await versionOf(machine)).toBe("1.0.0");
  await release.add("1.1.0");
  const script = await Bun.file(`${machine.clone}/install.sh`).text();
  await Bun.write(`${machine.clone}/published.sh`, script.replace(/^RELEASE_URL=$/m, `RELEASE_URL='${release.url}'`));
  expect(await pipe("--no-service", "published.sh")).toMatchObject({ exitCode: 0 });
  expect(await versionOf(machine)).toBe("1.1.0");
  expect(await pipe("--uninstall", "published.sh")).toMatchObject({ exitCode: 0 });
  expect(existsSync(target(machine))).toBe(false);
});

requires("curl")(
  "a release is fetched from https:// or this machine alone, and root is refused unless told",
  async () => {
    await using machine = await machineWithClaude();
    await using release = await createFakeRelease();
    await release.add("1.0.0");
    for (const [place, because] of [
      ["http://releases.example", "is fetched from https://"],
      ["ftp://127.0.0.1", "is fetched from https://"],
      ["http://127.0.0.1.example", "is fetched from https://"],
      ["/no/such/directory", "no such directory"],
    ] as const) {
      const result = await run(machine, ["/bin/sh", "install.sh", "--from", place]);
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toContain(because);
    }
    await machine.addTool("id", "#!/bin/sh\necho 0\n");
    const refused = await install(machine, release);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("not as root");
    expect(release.requests).toEqual([]);
    expect(await filesBelow(machine.home)).toEqual([]);
    expect((await install(machine, release, "--allow-root")).exitCode).toBe(0);
  },
);

requires("busybox")("where busybox is all that there is, as on Alpine, it is fetched by its wget", async () => {
  await using machine = await machineWithClaude("");
  for (const tool of `${BASE_TOOLS} wget`.split(" ")) {
    if (tool !== "git") await machine.addTool(tool, `#!${BUSYBOX} sh\nexec ${BUSYBOX} ${tool} "$@"\n`);
  }
  await using release = await createFakeRelease();
  await release.add("1.9.0");
  await release.add("1.10.0");
  const busybox = (...flags: string[]) =>
    run(machine, [BUSYBOX, "ash", "install.sh", `--from=${release.url}`, ...flags]);
  expect(await busybox("--version=1.9.0")).toMatchObject({ exitCode: 0 });
  expect(await busybox()).toMatchObject({ exitCode: 0 });
  expect(await versionOf(machine)).toBe("1.10.0");
  const before = await stateOf(machine);
  await release.add("1.11.0");
  await Bun.file(`${release.directory}/claude-code-daemon-1.11.0-linux-x64.tar.gz`).delete();
  const missing = await busybox();
  expect(missing.exitCode).toBe(1);
  expect(missing.stderr).toContain("could not be had");
  expect(await stateOf(machine)).toEqual(before);
  expect(await busybox("--uninstall")).toMatchObject({ exitCode: 0 });
  expect(await filesBelow(machine.home)).toEqual([]);
});

requires("curl")("a disk that takes no more leaves the version that is there, and no part of another", async () => {
  await using machine = await machineWithClaude();
  await using release = await createFakeRelease();
  await release.add("1.0.0");
  expect((await install(machine, release)).exitCode).toBe(0);
  const before = await stateOf(machine);
  await release.add("1.1.0");
  // cp writes a part, then fails as on a full disk; only for the program's place.
  const real = Bun.which("cp");
  await machine.addTool(
    "cp",
    `#!/bin/sh\ncase $2 in */.local/bin/*) echo part >"$2"; echo "No space left on device" >&2; exit 1 ;; esac\nexec ${real} "$@"\n`,
  );
  const full = await install(machine, release);
  expect(full.exitCode).toBe(1);
  expect(full.stderr).toContain("No space left");
  expect(await stateOf(machine)).toEqual(before);
});

requires("curl")("after a run that was cut off, what goes back is the build that last answered", async () => {
  await using machine = await machineWithClaude();
  await using release = await createFakeRelease();
  await release.add("1.0.0");
  expect((await install(machine, release)).exitCode).toBe(0);
  const before = await stateOf(machine);

  const pidFile = `${machine.tmp}/pid`;
  await release.add("1.1.0", `[ "$BUN_BE_BUN" != 1 ] || { kill -KILL "$(cat ${pidFile})"; exit 0; }\n${GOOD}`);
  const start = `echo $$ >${pidFile}; exec /bin/sh install.sh --from=${release.url}`;
  expect((await run(machine, ["/bin/sh", "-c", start])).exitCode).toBe(137);
  expect(await versionOf(machine)).toBe("1.1.0");

  await release.add("1.2.0", "exit 1");
  expect((await install(machine, release)).exitCode).toBe(1);
  expect(await stateOf(machine)).toEqual(before);

  // The very build that was cut off, once more.
  expect((await run(machine, ["/bin/sh", "-c", `${start} --version=1.1.0`])).exitCode).toBe(137);
  expect((await run(machine, ["/bin/sh", "-c", `${start} --version=1.1.0`])).exitCode).toBe(137);
  expect((await install(machine, release, "--version=1.2.0")).exitCode).toBe(1);
  expect(await stateOf(machine)).toEqual(before);
  await release.add("1.3.0");
  expect((await install(machine, release)).exitCode).toBe(0);
  expect(await filesBelow(machine.home)).toEqual(before.files);
});

requires("curl")("of two at the same time the second one refuses, and changes nothing", async () => {
  await using machine = await machineWithClaude();
  await using release = await createFakeRelease();
  await release.add("1.0.0");
  const second = `/bin/sh ${machine.clone}/install.sh --from=${release.url} --version=1.0.0`;
  await release.add("1.1.0", `[ "$BUN_BE_BUN" != 1 ] || { ! ${second} || exit 1; exit 0; }\n${GOOD}`);
  const first = await install(machine, release);
  expect(first).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/another install\.sh \(process \d+\)/) });
  expect(await versionOf(machine)).toBe("1.1.0");
  expect(await filesBelow(machine.home)).toEqual([".local/bin/claude-code-daemon"]);
});

requires("curl")(
  "names in the caller's environment are nothing to it, nor are odd characters in a home's",
  async () => {
    await using machine = await machineWithClaude("curl bash");
    await using release = await createFakeRelease();
    await release.add("1.0.0");
    const HOME = `${machine.home}/a b'c $d`;
    const precious = `${machine.home}/precious`;
    await machine.run(["/bin/sh", "-c", 'mkdir "$1" "$2" && : >"$2/file"', "plant", HOME, precious]);
    // Clusters set SCRATCH for everybody.
    const variables = ["SCRATCH", "PREVIOUS", "LOCK", "INCOMING", "TARGET", "completed", "lock", "previous", "version"];
    const extra = { HOME, ...Object.fromEntries(variables.map((name) => [name, precious])) };
    const odd = (...flags: string[]) =>
      run(machine, ["/bin/sh", "install.sh", `--from=${release.url}`, ...flags], extra);
    expect((await odd("--version=2.0.0")).exitCode).toBe(1);
    expect((await odd()).exitCode).toBe(0);
    expect(await filesBelow(HOME)).toEqual([
      ".local/bin/claude-code-daemon",
      ".local/share/bash-completion/completions/claude-code-daemon",
    ]);
    expect((await odd("--uninstall", "--purge")).exitCode).toBe(0);
    expect(await filesBelow(machine.home)).toEqual(["precious/file"]);
    expect(readdirSync(machine.tmp)).toEqual([]);

    // A clone is found where it is, whatever CDPATH says.
    await machine.run(["/bin/sh", "-c", "mkdir src bin && : >src/main.ts && : >bin/prove.ts"]);
    await machine.run(["/bin/sh", "-c", `echo '{\n  "version": "0.1.0",\n}' >package.json`]);
    const elsewhere = "cd .. && CDPATH=$PWD sh clone/install.sh --version=9.9.9";
    expect((await run(machine, ["/bin/sh", "-c", elsewhere])).stderr).toContain("this clone is version 0.1.0");
  },
);

test("a claude that was named and is not there is refused before anything is changed", async () => {
  await using machine = await createMachine("", { sources: "installer" });
  await using release = await createFakeRelease();
  await release.add("1.0.0");
  for (const named of ["/no/such/claude", "claude"]) {
    const extra = { CLAUDE_CODE_DAEMON_CLAUDE: named };
    const result = await run(machine, ["/bin/sh", "install.sh", `--from=${release.directory}`], extra);
    expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(named) });
  }
  expect(await filesBelow(machine.home)).toEqual([]);
});

test("a directory is a release as well, without curl; --no-claude proves nothing and says so", async () => {
  await using machine = await createMachine("", { sources: "installer" });
  await using release = await createFakeRelease();
  await release.add("1.0.0");
  const result = await run(machine, ["/bin/sh", "install.sh", `--from=file://${release.directory}`, "--no-claude"]);
  // Where this machine has a claude in a place that every user's daemon looks at, it is used.
  if (result.stderr.includes("claude is not installed")) expect(result.stderr).toContain("not proven");
  expect(result.exitCode).toBe(0);
  expect(await versionOf(machine)).toBe("1.0.0");
});

test("--purge takes config and sessions along; without it they are named and stay", async () => {
  await using machine = await createMachine("", { sources: "installer" });
  const kept = [`${machine.home}/.config/claude-code-daemon`, `${machine.home}/.local/state/claude-code-daemon`];
  const plant = `for d; do mkdir -p "$d" && : >"$d/file"; done`;
  await machine.run(["/bin/sh", "-c", plant, "plant", ...kept, `${machine.home}/.config/other`]);
  const uninstalled = await machine.run(["/bin/sh", "install.sh", "--uninstall"]);
  for (const path of kept) {
    expect(uninstalled.stderr).toContain(`Left in place: ${path}`);
    expect(existsSync(path)).toBe(true);
  }
  expect((await machine.run(["/bin/sh", "install.sh", "--purge"])).exitCode).toBe(64);
  expect((await machine.run(["/bin/sh", "install.sh", "--uninstall", "--purge"])).exitCode).toBe(0);
  for (const path of kept) expect(existsSync(path)).toBe(false);
  expect(lstatSync(`${machine.home}/.config/other/file`).isFile()).toBe(true);
});
