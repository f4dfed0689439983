/** Resolves the configuration once: flags > environment > file > default. A bad value stops the start; an unknown key warns. */
import { readFileSync, statSync } from "node:fs";
import { DaemonError } from "../errors.ts";
import type { HostFacts } from "./environment.ts";
import type { Paths } from "./paths.ts";
import { type Config, type ConfigKey, configKeys, ENV_PREFIX } from "./schema.ts";
import { lineOfKey, lineOfSyntaxError } from "./toml-line.ts";
import { type ConfigValue, checkValue, parseText, type ValueOrigin } from "./values.ts";

/** Flag values by flag name; a flag that may be repeated comes as a list. */
export type Flags = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface ConfigSetting {
  key: ConfigKey;
  value: ConfigValue;
  /** `default`, `file /…/config.toml`, `environment NAME` or `flag --name`. */
  source: string;
}

export interface LoadedConfig {
  config: Config;
  /** In the order of the schema. */
  settings: readonly ConfigSetting[];
  warnings: readonly string[];
}

export interface ConfigSources {
  flags: Flags;
  facts: Pick<HostFacts, "env" | "cwd">;
  home: string;
  file?: { path: string; text: string };
}

/** Environment names with our prefix that are no keys: the file's place, marks on processes that we started, install.sh's, the service's. */
const OTHER_VARIABLES = [
  ...["CONFIG", "SESSION", "PROCESS", "BUN", "REGISTRY", "INSTALL_DIR"],
  ...["SERVICE", "SERVICE_CLAUDE", "SERVICE_ENV", "SERVICE_LOG"],
].map((name) => ENV_PREFIX + name);
/** Larger config files are refused: nothing sensible reaches this. */
const MAX_FILE_BYTES = 1024 * 1024;

type Table = Record<string, unknown>;

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function configError(message: string, cause?: unknown): DaemonError {
  return new DaemonError("invalid_request", message, { detail: { exit: 78 }, cause });
}

function parseFile(file: { path: string; text: string }): Table {
  try {
    const parsed: unknown = Bun.TOML.parse(file.text);
    return isTable(parsed) ? parsed : {};
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^TOML Parse error: /, "") : String(error);
    const line = lineOfSyntaxError(file.text);
    throw configError(`${file.path}${line === undefined ? "" : `, line ${line},`} is not valid TOML: ${why}`, error);
  }
}

function ownValue(table: Table, name: string): unknown {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The value under `a.b` where each step is a table of its own; throws where a section is not one. */
function valueAt(table: Table, name: string, path: string): unknown {
  let here: unknown = table;
  for (const part of name.split(".")) {
    if (!isTable(here)) throw configError(`${path}: [${name.split(".")[0]}] must be a section.`);
    here = ownValue(here, part);
    if (here === undefined) return undefined;
  }
  return here;
}

function unknownKeys(table: Table, known: ReadonlySet<string>, prefix: string): string[] {
  return Object.entries(table).flatMap(([name, value]) => {
    const full = prefix + name;
    if (known.has(full)) return [];
    const isSection = [...known].some((key) => key.startsWith(`${full}.`));
    return isSection && isTable(value) ? unknownKeys(value, known, `${full}.`) : [full];
  });
}

function settingOf(key: ConfigKey, sources: ConfigSources, fileTable: Table | undefined): ConfigSetting {
  const { facts, home, file } = sources;
  const flag = key.flag === undefined ? undefined : sources.flags[key.flag];
  if (flag !== undefined) {
    const origin: ValueOrigin = { label: `flag --${key.flag}`, base: facts.cwd, home };
    return { key, value: parseText(key, flag, origin), source: origin.label };
  }
  for (const name of key.env) {
    const raw = facts.env[name];
    if (raw === undefined || raw === "") continue;
    const origin: ValueOrigin = { label: `environment ${name}`, base: facts.cwd, home };
    return { key, value: parseText(key, raw, origin), source: origin.label };
  }
  if (file && fileTable) {
    const raw = valueAt(fileTable, key.name, file.path);
    if (raw !== undefined) {
      const source = `file ${file.path}`;
      const line = lineOfKey(file.text, key.name);
      const label = line === undefined ? source : `${source}, line ${line}`;
      return { key, value: checkValue(key, raw, { label, base: undefined, home }), source };
    }
  }
  return { key, value: structuredClone(key.schema.default) as ConfigValue, source: "default" };
}

function deepFreeze(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const child of Object.values(value)) deepFreeze(child);
  Object.freeze(value);
}

/** Builds the nested object from checked leaves; `ConfigSchema` and `configKeys` come from one source, so it is whole. */
function assemble(settings: readonly ConfigSetting[]): Config {
  const root: Table = {};
  for (const { key, value } of settings) {
    let here = root;
    for (const part of key.path.slice(0, -1)) {
      const next = here[part];
      if (isTable(next)) here = next;
      else {
        const table: Table = {};
        here[part] = table;
        here = table;
      }
    }
    here[key.path.at(-1) ?? ""] = value;
  }
  deepFreeze(root);
  return root as unknown as Config;
}

/** Pure: the same sources give the same configuration. Throws `invalid_request` (exit 78) naming the bad value's source. */
export function resolveConfig(sources: ConfigSources): LoadedConfig {
  const keys = configKeys();
  const warnings: string[] = [];
  const fileTable = sources.file ? parseFile(sources.file) : undefined;
  const settings = keys.map((key) => settingOf(key, sources, fileTable));
  if (sources.file && fileTable) {
    for (const name of unknownKeys(fileTable, new Set(keys.map((key) => key.name)), "")) {
      warnings.push(`${sources.file.path}: there is no key ${JSON.stringify(name)}; it has no effect.`);
    }
  }
  const knownVariables = new Set([...keys.flatMap((key) => key.env), ...OTHER_VARIABLES]);
  for (const name of Object.keys(sources.facts.env)) {
    if (name.startsWith(ENV_PREFIX) && !knownVariables.has(name)) {
      warnings.push(`environment: there is no variable ${name}; it has no effect.`);
    }
  }
  return { config: assemble(settings), settings, warnings };
}

function readConfigFile(path: string, mustExist: boolean): { path: string; text: string } | undefined {
  try {
    const stats = statSync(path);
    if (!stats.isFile()) throw configError(`${path} is not a file.`);
    if (stats.size > MAX_FILE_BYTES) throw configError(`${path} is larger than ${MAX_FILE_BYTES} bytes.`);
    // The file names the executable to run: whoever may write it, runs commands as this user.
    if ((stats.mode & 0o002) !== 0) {
      throw configError(`${path} can be written by every user of this machine. Correct it with: chmod o-w ${path}`);
    }
    return { path, text: readFileSync(path, "utf8") };
  } catch (error) {
    if (error instanceof DaemonError) throw error;
    const missing = error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
    if (missing && !mustExist) return undefined;
    throw configError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

/** Reads the file (where there is one) and resolves. A file named by CLAUDE_CODE_DAEMON_CONFIG must exist. */
export function loadConfig(options: { flags: Flags; facts: HostFacts; paths: Paths }): LoadedConfig {
  const { flags, facts, paths } = options;
  const file = readConfigFile(paths.configFile, facts.env.CLAUDE_CODE_DAEMON_CONFIG !== undefined);
  return resolveConfig({ flags, facts, home: paths.home, ...(file ? { file } : {}) });
}
