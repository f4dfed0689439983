/** What `doctor` says of files of ours: whose they are, who can reach them, and whether there is room. */
import { existsSync, lstatSync, readdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import type { Paths } from "../config/paths.ts";
import type { CliContext } from "./context.ts";
import type { Finding } from "./findings.ts";

/** Below it SQLite and the workspaces cannot be written much longer. */
const LOW_DISK_BYTES = 512 * 1024 * 1024;
/** Files looked at below the state directory. */
const MAX_STATE_FILES = 1000;

const fault = (text: string, remedy: string): Finding => ({ check: "files", state: "fault", text, remedy });
export const quoted = (path: string) => (/^[\w./+@%-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

export function checkFiles(context: CliContext, paths: Paths): Finding[] {
  return [...checkConfigFiles(context, paths), ...checkState(context, paths)];
}

/** The config names executables, directories and origins: whoever may write it, decides what runs as this user. */
function checkConfigFiles({ facts }: CliContext, paths: Paths): Finding[] {
  const files = [paths.configFile, paths.originsFile, paths.workspacesFile, paths.configDirectory];
  const found = files.flatMap((path): Finding[] => {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (!stats || stats.isSymbolicLink()) return [];
    if (stats.uid !== facts.uid) {
      const remedy = `sudo chown "$(id -u)" ${quoted(path)}`;
      return [fault(`${path} belongs to another user (uid ${stats.uid})`, remedy)];
    }
    if ((stats.mode & 0o022) === 0) return [];
    return [fault(`others can write to ${path}`, `chmod go-w ${quoted(path)}`)];
  });
  const environment = join(paths.configDirectory, "service.env");
  const stats = lstatSync(environment, { throwIfNoEntry: false });
  if (stats && (stats.mode & 0o077) !== 0) {
    found.push(fault(`others can read ${environment}, which may hold a login`, `chmod 600 ${quoted(environment)}`));
  }
  return found;
}

function checkState({ facts }: CliContext, { stateDirectory }: Paths): Finding[] {
  const stats = lstatSync(stateDirectory, { throwIfNoEntry: false });
  if (!stats) return [{ check: "files", state: "ok", text: `${stateDirectory} will be made at the first start` }];
  const path = quoted(stateDirectory);
  if (stats.isSymbolicLink()) {
    return [fault(`${stateDirectory} is a symbolic link`, `rm ${path}, or point XDG_STATE_HOME at the real place`)];
  }
  if (!stats.isDirectory()) return [fault(`${stateDirectory} is not a directory`, `mv ${path} somewhere else`)];
  if (stats.uid !== facts.uid) {
    return [fault(`${stateDirectory} belongs to another user (uid ${stats.uid})`, `sudo chown -R "$(id -u)" ${path}`)];
  }
  const open = (stats.mode & 0o077) !== 0 ? [stateDirectory] : [];
  for (const entry of readdirSync(stateDirectory).slice(0, MAX_STATE_FILES)) {
    const file = join(stateDirectory, entry);
    const found = lstatSync(file, { throwIfNoEntry: false });
    if (found && !found.isSymbolicLink() && (found.mode & 0o077) !== 0) open.push(file);
  }
  if (open.length > 0) {
    return [fault(`others can reach ${open.slice(0, 5).join(", ")}`, `chmod -R go= ${path}`)];
  }
  return [{ check: "files", state: "ok", text: `${stateDirectory} is yours alone` }];
}

export function checkDisk({ stateDirectory, home }: Paths, lowBytes = LOW_DISK_BYTES): Finding {
  const place = existsSync(stateDirectory) ? stateDirectory : home;
  try {
    const { bavail, bsize } = statfsSync(place);
    const free = bavail * bsize;
    const text = `${(free / 1e9).toFixed(1)} GB free at ${place}`;
    if (free >= lowBytes) return { check: "disk", state: "ok", text };
    return { check: "disk", state: "fault", text, remedy: "Free some space: sessions and undo are kept there." };
  } catch (error) {
    const text = `${place} cannot be looked at: ${error instanceof Error ? error.message : String(error)}`;
    return { check: "disk", state: "fault", text, remedy: "Make the home directory readable and writable." };
  }
}
