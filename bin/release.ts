/**
 * `bun run release [--target=NAME,…] [--out=DIRECTORY] [--url=URL] [--smoke]`: what a release consists of, in dist/ by default: a
 * tarball for each platform, install.sh and SHA256SUMS. docs/releasing.md says how it is used.
 *
 * Same sources, same Bun: same bytes, on any machine of the same processor. So the sources are built from a private copy
 * with the locked dependencies, and nothing depends on paths, time or the system's tar and gzip.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { createTarball, type Entry } from "./release/archive.ts";
import { commonContents } from "./release/contents.ts";
import { run } from "./release/run.ts";
import { provideRuntime } from "./release/runtime.ts";
import { smoke } from "./release/smoke.ts";
import { BUN_VERSION, selectTargets, type Target } from "./release/targets.ts";

const root = resolve(import.meta.dir, "..");
const NAME = "claude-code-daemon";
/** What the build reads; install.sh copies the same. */
const SOURCES = ["package.json", "bun.lock", "bunfig.toml", "tsconfig.json", "src", "bin/build.ts", "bin/mach-o.ts"];
const INSTALL_TIMEOUT_MS = 300_000;
const BUILD_TIMEOUT_MS = 120_000;
const GIT_TIMEOUT_MS = 10_000;
/** Where there is neither git nor SOURCE_DATE_EPOCH: 2000-01-01, since tar warns of 1970. */
const FALLBACK_TIME_SECONDS = 946_684_800;

const say = (line: string) => void process.stderr.write(`${line}\n`);

/** When the files of the tarballs were changed: SOURCE_DATE_EPOCH, else the commit's time. */
async function modificationTime(): Promise<number> {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && /^\d{1,11}$/.test(given)) return Number(given);
  try {
    const time = await run(["git", "log", "-1", "--format=%ct"], { cwd: root, timeoutMs: GIT_TIMEOUT_MS });
    return Number(time.trim()) || FALLBACK_TIME_SECONDS;
  } catch {
    return FALLBACK_TIME_SECONDS;
  }
}

/** A release that nobody can build again is worth a word, but may be wanted for a test. */
async function warnOfChanges(): Promise<void> {
  try {
    const changes = await run(["git", "status", "--porcelain"], { cwd: root, timeoutMs: GIT_TIMEOUT_MS });
    if (changes !== "")
      say("There are changes that are not committed: this release cannot be built again from a commit.");
  } catch {
    say("This is no git clone: which commit the release is made of cannot be told.");
  }
}

async function stage(directory: string): Promise<string> {
  const source = join(directory, "source");
  for (const path of SOURCES) cpSync(join(root, path), join(source, path), { recursive: true });
  const install = [process.execPath, "install", "--frozen-lockfile", "--production", "--ignore-scripts", "--silent"];
  await run(install, { cwd: source, timeoutMs: INSTALL_TIMEOUT_MS });
  return source;
}

async function buildBinary(source: string, target: Target, version: string, directory: string, cache: string) {
  const runtime = await provideRuntime(target, directory, cache);
  // The name of the output becomes part of the binary, so it is the same for each.
  const outfile = join(directory, NAME);
  const flags = [
    `--outfile=${outfile}`,
    `--version=${version}`,
    `--target=bun-${target.runtime}`,
    `--runtime=${runtime}`,
  ];
  await run([process.execPath, "bin/build.ts", ...flags], { cwd: source, timeoutMs: BUILD_TIMEOUT_MS });
  return new Uint8Array(readFileSync(outfile));
}

interface ReleaseOptions {
  targets: readonly Target[];
  out: string;
  url: string;
  /** Try what can be tried here. */
  smoke: boolean;
}

async function release(options: ReleaseOptions): Promise<void> {
  if (Bun.version !== BUN_VERSION)
    throw new Error(`A release is built with Bun ${BUN_VERSION}; this is ${Bun.version}`);
  const { version }: { version: string } = await Bun.file(join(root, "package.json")).json();
  if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$/.test(version)) throw new Error(`package.json's version is ${version}`);
  await warnOfChanges();
  mkdirSync(options.out, { recursive: true });
  // What an earlier run left would not be of these sources.
  const stale = new RegExp(`^${NAME}-.*\\.tar\\.gz$|^SHA256SUMS$|^install\\.sh$`);
  for (const name of readdirSync(options.out)) if (stale.test(name)) rmSync(join(options.out, name));

  const modifiedAt = await modificationTime();
  const scratch = mkdtempSync(join(tmpdir(), `${NAME}-release-`));
  const files: [string, Uint8Array][] = [];
  try {
    const source = await stage(scratch);
    const common = await commonContents(root, source);
    for (const target of options.targets) {
      const directory = mkdtempSync(join(scratch, "target-"));
      const binary = await buildBinary(source, target, version, directory, join(root, "dist", "runtimes"));
      const top = `${NAME}-${version}-${target.name}`;
      const entries: Entry[] = [{ path: NAME, bytes: binary, executable: true }, ...common];
      const tarball = createTarball(
        entries.map((entry) => ({ ...entry, path: `${top}/${entry.path}` })),
        modifiedAt,
      );
      files.push([`${top}.tar.gz`, tarball]);
      writeFileSync(join(options.out, `${top}.tar.gz`), tarball);
      say(`Built ${top}.tar.gz, ${(tarball.byteLength / 1e6).toFixed(1)} MB`);
      if (options.smoke) {
        const trial = mkdtempSync(join(directory, "smoke-"));
        say(`  ${await smoke(target, join(options.out, `${top}.tar.gz`), version, trial)}`);
      }
      rmSync(directory, { recursive: true, force: true });
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const installer = readFileSync(join(root, "install.sh"), "utf8").replace(
    /^RELEASE_URL=$/m,
    `RELEASE_URL='${options.url}'`,
  );
  files.push(["install.sh", new TextEncoder().encode(installer)]);
  writeFileSync(join(options.out, "install.sh"), installer, { mode: 0o755 });
  files.sort(([one], [other]) => (one < other ? -1 : 1));
  const sums = files.map(([name, bytes]) => `${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}  ${name}\n`);
  writeFileSync(join(options.out, "SHA256SUMS"), sums.join(""));
}

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    out: { type: "string" },
    url: { type: "string", default: "" },
    smoke: { type: "boolean", default: false },
  },
});
try {
  if (values.url !== "" && !/^https:\/\/[\w.:/~%+-]+$/.test(values.url))
    throw new Error("--url is to be an https:// address");
  const out = resolve(values.out ?? join(root, "dist"));
  await release({ targets: selectTargets(values.target), out, url: values.url, smoke: values.smoke });
  process.stdout.write(`${out}\n`);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
