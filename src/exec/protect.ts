/**
 * What code in a workspace may not touch although it lies inside: settings that other programs would execute later, outside
 * the sandbox (git hooks, `.claude`, `.mcp.json`), and directories of keys where the workspace holds a home.
 */
import { lstatSync, readlinkSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { SandboxPaths } from "./sandbox.ts";

/** Read-only where they exist; removed again where the run made them. */
const FROZEN = [".claude", ".mcp.json", ".git/hooks", ".git/config", ".vscode", ".envrc"];
/** Held in place, so that a frozen path inside cannot be moved away with it. */
const HELD = [".git"];

interface Seen {
  path: string;
  relative: string;
  kind: "absent" | "directory" | "file" | "link";
  /** Where a link pointed. */
  target: string | undefined;
}

function look(directory: string, relative: string): Seen {
  const path = join(directory, relative);
  try {
    const entry = lstatSync(path);
    if (entry.isSymbolicLink()) return { path, relative, kind: "link", target: readlinkSync(path) };
    return { path, relative, kind: entry.isDirectory() ? "directory" : "file", target: undefined };
  } catch {
    return { path, relative, kind: "absent", target: undefined };
  }
}

export interface Protection {
  frozen: SandboxPaths["frozen"];
  hidden: SandboxPaths["hidden"];
  /** Takes back what the run planted. Returns those paths, relative to the workspace. Call once, when the run is over. */
  restore(): string[];
}

/** `secrets` are absolute paths that code may never read; those outside the workspace are not shown anyway. */
export function protect(workspace: string, secrets: readonly string[]): Protection {
  const seen = [...HELD, ...FROZEN].map((relative) => look(workspace, relative));
  const frozen = seen
    .filter(({ kind }) => kind === "directory" || kind === "file")
    .map(({ path, relative, kind }) => ({
      path,
      directory: kind === "directory",
      contents: HELD.includes(relative) && kind === "directory" ? ("open" as const) : ("frozen" as const),
    }));
  const hidden = [...new Set(secrets.flatMap((path) => inside(workspace, path)))].map((path) => ({
    path,
    directory: lstatSync(path).isDirectory(),
  }));
  return {
    frozen,
    hidden,
    restore() {
      const planted: string[] = [];
      for (const before of seen) {
        const after = look(workspace, before.relative);
        if (after.kind === before.kind && after.target === before.target) continue;
        // What existed was mounted and cannot have been replaced; only absent paths and links can differ.
        if (before.kind !== "absent" && before.kind !== "link") continue;
        planted.push(before.relative);
        rmSync(before.path, { recursive: true, force: true });
        if (before.target !== undefined) symlinkSync(before.target, before.path);
      }
      return planted;
    },
  };
}

function inside(workspace: string, path: string): string[] {
  try {
    const real = realpathSync(path);
    return real !== workspace && real.startsWith(`${workspace}/`) ? [real] : [];
  } catch {
    return [];
  }
}
