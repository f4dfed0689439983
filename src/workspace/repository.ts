/** Where a user's repository keeps its things, found without running git in it. Only ever read. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Git } from "./git.ts";
import { toRaw } from "./paths.ts";

export interface UserRepository {
  /** The directory that holds `.git`. */
  top: string;
  gitDir: string;
  /** The same, but for a linked worktree, which shares its main repository's. */
  commonDir: string;
}

/** Longest `.git` or `commondir` file that is read. */
const MAX_LINK_BYTES = 8192;

function readLine(path: string): string | undefined {
  try {
    if (statSync(path).size > MAX_LINK_BYTES) return undefined;
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** The repository whose top this directory is. */
export function repositoryAt(top: string): UserRepository | undefined {
  const dotGit = join(top, ".git");
  const found = statSync(dotGit, { throwIfNoEntry: false });
  if (!found) return undefined;
  const link = found.isFile() ? /^gitdir: (.+)$/.exec(readLine(dotGit) ?? "")?.[1] : undefined;
  if (!found.isDirectory() && link === undefined) return undefined;
  const gitDir = link === undefined ? dotGit : resolve(top, link);
  const common = readLine(join(gitDir, "commondir"));
  const commonDir = common === undefined ? gitDir : resolve(gitDir, common);
  // What git itself asks of a git directory.
  const valid = existsSync(join(gitDir, "HEAD")) && existsSync(join(commonDir, "objects"));
  return valid && existsSync(join(commonDir, "refs")) ? { top, gitDir, commonDir } : undefined;
}

/** The repository that a real directory lies in. */
export function findRepository(directory: string): UserRepository | undefined {
  for (let current = directory; ; current = dirname(current)) {
    const found = repositoryAt(current);
    if (found !== undefined || current === dirname(current)) return found;
  }
}

/** What of the user's settings decides which files there are and how they lie on disk. */
export interface UserSettings {
  excludesFile: string;
  attributesFile: string;
  /** git may store other bytes than those on disk (line ends), by configuration alone. */
  convertsLineEnds: boolean;
  ignoreCase: boolean | undefined;
  fileMode: boolean | undefined;
  objectFormat: string;
}

export interface UserHome {
  home: string;
  xdgConfigHome?: string;
}

const PATTERN = "^(core\\.(excludesfile|attributesfile|autocrlf|eol|ignorecase|filemode)|extensions\\.objectformat)$";

/** Asks git for them; defaults where it cannot tell. */
export async function readUserSettings(
  git: Git,
  place: UserHome,
  repository: UserRepository | undefined,
): Promise<UserSettings> {
  const { stdout } = await git.readConfig(PATTERN, place, repository?.gitDir);
  const values = new Map<string, string>();
  for (const entry of stdout.toString("utf8").split("\0")) {
    const [key, ...value] = entry.split("\n");
    if (key) values.set(key, value.join("\n"));
  }
  const configDirectory = join(place.xdgConfigHome ?? join(place.home, ".config"), "git");
  const path = (key: string, fallback: string) => {
    const value = values.get(key);
    if (value === undefined || value === "") return join(configDirectory, fallback);
    return value.startsWith("~/") ? join(place.home, value.slice(2)) : resolve(repository?.top ?? place.home, value);
  };
  const flag = (key: string) => {
    const value = values.get(key);
    return value === undefined ? undefined : !/^(false|no|off|0)$/i.test(value);
  };
  return {
    excludesFile: path("core.excludesfile", "ignore"),
    attributesFile: path("core.attributesfile", "attributes"),
    convertsLineEnds: values.get("core.autocrlf") !== undefined && flag("core.autocrlf") !== false,
    ignoreCase: flag("core.ignorecase"),
    fileMode: flag("core.filemode"),
    objectFormat: values.get("extensions.objectformat") ?? "sha1",
  };
}

/** Files that decide the settings: their stamps tell when to ask again. Includes are not followed. */
export function settingsFiles(place: UserHome, repository: UserRepository | undefined): string[] {
  const files = [
    "/etc/gitconfig",
    join(place.home, ".gitconfig"),
    join(place.xdgConfigHome ?? join(place.home, ".config"), "git", "config"),
  ];
  if (repository) files.push(join(repository.commonDir, "config"), join(repository.gitDir, "config.worktree"));
  return files;
}

/** A digest by which a directory's private files are found again. */
export async function keyOf(directory: string): Promise<string> {
  const real = await realpath(directory).catch(() => directory);
  return new Bun.CryptoHasher("sha256").update(toRaw(real)).digest("hex").slice(0, 32);
}
