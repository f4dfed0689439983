/** install.sh with a service that runs: a real `systemd --user`, real programs of three versions, the real claude. */
import { expect } from "bun:test";
import { cpSync, mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { createTarball } from "../../bin/release/archive.ts";
import { CLAUDE_PATH } from "../support/claude.ts";
import { requires } from "../support/requires.ts";
import { createTmpDir, type TmpDir } from "../support/tmp-dir.ts";
import { ROOT } from "./machine.ts";

const HERE = new URL("./", import.meta.url).pathname;
/** Three builds, and five runs of install.sh: about 40 s where nothing else runs. */
const TIMEOUT_MS = 240_000;

/** A program that works wherever it is started but in a service, as one does that does not get along with systemd. */
const BROKEN_IN_SERVICES = "if (process.env.CLAUDE_CODE_DAEMON_SERVICE !== undefined) process.exit(78);\n";

/** Adds the tarball of a build of this version to the release. */
async function addVersion(directory: TmpDir, version: string, firstLine: string): Promise<string[]> {
  const source = directory.join(`source-${version}`);
  mkdirSync(`${source}/bin`, { recursive: true });
  for (const path of ["package.json", "tsconfig.json", "src", "bin/build.ts", "bin/mach-o.ts"]) {
    cpSync(ROOT + path, `${source}/${path}`, { recursive: true });
  }
  symlinkSync(`${ROOT}node_modules`, `${source}/node_modules`);
  const main = `${source}/src/main.ts`;
  await Bun.write(main, firstLine + (await Bun.file(main).text()));
  const outfile = directory.join(`${version}/claude-code-daemon`);
  const command = [process.execPath, "bin/build.ts", `--outfile=${outfile}`, `--version=${version}`];
  const build = Bun.spawnSync(command, { cwd: source, stderr: "pipe" });
  if (build.exitCode !== 0) throw new Error(build.stderr.toString());
  const name = `claude-code-daemon-${version}-linux-${process.arch}`;
  const file = async (path: string, from: string, executable: boolean) => ({
    path: `${name}/${path}`,
    bytes: await Bun.file(from).bytes(),
    executable,
  });
  const program = await file("claude-code-daemon", outfile, true);
  const tarball = createTarball([program, await file("prove.ts", `${ROOT}bin/prove.ts`, false)], 1_700_000_000);
  const path = directory.join(`${name}.tar.gz`);
  await Bun.write(path, tarball);
  return [path, `${new Bun.CryptoHasher("sha256").update(tarball).digest("hex")}  ${name}.tar.gz\n`];
}

requires(
  "linux",
  "root",
  "systemd",
  "userManager",
  "curl",
)(
  "an upgrade restarts the service; one after which it does not run brings the old one back, running; so does a downgrade",
  async () => {
    await using directory = await createTmpDir("service-upgrade-");
    const releases = [
      await addVersion(directory, "1.0.0", ""),
      await addVersion(directory, "1.1.0", BROKEN_IN_SERVICES),
      await addVersion(directory, "1.2.0", ""),
    ];
    const sums = directory.join("SHA256SUMS");
    await Bun.write(sums, releases.map(([, line]) => line).join(""));
    const files = [`${HERE}service-upgrade.sh`, `${ROOT}install.sh`, sums, ...releases.map(([path]) => path ?? "")];
    const machine = ["sh", `${ROOT}test/service/systemd-user.sh`, ...files, realpathSync(CLAUDE_PATH)];
    const child = Bun.spawn(machine, { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: TIMEOUT_MS - 40_000 });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    const observed = Object.fromEntries([...stdout.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
    expect({ observed, stderr }).toEqual({
      observed: {
        install: "0 1.0.0",
        again: "0 1.0.0 undisturbed",
        failed_upgrade: "1 1.0.0 1.0.0 active",
        told: "is back, and its service runs again",
        upgrade: "0 1.2.0",
        downgrade: "0 1.0.0",
        uninstall: "0 ",
        left: "",
      },
      stderr: expect.stringContaining("It works."),
    });
  },
  TIMEOUT_MS,
);
