/** Where npm's packages of Claude Code keep the executable: one package a platform, chosen by the installer. */
import { readFileSync } from "node:fs";
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
  for (const name of [platform, `${platform}-musl`]) {
    let manifest: string;
    try {
      manifest = Bun.resolveSync(`${name}/package.json`, directory);
    } catch {
      continue;
    }
    const { version }: { version: string } = JSON.parse(readFileSync(manifest, "utf8"));
    return { path: join(dirname(manifest), "claude"), version };
  }
  throw new Error(`no executable of Claude Code for this platform beside ${directory}: run \`bun install\` there`);
}
