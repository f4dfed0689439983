/**
 * Whether a directory's own hooks, MCP servers and settings may run. In an untrusted workspace
 * agents run with the user's settings alone. Follows the CLI's own rule: within a git repository the record of its root
 * counts and no other; elsewhere the record of the directory or of any above it.
 */
import { existsSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ClaudeConfig, type ClaudeConfigPlace } from "./claude-config.ts";
import { isWithin } from "./resolve.ts";

export interface TrustOptions extends ClaudeConfigPlace {
  /** What `workspace add` named; trusted with everything below. */
  added: readonly string[];
}

export type Trust = "added" | "claude" | "none";

/** The nearest directory, from `path` up, that holds a `.git`. */
export function repositoryRoot(path: string): string | undefined {
  for (let current = path; ; current = dirname(current)) {
    if (existsSync(join(current, ".git"))) return current;
    if (current === dirname(current)) return undefined;
  }
}

export class WorkspaceTrust {
  readonly #options: TrustOptions;
  readonly #config: ClaudeConfig;

  constructor(options: TrustOptions) {
    this.#options = options;
    this.#config = new ClaudeConfig(options);
  }

  /** Who has trusted this real directory. A config that cannot be read trusts nothing. */
  async of(workspace: string): Promise<Trust> {
    const added = await Promise.all(this.#options.added.map((path) => realpath(path).catch(() => undefined)));
    if (added.some((path) => path !== undefined && isWithin(path, workspace))) return "added";
    return this.#recorded(workspace) ? "claude" : "none";
  }

  #recorded(workspace: string): boolean {
    const accepted = (path: string) => this.#config.project(path).hasTrustDialogAccepted === true;
    const root = repositoryRoot(workspace);
    // A repository in HOME itself (dotfiles) does not make all of HOME one project.
    if (root !== undefined && root !== this.#options.home) return accepted(root);
    for (let current = workspace; current !== root; current = dirname(current)) {
      if (accepted(current)) return true;
      if (current === dirname(current)) return false;
    }
    return false;
  }
}
