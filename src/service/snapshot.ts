/** Which of the user's variables a service is given: a manager starts it without those of any shell. Pure. */

type Environment = Readonly<Record<string, string | undefined>>;

/** Where things are, and how the network is reached: without them the service would be another daemon than the shell's. */
const COPIED = new Set([
  ...["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "CLAUDE_CONFIG_DIR"],
  ...["CLAUDE_CODE_DAEMON_CONFIG", "CLAUDE_CODE_DAEMON_CLAUDE"],
  ...["LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "SHELL"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"],
  ...["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"],
]);

/** How claude is logged in or pointed to a provider: written to a file only where the user says so. */
const LOGIN =
  /^(ANTHROPIC_(API_KEY|AUTH_TOKEN|BASE_URL|MODEL|CUSTOM_HEADERS)|CLAUDE_CODE_OAUTH_TOKEN|CLAUDE_CODE_USE_(BEDROCK|VERTEX|FOUNDRY)|AWS_(PROFILE|REGION|BEARER_TOKEN_BEDROCK)|CLOUD_ML_REGION)$/;

export interface Snapshot {
  values: Record<string, string>;
  /** Logins that the shell has and the service does not get. */
  leftOut: string[];
}

export interface SnapshotOptions {
  environment: Environment;
  /** What the service's PATH is to be. */
  path: string;
  /** The claude that was found: tried first at each start. Undefined where none was found. */
  claude: string | undefined;
  /** Further names that the user asked to copy. */
  names: readonly string[];
  /** Names that the service has already. */
  known: ReadonlySet<string>;
}

export function takeSnapshot(options: SnapshotOptions): Snapshot {
  const { environment, names, known } = options;
  const values: Record<string, string> = { PATH: options.path };
  if (options.claude !== undefined) values.CLAUDE_CODE_DAEMON_SERVICE_CLAUDE = options.claude;
  const leftOut: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || value === "" || name === "PATH") continue;
    if (COPIED.has(name) || names.includes(name)) values[name] = value;
    else if (LOGIN.test(name) && !known.has(name)) leftOut.push(name);
  }
  return { values, leftOut: leftOut.sort() };
}

/** The entries of both, each once, the first list first; relative ones are dropped. */
export function mergePaths(first: string, second: string): string {
  const entries = [...first.split(":"), ...second.split(":")].filter((entry) => entry.startsWith("/"));
  return [...new Set(entries)].join(":");
}
