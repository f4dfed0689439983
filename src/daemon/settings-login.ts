/**
 * The login of users who have it in claude's own settings: a command (`apiKeyHelper`) or a provider's variables (`env`).
 * Agents read these settings themselves. Chat processes read none, so that nothing of the user's shows in a chat; of the
 * file they are given the login alone: commands by a file of ours, variables as if the daemon had been started with them
 * (`toEnvironment` passes only those). Values of variables go nowhere else: not to disk, argv or logs.
 */
import { readFileSync, statSync } from "node:fs";
import { isOwn, type OwnAddresses } from "../claude/env.ts";
import { writeFileAtomic } from "../config/files.ts";
import type { Logger } from "../log.ts";

export interface SettingsLogin {
  /** A settings file with nothing but commands that log in; undefined where there are none. */
  file: string | undefined;
  environment: Readonly<Record<string, string>>;
}

export interface SettingsLoginDeps {
  /** The user's `settings.json`. */
  path: string;
  /** Where the commands are written, 0600. */
  ownFile: string;
  own: OwnAddresses;
  log: Logger;
}

const MAX_BYTES = 1024 * 1024;
/** Keys of settings whose values are commands that print or renew a login. */
const COMMANDS = ["apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "gcpAuthRefresh"];
const NONE: SettingsLogin = { file: undefined, environment: {} };

type Fields = Record<string, unknown>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const texts = (fields: Fields): [string, string][] =>
  Object.entries(fields).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : []));

function readSettings(path: string): Fields {
  const settings: unknown = JSON.parse(readFileSync(path, "utf8"));
  return isFields(settings) ? settings : {};
}

/** Looks at the file again whenever it has changed: a `stat` for each new chat process. The result never throws. */
export function createSettingsLogin({ path, ownFile, own, log }: SettingsLoginDeps): () => SettingsLogin {
  let seen: string | undefined;
  let login = NONE;

  const read = (): SettingsLogin => {
    const settings = readSettings(path);
    const environment = Object.fromEntries(texts(isFields(settings.env) ? settings.env : {}));
    const pointsHere = Object.entries(environment).some(
      ([name, value]) => /_BASE_URL$/.test(name) && isOwn(value, own),
    );
    // This user's `claude` works through the daemon: what is said there is for reaching us, not for logging in.
    if (pointsHere) return NONE;
    const commands = Object.fromEntries(texts(settings).filter(([name]) => COMMANDS.includes(name)));
    if (Object.keys(commands).length === 0) return { file: undefined, environment };
    writeFileAtomic(ownFile, JSON.stringify(commands));
    return { file: ownFile, environment };
  };

  return () => {
    const stats = statSync(path, { throwIfNoEntry: false });
    const stamp = stats ? `${stats.ino} ${stats.size} ${stats.mtimeMs}` : "none";
    if (stamp === seen) return login;
    seen = stamp;
    login = NONE;
    if (!stats || stats.size > MAX_BYTES) return login;
    try {
      login = read();
    } catch (error) {
      log.warn("claude's settings could not be read for a login", {
        path,
        problem: error instanceof Error ? error.name : "",
      });
    }
    return login;
  };
}
