/**
 * The login of users who have it in claude's own settings: a command (`apiKeyHelper`) or a provider's variables (`env`).
 * Agents read these settings themselves. Chat processes read none, so that nothing of the user's shows in a chat; of the
 * file they are given what leads to the login: commands by a file of ours, variables as if the daemon had been started with
 * them (`toEnvironment` passes only those). Keys and tokens themselves are not ours to pass on (docs/security.md): where the
 * settings hold one, chats are refused with the remedy rather than sent elsewhere with another login of the user's.
 */
import { readFileSync, statSync } from "node:fs";
import { isOwn, type OwnAddresses } from "../claude/env.ts";
import { writeFileAtomic } from "../config/files.ts";
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";

export interface SettingsLogin {
  /** A settings file with nothing but commands that log in; undefined where there are none. */
  file: string | undefined;
  environment: Readonly<Record<string, string>>;
  /** A variable of the settings that is a credential and that the daemon's own environment lacks: chats cannot log in. */
  withheld: string | undefined;
}

export interface SettingsLoginDeps {
  /** The user's `settings.json`. */
  path: string;
  /** Where the commands are written, 0600. */
  ownFile: string;
  /** The daemon's own environment: a credential that claude gets from it need not be in the settings. */
  base: Readonly<Record<string, string | undefined>>;
  own: OwnAddresses;
  log: Logger;
}

const MAX_BYTES = 1024 * 1024;
/** Keys of settings whose values are commands that print or renew a login. */
const COMMANDS = ["apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "gcpAuthRefresh"];
/** Names of provider variables whose values are credentials themselves; a profile, region or address is none. */
const CREDENTIAL =
  /^(ANTHROPIC|AWS|AZURE|GOOGLE|CLOUDSDK|CLAUDE_CODE)_.*(KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE|CUSTOM_HEADERS)/;
/** Settings of these kinds whose values are none, whatever their names say: durations, and where something is. */
const NO_CREDENTIAL = /^CLAUDE_CODE_API_KEY_HELPER_TTL_MS$|_(TOKENS|TOKEN_FILE|CLIENT_KEY)$/;
/** Of a cloud, not of claude: a login only where claude goes through a cloud, else for the user's own tools. */
const OF_A_CLOUD = /^(AWS|AZURE|GOOGLE|CLOUDSDK)_/;
const THROUGH_A_CLOUD = /^CLAUDE_CODE_USE_/;
const NONE: SettingsLogin = { file: undefined, environment: {}, withheld: undefined };

type Fields = Record<string, unknown>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const texts = (fields: Fields): [string, string][] =>
  Object.entries(fields).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : []));

function readSettings(path: string): Fields {
  const settings: unknown = JSON.parse(readFileSync(path, "utf8"));
  return isFields(settings) ? settings : {};
}

/** Looks at the file again whenever it has changed: a `stat` for each chat. The result never throws. */
export function createSettingsLogin(deps: SettingsLoginDeps): () => SettingsLogin {
  const { path, ownFile, base, own, log } = deps;
  let seen: string | undefined;
  let login = NONE;

  const read = (): SettingsLogin => {
    const settings = readSettings(path);
    const variables = texts(isFields(settings.env) ? settings.env : {});
    const pointsHere = variables.some(([name, value]) => /_BASE_URL$/.test(name) && isOwn(value, own));
    // This user's `claude` works through the daemon: what is said there is for reaching us, not for logging in.
    if (pointsHere) return NONE;
    const isCredential = ([name]: [string, string]) => CREDENTIAL.test(name) && !NO_CREDENTIAL.test(name);
    const throughCloud = [...variables, ...Object.entries(base)].some(
      ([name, value]) => value && THROUGH_A_CLOUD.test(name),
    );
    const isNeeded = ([name]: [string, string]) => !base[name] && (throughCloud || !OF_A_CLOUD.test(name));
    const withheld = variables.filter(isCredential).find(isNeeded)?.[0];
    if (withheld !== undefined) return { ...NONE, withheld };
    const environment = Object.fromEntries(variables.filter((variable) => !isCredential(variable)));
    const commands = Object.fromEntries(texts(settings).filter(([name]) => COMMANDS.includes(name)));
    if (Object.keys(commands).length === 0) return { ...NONE, environment };
    writeFileAtomic(ownFile, JSON.stringify(commands));
    return { ...NONE, file: ownFile, environment };
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

/** Throws `claude_logged_out` with the remedy where chats cannot use the login of the settings. */
export function requireUsableLogin({ withheld: name }: SettingsLogin): void {
  if (name === undefined) return;
  throw new DaemonError(
    "claude_logged_out",
    `claude's login is ${name} in the \`env\` of its settings, which the daemon does not take from there: chat models cannot use it. ` +
      `Start the daemon with ${name} in its environment (the service: \`claude-code-daemon service install --env ${name}\`), ` +
      "or use `apiKeyHelper` in the settings. The agent reads them itself and is not affected.",
  );
}
