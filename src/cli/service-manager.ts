/** The service as this program would install it. */
import { realpathSync } from "node:fs";
import { dirname, isAbsolute } from "node:path";
import { writeFileAtomic } from "../config/files.ts";
import { resolvePaths } from "../config/paths.ts";
import type { ServiceManager } from "../service/contract.ts";
import { findServiceManager } from "../service/service-manager.ts";
import type { CliContext } from "./context.ts";

const real = (path: string | undefined): string | undefined => {
  if (path === undefined) return undefined;
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
};

/** The name under which `resolved` stands on PATH: that one stays when an update replaces what it points to. */
export function lastingPath(resolved: string, name: string, path: string): string {
  const named = Bun.which(name, { PATH: path });
  return named !== null && isAbsolute(named) && real(named) === real(resolved) ? named : resolved;
}

/** What starts this program again: the compiled binary, or Bun with the sources. */
export function startCommand(path: string): string[] {
  if (Bun.main.startsWith("/$bunfs/")) return [lastingPath(process.execPath, "claude-code-daemon", path), "start"];
  return [process.execPath, "--no-env-file", "--config=/dev/null", Bun.main, "start"];
}

/** Throws `unsupported` (exit 69) where none answers. */
export function openServiceManager({ facts }: CliContext): Promise<ServiceManager> {
  const paths = resolvePaths(facts);
  return findServiceManager({
    platform: facts.platform,
    environment: facts.env,
    home: paths.home,
    configHome: dirname(paths.configDirectory),
    uid: facts.uid,
    writeFile: writeFileAtomic,
  });
}
