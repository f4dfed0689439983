/**
 * The child's environment, pure: an allow-list of the daemon's own environment, plus constants of ours. Nothing else
 * passes: not our variables, not what loads code into a process, not what marks a shell inside another Claude session.
 */
import { DaemonError } from "../errors.ts";
import { toFlagSettings } from "./settings.ts";
import type { LaunchOptions } from "./transport.ts";

/** Marks every process of this daemon and its descendants: for the reaper, and for "an agent must not approve itself". */
export const MARKER = "CLAUDE_CODE_DAEMON_SESSION";
/** Marks one process and its descendants, so that `close` finds those that left its process tree. */
export const PROCESS_MARKER = "CLAUDE_CODE_DAEMON_PROCESS";

/** Names that pass as they are. */
const PASSED = new Set([
  ...["HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "COLORTERM", "TZ", "TMPDIR"],
  "SSH_AUTH_SOCK",
  ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"],
  ...["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"],
  ...["CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_OAUTH_REFRESH_TOKEN", "CLAUDE_CODE_OAUTH_SCOPES"],
  ...["CLAUDE_CODE_API_KEY_HELPER_TTL_MS", "CLAUDE_CODE_CLIENT_CERT", "CLAUDE_CODE_CLIENT_KEY"],
  ...["CLAUDE_CODE_CLIENT_KEY_PASSPHRASE", "CLAUDE_CODE_CERT_STORE", "CLAUDE_CODE_SUBAGENT_MODEL"],
  ...["CLOUD_ML_REGION", "GCLOUD_PROJECT"],
]);

/** Families that pass by prefix: locale, directories, and how claude is logged in or pointed to a provider. */
const PASSED_PREFIXES = [
  ...["LC_", "XDG_", "ANTHROPIC_", "CLAUDE_CODE_USE_", "CLAUDE_CODE_SKIP_", "VERTEX_REGION_"],
  ...["AWS_", "GOOGLE_", "CLOUDSDK_", "AZURE_"],
];

/** What `pass_env` cannot open either: code loaded into the child, our own variables, a surrounding Claude session. */
const REFUSED =
  /^(BUN_.*|NODE_OPTIONS|NODE_PATH|LD_.*|DYLD_.*|CLAUDECODE|CLAUDE_CODE_DAEMON_.*|CLAUDE_CODE_(ENTRYPOINT|SESSION_ID|CHILD_.*|MESSAGING_.*|EXECPATH)|CLAUDE_PID|AI_AGENT|NOTIFY_SOCKET|WATCHDOG_.*|LISTEN_.*|INVOCATION_ID|JOURNAL_STREAM)$/;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Tokens. The CLI guesses them from characters and would refuse a long prompt unasked: whether it fits is the API's to say. */
export const BLOCKING_LIMIT = "100000000";

/** Quiet, honest about upstream faults, and no turn that starts by itself. */
const ALWAYS = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_TELEMETRY: "1",
  DISABLE_ERROR_REPORTING: "1",
  DISABLE_AUTOUPDATER: "1",
  CLAUDE_CODE_MAX_RETRIES: "2",
  // A retried stream begins again from the first word; the fallback would add a second whole answer to it.
  CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: "1",
  CLAUDE_CODE_DISABLE_REFUSAL_RETRY: "1",
  CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE: BLOCKING_LIMIT,
};

/** U+2060: the shortest resume prompt that the CLI accepts, and then the only residue of it. */
export const RESUME_PROMPT = "\u2060";

export interface EnvironmentSource {
  /** The daemon's own environment, as config/ read it. */
  base: Readonly<Record<string, string | undefined>>;
  /** `[claude] pass_env`: further names to pass. */
  passEnv: readonly string[];
  instanceId: string;
  processMarker: string;
  /** Where the daemon itself listens; a child that talks to it would call itself in a circle. */
  own: OwnAddresses;
}

export interface OwnAddresses {
  /** Ports of our listeners; a loopback or wildcard address with one of them is this daemon. */
  ports: readonly number[];
  /** Further names by which we are reached (public host names), without port. */
  hosts: readonly string[];
}

/** The whole environment of one claude. Throws `unsupported` where it would point claude at this daemon. */
export function toEnvironment(options: LaunchOptions, source: EnvironmentSource): Record<string, string> {
  const environment: Record<string, string> = {};
  const extra = new Set(source.passEnv.filter((name) => NAME.test(name)));
  for (const [name, value] of Object.entries(source.base)) {
    if (value === undefined || REFUSED.test(name)) continue;
    if (PASSED.has(name) || extra.has(name) || PASSED_PREFIXES.some((prefix) => name.startsWith(prefix)))
      environment[name] = value;
  }
  // Older CLIs run git and node by name in the workspace: nothing of it may go by those names.
  if (environment.PATH !== undefined)
    environment.PATH = environment.PATH.split(":")
      .filter((entry) => entry.startsWith("/"))
      .join(":");
  for (const [name, value] of Object.entries(environment)) {
    if (/_BASE_URL$|^ANTHROPIC_BASE_URL/.test(name) && isOwn(value, source.own))
      throw new DaemonError(
        "unsupported",
        `${name} points Claude Code at this daemon, which would call itself without end. Unset it for the daemon, or set it to the model API.`,
      );
  }
  Object.assign(environment, ALWAYS, { [MARKER]: source.instanceId, [PROCESS_MARKER]: source.processMarker });
  if (options.backgroundTasks !== true) environment.CLAUDE_CODE_DISABLE_BACKGROUND_TASKS = "1";
  if (options.kind === "chat") {
    environment.CLAUDE_CODE_ATTRIBUTION_HEADER = "0";
    // A history too long must be said, not summarized behind the client's back.
    environment.DISABLE_AUTO_COMPACT = "1";
    environment.CLAUDE_CODE_DISABLE_AUTO_MEMORY = "1";
    environment.CLAUDE_CODE_DISABLE_CLAUDE_MDS = "1";
  }
  if (options.answerInterrupted === true) environment.CLAUDE_CODE_RESUME_INTERRUPTED_TURN = "1";
  // After a history that ends in tool results the CLI puts a prompt of its own, whoever goes on with it.
  if (options.answerInterrupted === true || (options.kind === "chat" && options.resume !== undefined))
    environment.CLAUDE_CODE_RESUME_PROMPT = RESUME_PROMPT;
  for (const [name, value] of Object.entries(options.settings ? toFlagSettings(options.settings).env : {})) {
    if (value !== "") environment[name] = value;
  }
  if (options.clientTools) {
    environment.CLAUDE_AGENT_SDK_MCP_NO_PREFIX = "1";
    environment.ENABLE_TOOL_SEARCH = "false";
    // A turn pauses when all calls of a message have come: older CLIs let ten through and keep the others back.
    environment.CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY = "1000";
  }
  return environment;
}

/** Whether a base URL is one of our own listeners. An address that does not parse is claude's to complain about. */
export function isOwn(url: string, own: OwnAddresses): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.toLowerCase().replace(/\.$/, "");
  if (own.hosts.includes(host)) return true;
  const number = port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
  if (!own.ports.includes(number)) return false;
  return /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1\]|\[::\]|\[::ffff:7f[0-9a-f:]+\])$/.test(host);
}
