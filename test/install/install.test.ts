/** install.sh from end to end: a fresh machine, an ordinary user, downloads from the real registry. */
import { expect } from "bun:test";
import { chmodSync, existsSync, readdirSync, statSync } from "node:fs";
import { requires } from "../support/requires.ts";
import { createTmpDir, filesBelow } from "../support/tmp-dir.ts";
import { createMachine, type Machine, ROOT } from "./machine.ts";

/** Downloads of 50 MB (Bun) and 100 MB (claude), a build, two boots of the daemon. */
const TIMEOUT_MS = 240_000;
const NEEDS = process.getuid?.() === 0 ? (["git", "registry", "setpriv"] as const) : (["git", "registry"] as const);

const install = (machine: Machine, ...flags: string[]) => machine.run(["/bin/sh", "install.sh", ...flags]);
const target = (machine: Machine) => `${machine.home}/.local/bin/claude-code-daemon`;

/** In the temporary directory, but for what claude itself keeps there. */
const leftBehind = (machine: Machine) =>
  readdirSync(machine.tmp).filter((name) => !/^(claude-\d+|cc-socks)$/.test(name));

async function ours(machine: Machine): Promise<string[]> {
  return (await filesBelow(machine.home)).filter((path) => path.includes("claude-code-daemon"));
}

requires(...NEEDS)(
  "without Bun and claude: installs both, answers, is idempotent, upgrades, rolls back, uninstalls",
  async () => {
    await using machine = await createMachine("node npm curl");

    const first = await install(machine);
    expect(first).toMatchObject({ exitCode: 0 });
    expect(first.stderr).toContain("Fetching Bun 1.4.5");
    expect(first.stderr).toContain("claude is not installed. Installing");
    expect(first.stderr).toContain("claude is not logged in");
    expect(first.stderr).toContain("Files changed: hello.txt (added)");
    expect(first.stderr).toContain("is not on your PATH");
    expect(first.stderr).toContain("So there is no service");
    // Beside what claude makes itself: the program, the Bun that the clone's own commands use too, nothing by the way.
    expect(
      (await filesBelow(machine.home)).filter((path) => !/^\.claude|^\.local\/(bin|lib|share)\//.test(path)),
    ).toEqual([".cache/claude-code-daemon/bun-1.4.5/bun"]);
    expect(leftBehind(machine)).toEqual([]);
    const installed = statSync(target(machine));
    expect(installed.mode & 0o777).toBe(0o755);

    const second = await install(machine);
    expect(second).toMatchObject({ exitCode: 0 });
    expect(second.stderr).toContain("Already installed");
    expect(second.stderr).not.toContain("Fetching");
    expect(second.stderr).not.toContain("Installing @anthropic-ai");
    expect(statSync(target(machine))).toMatchObject({ ino: installed.ino, mtimeMs: installed.mtimeMs });

    const manifest = `${machine.clone}/package.json`;
    await Bun.write(manifest, (await Bun.file(manifest).text()).replace(/"version": ".*"/, '"version": "9.9.9"'));
    const upgrade = await install(machine);
    expect(upgrade).toMatchObject({ exitCode: 0 });
    expect((await machine.run([target(machine), "--version"])).stdout.trim()).toBe("9.9.9");

    const upgraded = statSync(target(machine));

    const main = `${machine.clone}/src/main.ts`;
    await Bun.write(main, 'import { VERSION } from "./version.ts";\nprocess.stdout.write(VERSION);\n');
    const broken = await install(machine);
    expect(broken.exitCode).toBe(1);
    expect(broken.stderr).toContain("the one that was installed before is back");
    expect(statSync(target(machine)).ino).toBe(upgraded.ino);

    const removed = await install(machine, "--uninstall");
    expect(removed).toMatchObject({ exitCode: 0 });
    expect(await ours(machine)).toEqual([]);
    expect(existsSync(`${machine.home}/.local/bin/claude`)).toBe(true);
  },
  TIMEOUT_MS,
);

requires(...NEEDS, "curl")(
  "without npm: Bun comes by curl; --no-claude leaves claude out and says how to get it",
  async () => {
    await using machine = await createMachine("curl");
    const result = await install(machine, "--no-claude");
    expect(result).toMatchObject({ exitCode: 0 });
    expect(result.stderr).toContain("npm install --global @anthropic-ai/claude-code");
    expect(result.stderr).toContain("not proven");
    expect(existsSync(target(machine))).toBe(true);
    expect(existsSync(`${machine.home}/.local/bin/claude`)).toBe(false);
  },
  TIMEOUT_MS,
);

requires(...NEEDS, "npm", "linux")(
  "from a release, where there is neither clone nor Bun nor npm: the binary itself proves that it answers",
  async () => {
    await using directory = await createTmpDir("release-");
    chmodSync(directory.path, 0o755);
    const name = `linux-${process.arch}`;
    const command = [process.execPath, `${ROOT}bin/release.ts`, `--target=${name}`, `--out=${directory.join("dist")}`];
    expect(Bun.spawnSync(command, { stderr: "inherit" }).exitCode).toBe(0);
    await using machine = await createMachine("", { sources: "installer" });
    const result = await install(machine, `--from=${directory.join("dist")}`);
    expect(result.stderr).toContain("claude is not installed. Installing");
    expect(result.stderr).toContain("Files changed: hello.txt (added)");
    expect(result.stderr).toContain("It works.");
    expect(result.exitCode).toBe(0);
    expect(existsSync(`${machine.home}/.cache`)).toBe(false);
    expect(existsSync(`${machine.home}/.bun`)).toBe(false);
    expect(leftBehind(machine)).toEqual([]);
    expect((await install(machine, "--uninstall")).exitCode).toBe(0);
    expect(await ours(machine)).toEqual([]);
  },
  TIMEOUT_MS,
);
