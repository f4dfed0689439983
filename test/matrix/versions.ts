/** Versions of Claude Code, installed where `bun run matrix` finds them. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { floorClaude, NEWEST_CLAUDE } from "../support/claude.ts";
import { type PackagedClaude, packagedClaude } from "../support/claude-package.ts";

const PACKAGE = "@anthropic-ai/claude-code";
const MATRIX = fileURLToPath(new URL("./", import.meta.url));
/** Ignored by git; what is not pinned is installed here. */
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/claude-code-matrix/", import.meta.url));
/** About 100 MB a version. */
const INSTALL_TIMEOUT_MS = 10 * 60_000;

export interface MatrixVersion extends PackagedClaude {
  /** Exact version and checksum are in a lock file of this repository. */
  pinned: boolean;
}

/** From the floor to the newest, those between pinned by test/matrix/package.json and its lock file. */
export async function pinnedVersions(): Promise<string[]> {
  const manifest: { devDependencies: Record<string, string> } = await Bun.file(`${MATRIX}package.json`).json();
  const between = Object.keys(manifest.devDependencies).map((name) => name.replace("claude-code-", ""));
  return [floorClaude().version, ...between, NEWEST_CLAUDE.version];
}

/**
 * `floor`, `newest`, `latest` (what npm calls so today, not pinned) or an exact version, installed where it is missing.
 * Throws where npm's registry cannot be reached, or does not have it.
 */
export async function installVersion(name: string): Promise<MatrixVersion> {
  const wanted = name === "latest" ? await latest() : name;
  for (const [alias, claude] of [["floor", floorClaude()] as const, ["newest", NEWEST_CLAUDE] as const])
    if (wanted === alias || wanted === claude.version) return { ...claude, pinned: true };
  if (!/^\d+\.\d+\.\d+$/.test(wanted))
    throw new Error(`${wanted} is no version: floor, newest, latest or e.g. 2.1.197`);
  if ((await pinnedVersions()).includes(wanted)) {
    const directory = join(MATRIX, "node_modules", `claude-code-${wanted}`);
    if (!existsSync(directory)) await run(["install", "--frozen-lockfile"], MATRIX);
    return { ...exactly(wanted, directory), pinned: true };
  }
  const place = join(CACHE, wanted);
  const directory = join(place, "node_modules", PACKAGE);
  if (!existsSync(directory)) {
    mkdirSync(place, { recursive: true });
    await Bun.write(join(place, "package.json"), JSON.stringify({ private: true }));
    await run(["add", "--exact", `${PACKAGE}@${wanted}`], place);
  }
  return { ...exactly(wanted, directory), pinned: false };
}

/** Another version's results under this one's name would be worse than none. */
function exactly(wanted: string, directory: string): PackagedClaude {
  const claude = packagedClaude(directory);
  if (claude.version !== wanted) throw new Error(`${directory} leads to Claude Code ${claude.version}, not ${wanted}`);
  return claude;
}

async function latest(): Promise<string> {
  const child = Bun.spawn(["npm", "view", PACKAGE, "version"], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const version = (await child.stdout.text()).trim();
  if ((await child.exited) !== 0 || version === "") throw new Error("npm did not say which version is the latest");
  return version;
}

async function run(words: string[], cwd: string): Promise<void> {
  const child = Bun.spawn([process.execPath, ...words, "--ignore-scripts"], {
    cwd,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
    timeout: INSTALL_TIMEOUT_MS,
  });
  if ((await child.exited) !== 0)
    throw new Error(`\`bun ${words.join(" ")}\` failed in ${cwd}; is npm's registry reachable from here?`);
}
