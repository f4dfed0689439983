/**
 * Finds the user's own `claude` and says what it can do. Absolute and resolved before it runs, never from a relative PATH
 * entry, never from a place that somebody else can write to.
 */
import { accessSync, constants, realpathSync, type Stats, statSync } from "node:fs";
import { access, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import { DaemonError } from "../errors.ts";
import { type ClaudeFeatures, compareVersions, featuresOf, MINIMUM_VERSION } from "./features.ts";

export interface ClaudeInstallation {
  /** Absolute; resolved, except where the resolved file is a launcher that goes by the name it is called by. */
  path: string;
  version: string;
  features: ClaudeFeatures;
  /** Where it was found, links not followed: what an update points elsewhere. `path` where nobody says. */
  foundAt?: string;
}

export interface LocateOptions {
  /** From the config or `CLAUDE_CODE_DAEMON_CLAUDE`: then nothing else is looked at. */
  configured?: string | undefined;
  /** The PATH to search, as the user's shell has it. */
  path: string | undefined;
  home: string | undefined;
  /** Environment for `--version` (npm's old launcher needs `node` on its PATH). */
  environment: Record<string, string>;
  timeoutMs?: number;
}

/** One place that was looked at and why it was not taken, for `doctor`. */
export interface Rejected {
  path: string;
  reason: string;
}

export type Located = { found: ClaudeInstallation; rejected: Rejected[] } | { found: undefined; rejected: Rejected[] };

/** A cold start on a busy machine takes about a second; an old `node` launcher two. */
const VERSION_TIMEOUT_MS = 15_000;
/** `--version` prints one line. */
const MAX_VERSION_BYTES = 4096;

export const INSTALL_REMEDY =
  "Install or update Claude Code (`npm install -g @anthropic-ai/claude-code`), or name it in `[claude] path`.";

/** The installation to use. Throws `claude_missing` with the remedy; `tryLocate` tells the details. */
export async function locateClaude(options: LocateOptions): Promise<ClaudeInstallation> {
  const { found, rejected } = await tryLocate(options);
  if (found) return found;
  const tooOld = rejected.find(({ reason }) => reason.startsWith("version "));
  const why = tooOld
    ? `The installed Claude Code is too old (${tooOld.reason}).`
    : options.configured === undefined
      ? "Claude Code was not found."
      : `The configured Claude Code cannot be used (${rejected[0]?.reason ?? "not found"}).`;
  throw new DaemonError("claude_missing", `${why} ${INSTALL_REMEDY}`);
}

/** The first usable one of the configured path, or else of PATH and the known places; never throws. */
export async function tryLocate(options: LocateOptions): Promise<Located> {
  const rejected: Rejected[] = [];
  const seen = new Set<string>();
  for (const path of await candidates(options)) {
    if (seen.has(path)) continue;
    seen.add(path);
    const result = await examine(path, options);
    if (result === undefined) {
      if (options.configured !== undefined) rejected.push({ path, reason: "no such file" });
      continue;
    }
    if (typeof result !== "string") return { found: result, rejected };
    rejected.push({ path, reason: result });
  }
  return { found: undefined, rejected };
}

async function candidates({ configured, path, home }: LocateOptions): Promise<string[]> {
  if (configured !== undefined) return [configured];
  const onPath = (path ?? "").split(":").filter((entry) => isAbsolute(entry));
  const places = onPath.map((entry) => join(entry, "claude"));
  if (home !== undefined && isAbsolute(home)) {
    const known = [
      ".local/bin/claude",
      ".claude/local/claude",
      ".bun/bin/claude",
      ".npm-global/bin/claude",
      ".volta/bin/claude",
      ".local/share/pnpm/claude",
      "Library/pnpm/claude",
      ".asdf/shims/claude",
      ".local/share/mise/shims/claude",
      ".nix-profile/bin/claude",
    ];
    places.push(...known.map((relative) => join(home, relative)));
    places.push(...(await newestFirst(join(home, ".nvm/versions/node"), "bin/claude")));
    places.push(...(await newestFirst(join(home, ".local/share/fnm/node-versions"), "installation/bin/claude")));
  }
  places.push("/opt/homebrew/bin/claude", "/usr/local/bin/claude", "/home/linuxbrew/.linuxbrew/bin/claude");
  places.push("/run/current-system/sw/bin/claude");
  return places;
}

async function newestFirst(directory: string, inside: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => []);
  const versions = names.toSorted((a, b) => compareVersions(b.replace(/^v/, ""), a.replace(/^v/, "")));
  return versions.map((name) => join(directory, name, inside));
}

/** The installation, why it cannot be used, or undefined where there is no such file. */
async function examine(path: string, options: LocateOptions): Promise<ClaudeInstallation | string | undefined> {
  if (!isAbsolute(path)) return "not an absolute path";
  let resolved: string;
  try {
    resolved = await realpath(path);
  } catch {
    return undefined;
  }
  const unsafe = (await unsafeReason(resolved)) ?? (await unsafeReason(dirname(resolved)));
  if (unsafe !== undefined) return unsafe;
  try {
    await access(resolved, constants.X_OK);
  } catch {
    return "not executable";
  }
  let version = await versionOf(resolved, options);
  let used = resolved;
  if (version === undefined && basename(resolved) !== basename(path)) {
    // Volta's and mise's shims are one program under many names: it has to be called by this one.
    used = path;
    version = await versionOf(path, options);
  }
  if (version === undefined) return "does not answer --version as Claude Code does";
  if (compareVersions(version, MINIMUM_VERSION) < 0) return `version ${version}, at least ${MINIMUM_VERSION} is needed`;
  return { path: used, version, features: featuresOf(version), foundAt: path };
}

/** What the link at `foundAt` points to by now, for whom there is no time to ask it; undefined where it may not be run. */
export function followAgain(foundAt: string): string | undefined {
  try {
    const resolved = realpathSync(foundAt);
    accessSync(resolved, constants.X_OK);
    const open = [resolved, dirname(resolved)].some((path) => unsafeMode(statSync(path)));
    return open ? undefined : resolved;
  } catch {
    return undefined;
  }
}

/** A file or directory that everybody may write to could be exchanged by anybody (a sticky directory keeps its owners). */
async function unsafeReason(path: string): Promise<string | undefined> {
  const info = await stat(path).catch(() => undefined);
  if (!info) return "no such file";
  return unsafeMode(info) ? `writable by everybody: ${path}` : undefined;
}

function unsafeMode(info: Stats): boolean {
  const sticky = info.isDirectory() && (info.mode & 0o1000) !== 0;
  return (info.mode & 0o002) !== 0 && !sticky;
}

async function versionOf(path: string, options: LocateOptions): Promise<string | undefined> {
  try {
    const child = Bun.spawn([path, "--version"], {
      // Not where we were started: nothing in a project may have a say in this.
      cwd: "/",
      env: { ...options.environment, DISABLE_AUTOUPDATER: "1" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: options.timeoutMs ?? VERSION_TIMEOUT_MS,
      killSignal: "SIGKILL",
      maxBuffer: MAX_VERSION_BYTES,
    });
    const text = await child.stdout.text();
    return /^(\d+\.\d+\.\d+)\S* \(Claude Code\)/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}
