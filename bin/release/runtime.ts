/**
 * The Bun that a binary for another platform carries. Bun fetches them itself when told to compile for another platform,
 * from the same packages, but checks nothing (Bun 1.4.5): here a file counts only with its pinned checksum.
 */
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./run.ts";
import { BUN_VERSION, type Target } from "./targets.ts";

/** About 50 MB each. */
const DOWNLOAD_TIMEOUT_MS = 300_000;
const UNPACK_TIMEOUT_MS = 60_000;

function integrityOf(bytes: Uint8Array): string {
  return `sha512-${new Bun.CryptoHasher("sha512").update(bytes).digest("base64")}`;
}

/** The package by npm, which knows the user's registry, proxy and login. Throws when the checksum is another. */
async function download(target: Target, cached: string, cacheDirectory: string): Promise<void> {
  const name = `@oven/bun-${target.runtime}@${BUN_VERSION}`;
  if (Bun.which("npm") === null) throw new Error(`npm is needed to fetch ${name}; install Node.js`);
  process.stderr.write(`Fetching ${name} …\n`);
  const directory = await mkdtemp(join(cacheDirectory, "download-"));
  try {
    const command = ["npm", "pack", "--silent", name, `--pack-destination=${directory}`];
    await run(command, { cwd: directory, timeoutMs: DOWNLOAD_TIMEOUT_MS });
    const [packed] = [...new Bun.Glob("*.tgz").scanSync(directory)];
    if (packed === undefined) throw new Error(`npm left no file of ${name}`);
    const found = integrityOf(await Bun.file(join(directory, packed)).bytes());
    if (found !== target.integrity)
      throw new Error(`${name}: the checksum is ${found}, not the pinned ${target.integrity}`);
    await rename(join(directory, packed), cached);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Unpacks the target's Bun into `directory`; its path. The packages stay in `cacheDirectory`, checked again at every use.
 */
export async function provideRuntime(target: Target, directory: string, cacheDirectory: string): Promise<string> {
  await mkdir(cacheDirectory, { recursive: true });
  const cached = join(cacheDirectory, `bun-${target.runtime}-${BUN_VERSION}.tgz`);
  const file = Bun.file(cached);
  if (!(await file.exists()) || integrityOf(await file.bytes()) !== target.integrity) {
    await download(target, cached, cacheDirectory);
  }
  const unpack = ["tar", "-xzf", cached, "-C", directory, "package/bin/bun"];
  await run(unpack, { cwd: directory, timeoutMs: UNPACK_TIMEOUT_MS });
  return join(directory, "package", "bin", "bun");
}
