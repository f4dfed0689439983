/** Where npm's packages of Claude Code keep the executable: one package a platform, chosen by the installer. */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

export interface PackagedClaude {
  /** The executable itself; its name is `claude`. */
  path: string;
  version: string;
}

/**
 * The executable that belongs to a package `@anthropic-ai/claude-code` under whatever name it was installed (`directory` is
 * that package's). Not by way of `.bin/claude`: two versions beside each other fight for that name. Throws where the
 * platform's package is missing (`bun install` then brings it).
 */
export function packagedClaude(directory: string): PackagedClaude {
  const platform = `@anthropic-ai/claude-code-${process.platform}-${process.arch}`;
  // Not by `Bun.resolveSync`: it remembers directories that were missing before an install, and goes on to another version.
  for (let at = existsSync(directory) ? realpathSync(directory) : directory; ; at = dirname(at)) {
    for (const name of [platform, `${platform}-musl`]) {
      const manifest = join(at, "node_modules", name, "package.json");
      if (!existsSync(manifest)) continue;
      const { version }: { version: string } = JSON.parse(readFileSync(manifest, "utf8"));
      return { path: join(dirname(manifest), "claude"), version };
    }
    if (at === dirname(at)) break;
  }
  throw new Error(`no executable of Claude Code for this platform beside ${directory}: run \`bun install\` there`);
}
