/** `bun run release` for this machine's platform: what is in a tarball, its checksums, the same bytes anywhere. */
import { expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from "node:fs";
import { createTarball } from "../../bin/release/archive.ts";
import { smoke } from "../../bin/release/smoke.ts";
import { selectTargets } from "../../bin/release/targets.ts";
import { requires } from "../support/requires.ts";
import { createTmpDir } from "../support/tmp-dir.ts";
import { createFakeRelease } from "./fake-release.ts";
import { ROOT } from "./machine.ts";

const TARGET = process.arch === "arm64" ? "linux-arm64" : "linux-x64";
const manifest: { version: string } = await Bun.file(`${ROOT}package.json`).json();
const TOP = `claude-code-daemon-${manifest.version}-${TARGET}`;
/** A download of 50 MB and two builds. */
const TIMEOUT_MS = 240_000;

function release(root: string, flags: string[], extra: Record<string, string> = {}) {
  const command = [process.execPath, `${root}/bin/release.ts`, ...flags];
  const env = { ...process.env, ...extra };
  const { exitCode, stderr } = Bun.spawnSync(command, { cwd: root, env, stdout: "pipe", stderr: "pipe" });
  return { exitCode, stderr: stderr.toString() };
}

const sha256 = async (path: string) =>
  new Bun.CryptoHasher("sha256").update(await Bun.file(path).bytes()).digest("hex");

requires(
  "linux",
  "npm",
  "git",
  "registry",
)(
  "a release holds the program, its papers and completions; built again elsewhere and later, it has the same bytes",
  async () => {
    await using directory = await createTmpDir("release-");
    const out = directory.join("out");
    mkdirSync(out);
    await Bun.write(`${out}/claude-code-daemon-0.0.1-linux-x64.tar.gz`, "of an earlier release");
    const first = release(ROOT, [`--target=${TARGET}`, `--out=${out}`, "--url=https://releases.example/v1", "--smoke"]);
    expect(first.stderr).toContain("here: answered a request");
    expect(first.exitCode).toBe(0);
    expect(readdirSync(out).sort()).toEqual(["SHA256SUMS", `${TOP}.tar.gz`, "install.sh"]);

    const sums = (await Bun.file(`${out}/SHA256SUMS`).text()).trimEnd().split("\n");
    expect(sums).toEqual([
      `${await sha256(`${out}/${TOP}.tar.gz`)}  ${TOP}.tar.gz`,
      `${await sha256(`${out}/install.sh`)}  install.sh`,
    ]);
    expect(await Bun.file(`${out}/install.sh`).text()).toContain("\nRELEASE_URL='https://releases.example/v1'\n");
    expect(statSync(`${out}/install.sh`).mode & 0o777).toBe(0o755);

    // The system's tar, not ours, says what is in it.
    const unpack = Bun.spawnSync(["tar", "-xzvf", `${out}/${TOP}.tar.gz`, "-C", directory.path]);
    expect(unpack.stderr.toString()).toBe("");
    expect(unpack.stdout.toString().trimEnd().split("\n")).toEqual(
      [
        "INSTALL.txt",
        "LICENSE",
        "README.md",
        "claude-code-daemon",
        "completions/_claude-code-daemon",
        "completions/claude-code-daemon.bash",
        "completions/claude-code-daemon.fish",
        "prove.ts",
      ].map((name) => `${TOP}/${name}`),
    );
    const unpacked = directory.join(TOP);
    const program = `${unpacked}/claude-code-daemon`;
    expect(statSync(program).mode & 0o777).toBe(0o755);
    expect(Bun.spawnSync([program, "--version"]).stdout.toString().trim()).toBe(manifest.version);
    for (const [shell, name] of [
      ["bash", "claude-code-daemon.bash"],
      ["zsh", "_claude-code-daemon"],
      ["fish", "claude-code-daemon.fish"],
    ] as const) {
      const offered = Bun.spawnSync([program, "completion", shell]).stdout.toString();
      expect(offered.length).toBeGreaterThan(100);
      expect(await Bun.file(`${unpacked}/completions/${name}`).text()).toBe(offered);
    }

    // Another checkout, at another path, with another umask's modes and no .git.
    const elsewhere = directory.join("elsewhere");
    mkdirSync(`${elsewhere}/dist`, { recursive: true });
    for (const name of readdirSync(ROOT)) {
      if (![".git", "node_modules", "dist"].includes(name)) {
        cpSync(`${ROOT}${name}`, `${elsewhere}/${name}`, { recursive: true });
      }
    }
    if (existsSync(`${ROOT}dist/runtimes`)) symlinkSync(`${ROOT}dist/runtimes`, `${elsewhere}/dist/runtimes`);
    const time = Bun.spawnSync(["git", "-C", ROOT, "log", "-1", "--format=%ct"]).stdout.toString().trim();
    const again = [`--target=${TARGET}`, `--out=${directory.join("again")}`];
    const second = release(elsewhere, again, { SOURCE_DATE_EPOCH: time });
    expect(second).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("no git clone") });
    expect(await sha256(directory.join(`again/${TOP}.tar.gz`))).toBe(await sha256(`${out}/${TOP}.tar.gz`));
  },
  TIMEOUT_MS,
);

requires("linux")("a program that does not listen, or is another version, fails its smoke test", async () => {
  await using release = await createFakeRelease();
  await using directory = await createTmpDir("smoke-");
  const target = selectTargets(TARGET)[0];
  if (target === undefined) throw new Error(`there is no ${TARGET}`);
  const tarball = (version: string) => `${release.directory}/claude-code-daemon-${version}-${TARGET}.tar.gz`;
  const trial = (name: string) => {
    mkdirSync(directory.join(name));
    return directory.join(name);
  };
  await release.add("1.0.0", "echo broken >&2; exit 3", TARGET);
  await expect(smoke(target, tarball("1.0.0"), "1.0.0", trial("broken"))).rejects.toThrow("broken");
  await release.add("1.0.1", "exit 0", TARGET);
  const renamed = Bun.spawnSync(
    [
      "sh",
      "-c",
      'mkdir x && tar -xzf "$1" -C x && mv x/* "x/$2" && tar -czf other.tgz -C x .',
      "rename",
      tarball("1.0.1"),
      `claude-code-daemon-2.0.0-${TARGET}`,
    ],
    { cwd: directory.path },
  );
  expect(renamed.exitCode).toBe(0);
  await expect(smoke(target, directory.join("other.tgz"), "2.0.0", trial("other"))).rejects.toThrow(
    "calls itself 1.0.1",
  );
});

test("a target that there is not is refused with those there are, and so is an address without TLS", async () => {
  await using directory = await createTmpDir("release-");
  const unknown = release(ROOT, ["--target=linux-x64,windows-x64", `--out=${directory.join("out")}`]);
  expect(unknown.exitCode).toBe(1);
  expect(unknown.stderr).toContain('There is no target "windows-x64"; there are: linux-x64, ');
  const plain = release(ROOT, ["--url=http://releases.example", `--out=${directory.join("out")}`]);
  expect(plain).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("https://") });
  expect(existsSync(directory.join("out"))).toBe(false);
});

test("a Bun whose checksum is not the pinned one gets into no release", async () => {
  await using directory = await createTmpDir("release-");
  // An npm whose registry serves another file under the right name.
  const npm = '#!/bin/sh\nfor last; do :; done\necho evil >"$(printf %s "$last" | sed s/.*=//)/bun.tgz"\n';
  await Bun.write(directory.join("bin/npm"), npm);
  Bun.spawnSync(["chmod", "755", directory.join("bin/npm")]);
  const script = `
    import { provideRuntime } from "${ROOT}bin/release/runtime.ts";
    import { TARGETS } from "${ROOT}bin/release/targets.ts";
    await provideRuntime(TARGETS[0], "${directory.path}", "${directory.join("cache")}");`;
  const child = Bun.spawnSync([process.execPath, "-e", script], {
    env: { ...process.env, PATH: `${directory.join("bin")}:${process.env.PATH}` },
    stderr: "pipe",
  });
  expect(child.exitCode).toBe(1);
  expect(child.stderr.toString()).toContain("not the pinned sha512-");
  expect(readdirSync(directory.join("cache"))).toEqual([]);
});

test("the order in which files are given, and what they are read from, change no byte of a tarball", () => {
  const entry = (path: string, text: string, executable = false) => ({ path, bytes: Buffer.from(text), executable });
  const files = [entry("top/b", "b".repeat(600)), entry("top/a", "a", true), entry("top/empty", "")];
  const archive = createTarball(files, 1_700_000_000);
  expect(createTarball(files.toReversed(), 1_700_000_000)).toEqual(archive);
  expect(createTarball(files, 1_700_000_001)).not.toEqual(archive);
  const listed = Bun.spawnSync(["tar", "--utc", "--numeric-owner", "-tzvf", "-"], { stdin: archive }).stdout.toString();
  expect(
    listed
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/\s+/).join(" ")),
  ).toEqual([
    "-rwxr-xr-x 0/0 1 2023-11-14 22:13 top/a",
    "-rw-r--r-- 0/0 600 2023-11-14 22:13 top/b",
    "-rw-r--r-- 0/0 0 2023-11-14 22:13 top/empty",
  ]);
  expect(() => createTarball([entry("x".repeat(101), "")], 0)).toThrow("too long");
});
