/** Reading claude's own `.claude.json`: what it has recorded about directories. Never written here. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** A larger file is not read: nothing in it is then believed. */
const MAX_CONFIG_BYTES = 32 * 1024 * 1024;

export interface ClaudeConfigPlace {
  /** HOME of the claude processes. */
  home: string;
  /** CLAUDE_CONFIG_DIR of the claude processes, where it is set. */
  claudeConfigDir?: string;
}

export type ConfigObject = { [key: string]: unknown };

export const isObject = (value: unknown): value is ConfigObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Where settings.json, CLAUDE.md and the like of the user are. */
export function userDirectory(place: ClaudeConfigPlace): string {
  return place.claudeConfigDir ?? join(place.home, ".claude");
}

/** The global config: `.claude.json` in HOME, or in CLAUDE_CONFIG_DIR; a `.config.json` of older versions goes before. */
function globalConfigPaths(place: ClaudeConfigPlace): string[] {
  return [join(userDirectory(place), ".config.json"), join(place.claudeConfigDir ?? place.home, ".claude.json")];
}

/** `path:size:mtime:inode`, or `path:-` where there is nothing. */
export function stampOf(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found ? `${path}:${found.size}:${found.mtimeNs}:${found.ctimeNs}:${found.ino}` : `${path}:-`;
}

/** Parses a JSON object, bounded; undefined where there is no file, `null` where it is no such object. */
export function readJsonObject(path: string): ConfigObject | null | undefined {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found) return undefined;
    if (!found.isFile() || found.size > MAX_CONFIG_BYTES) return null;
    const parsed: unknown = JSON.parse(readFileSync(path, "utf8").replace(/^\uFEFF/, ""));
    return isObject(parsed) ? parsed : null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : null;
  }
}

/** Reads it again only when its stat has changed: the file is large in old installations and asked for at every turn. */
export class ClaudeConfig {
  readonly #paths: string[];
  #stamp: string | undefined;
  #config: ConfigObject = {};

  constructor(place: ClaudeConfigPlace) {
    this.#paths = globalConfigPaths(place);
  }

  /** The parsed file; empty where there is none or it cannot be read. */
  get(): ConfigObject {
    const stamp = this.#paths.map(stampOf).join("\n");
    if (stamp !== this.#stamp) {
      this.#config = this.#paths.map(readJsonObject).find((config) => config !== undefined) ?? {};
      this.#stamp = stamp;
    }
    return this.#config;
  }

  /** What it records for one directory. */
  project(path: string): ConfigObject {
    const projects = this.get().projects;
    // Own keys only: a directory called `__proto__` has no record.
    const entry = isObject(projects) && Object.hasOwn(projects, path) ? projects[path] : undefined;
    return isObject(entry) ? entry : {};
  }
}
