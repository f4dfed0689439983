/**
 * What an agent process reads when it boots, as one digest: a spare that was booted under another digest is stale. By
 * stat, not by content: about forty `stat` calls and no read, unless a settings file has changed.
 *
 * Files that a CLAUDE.md imports with `@` are not followed.
 */
import { dirname, join } from "node:path";
import {
  ClaudeConfig,
  type ClaudeConfigPlace,
  isObject,
  readJsonObject,
  stampOf,
  userDirectory,
} from "./claude-config.ts";

export interface Fingerprint {
  digest: string;
  /** SessionStart hooks run when a process boots: keep no agent spares where this holds. True also where we cannot tell. */
  sessionStartHooks: boolean;
  /** Any hooks at all: a turn may change files without a tool of Claude's. */
  hooks: boolean;
}

export interface FingerprintOptions extends ClaudeConfigPlace {
  /** Where the administrator's settings are, in the CLI's order; the defaults of both systems. */
  managedDirectories?: readonly string[];
}

const MANAGED_DIRECTORIES = ["/etc/claude-code", "/Library/Application Support/ClaudeCode"];

const SETTINGS = ["settings.json", "settings.local.json"];
/** Directories whose entries a process lists when it boots; adding or removing one changes their mtime. */
const LISTED = ["agents", "commands", "skills", "rules", "plugins", "output-styles"];

interface HookFacts {
  sessionStart: boolean;
  any: boolean;
}

/** Most settings files kept parsed. */
const MAX_CACHED = 256;

export class WorkspaceFingerprint {
  readonly #place: FingerprintOptions;
  readonly #config: ClaudeConfig;
  readonly #facts = new Map<string, { stamp: string; facts: HookFacts }>();

  constructor(options: FingerprintOptions) {
    this.#place = options;
    this.#config = new ClaudeConfig(options);
  }

  /** The fingerprint of an agent in this real directory. Synchronous: it stands on the way to a first token. */
  of(workspace: string, trusted: boolean): Fingerprint {
    const user = userDirectory(this.#place);
    const managed = this.#place.managedDirectories ?? MANAGED_DIRECTORIES;
    const settings = [join(user, "settings.json"), ...managed.map((path) => join(path, "managed-settings.json"))];
    const others = [
      join(user, "CLAUDE.md"),
      join(user, ".credentials.json"),
      ...LISTED.map((name) => join(user, name)),
      join(user, "plugins", "installed_plugins.json"),
      ...managed.flatMap((path) =>
        ["managed-settings.d", "managed-mcp.json", "CLAUDE.md"].map((name) => join(path, name)),
      ),
    ];
    if (trusted) {
      const project = join(workspace, ".claude");
      settings.push(...SETTINGS.map((name) => join(project, name)));
      others.push(...LISTED.map((name) => join(project, name)));
      for (let current = workspace; ; current = dirname(current)) {
        others.push(
          ...["CLAUDE.md", "CLAUDE.local.md", ".mcp.json", join(".claude", "CLAUDE.md")].map((name) =>
            join(current, name),
          ),
        );
        if (current === dirname(current)) break;
      }
    }
    const digest = new Bun.CryptoHasher("sha256");
    digest.update(trusted ? "trusted\n" : "untrusted\n");
    let sessionStartHooks = false;
    let hooks = false;
    for (const path of settings) {
      const stamp = stampOf(path);
      digest.update(`${stamp}\n`);
      const facts = this.#hooksOf(path, stamp);
      sessionStartHooks ||= facts.sessionStart;
      hooks ||= facts.any;
    }
    for (const path of others) digest.update(`${stampOf(path)}\n`);
    // The global config changes at every start of a claude: only what a process takes from it counts.
    digest.update(
      JSON.stringify([this.#config.get().mcpServers, trusted && this.#config.project(workspace).mcpServers]),
    );
    return { digest: digest.digest("hex"), sessionStartHooks, hooks };
  }

  #hooksOf(path: string, stamp: string): HookFacts {
    const cached = this.#facts.get(path);
    if (cached?.stamp === stamp) return cached.facts;
    const facts = readHooks(path);
    if (this.#facts.size >= MAX_CACHED) this.#facts.clear();
    this.#facts.set(path, { stamp, facts });
    return facts;
  }
}

function readHooks(path: string): HookFacts {
  const settings = readJsonObject(path);
  if (settings === undefined) return { sessionStart: false, any: false };
  if (settings === null) return { sessionStart: true, any: true };
  // Plugins bring hooks of their own, from places we do not read: assume the worst.
  const plugins =
    isObject(settings.enabledPlugins) && Object.values(settings.enabledPlugins).some((on) => on !== false);
  const hooks = isObject(settings.hooks) ? settings.hooks : {};
  const has = (name: string) => Array.isArray(hooks[name]) && (hooks[name] as unknown[]).length > 0;
  return { sessionStart: plugins || has("SessionStart"), any: plugins || Object.keys(hooks).some(has) };
}
