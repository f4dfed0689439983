/**
 * Every key of the configuration, once: its type, default, meaning and where else it can be set. The docs table, the
 * flags of `start`, `config show` and the checks are all read from here.
 *
 * In TOML and in environment names keys are snake_case (`limits.queue_wait_seconds`,
 * `CLAUDE_CODE_DAEMON_LIMITS_QUEUE_WAIT_SECONDS`); in code they are camelCase.
 */
import { type Static, type TSchema, Type } from "@sinclair/typebox";

/** What a leaf of the schema carries beside its type. */
export interface KeyTraits {
  /** Replaces the derived environment name. */
  env?: string;
  /** A plain name from outside our prefix; the prefixed one wins. */
  plainEnv?: string;
  /** Flag of `start`; keys without one are set in the file or the environment. */
  flag?: string;
  /** The value is a path, or a list of paths: `~/` is the home, relative ones count from where the value was given. */
  path?: true;
}

type Documented = KeyTraits & { description: string };

const text = (value: string, options: Documented & { pattern?: string; maxLength?: number }) =>
  Type.String({ maxLength: 4096, ...options, default: value });
const whole = (value: number, minimum: number, maximum: number, options: Documented) =>
  Type.Integer({ ...options, minimum, maximum, default: value });
const toggle = (value: boolean, options: Documented) => Type.Boolean({ ...options, default: value });
const texts = (value: string[], options: Documented) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), { ...options, maxItems: 1000, default: value });
const choice = <const T extends string>(values: readonly T[], value: T, options: Documented) =>
  Type.Unsafe<T>(Type.String({ ...options, enum: [...values], default: value }));

const DAY_SECONDS = 86_400;

export const ConfigSchema = Type.Object({
  host: text("127.0.0.1", {
    flag: "host",
    pattern: "^(localhost|127\\.0\\.0\\.1|::1)$",
    description:
      "Address to listen on: `127.0.0.1` or `localhost` for both loopback addresses (127.0.0.1 and ::1), `::1` for that one alone.",
  }),
  port: whole(8080, 0, 65_535, {
    flag: "port",
    plainEnv: "PORT",
    description: "Port to listen on; `0` takes a free one and prints it.",
  }),
  websocketPort: whole(0, 0, 65_535, {
    flag: "websocket-port",
    description: "A second port for clients that expect the WebSocket on a port of its own (e.g. `8081`); `0`: none.",
  }),
  hosts: texts([], {
    description:
      "Further host names by which callers reach the daemon (exact values of the `Host` header, without port).",
  }),
  origins: texts(["http://localhost:3000", "http://127.0.0.1:3000"], {
    description:
      "Origins whose web pages may call the daemon, beside its own and those of `claude-code-daemon origin allow`.",
  }),
  proxies: texts([], {
    description:
      "Addresses of reverse proxies whose requests may carry forwarding headers; from others these are refused.",
  }),
  shutdownTimeoutSeconds: whole(10, 0, 3600, {
    description: "How long a stopping daemon lets running turns finish before it interrupts them.",
  }),
  claude: Type.Object({
    path: text("", {
      env: "CLAUDE_CODE_DAEMON_CLAUDE",
      flag: "claude",
      path: true,
      description: "The `claude` to use; empty: the one on `PATH`, else where its installers put it.",
    }),
    passEnv: texts([], {
      description: "Names of further environment variables that `claude` is given.",
    }),
  }),
  models: Type.Object({
    default: text("claude-code", {
      description: "Model for requests that name none (`chat`, WebSocket, sessions).",
    }),
    aliases: Type.Record(Type.String({ minLength: 1, maxLength: 256 }), Type.String({ minLength: 1, maxLength: 256 }), {
      default: {},
      description: 'Other names for models, e.g. `{ "gpt-4o" = "sonnet" }`.',
    }),
    sampling: choice(["ignore", "forward"], "ignore", {
      description:
        "`temperature` and `top_p` of chat requests: `ignore` names them in `x-claude-code-ignored`; `forward` sends them, with thinking off.",
    }),
  }),
  workspaces: Type.Object({
    roots: texts([], {
      flag: "workspace",
      path: true,
      description:
        "Directories in which agents may work, beside those of `claude-code-daemon workspace add`. The first is the default workspace.",
    }),
    currentDirectory: toggle(true, {
      description:
        "Where `workspaces.roots` is empty, the directory that `start` runs in is the workspace. The service turns this off.",
    }),
  }),
  limits: Type.Object({
    processes: whole(0, 0, 1000, {
      description: "Most `claude` processes at a time; `0`: a quarter of the memory at 250 MB each, from 4 to 32.",
    }),
    memoryMb: whole(0, 0, 1_048_576, {
      description: "Memory that all `claude` processes together may take, in MB; `0`: a quarter of the machine's.",
    }),
    processMemoryMb: whole(1024, 64, 1_048_576, {
      description: "A `claude` process that takes more is ended after its turn; at twice that, at once.",
    }),
    chatSpares: whole(1, 0, 32, { description: "Processes kept booted for new chats." }),
    profileSpares: whole(2, 0, 32, {
      description: "Processes kept initialized for what comes again and again: agent workspaces, system prompts.",
    }),
    queueLength: whole(64, 0, 100_000, { description: "Most requests that wait for a process; past it: 429." }),
    queueWaitSeconds: whole(60, 1, 3600, { description: "Longest wait for a process; past it: 429." }),
    idleEvictionSeconds: whole(1800, 10, 30 * DAY_SECONDS, {
      description:
        "An unused process is ended after this long, a stopped one after five minutes; its conversation can go on in a new one.",
    }),
    suspendAfterSeconds: whole(20, 1, DAY_SECONDS, {
      description: "An unused process is suspended (costs no CPU) after this long.",
    }),
    clientCallWaitSeconds: whole(1800, 10, 7 * DAY_SECONDS, {
      description: "How long a turn waits for the client's answer to a call of one of its tools.",
    }),
    clientCallsWaiting: whole(16, 1, 1000, {
      description: "Most processes that wait for a client's answer; past it the longest waiting is ended.",
    }),
    stallSeconds: whole(300, 10, DAY_SECONDS, {
      description: "A turn without a line from `claude` and without a running tool is ended after this long.",
    }),
    bodySeconds: whole(30, 1, 3600, {
      description:
        "Time for a request's body to arrive, and a second more for every 64 KiB of a large one that have come; past it: 408.",
    }),
    idleConnectionSeconds: whole(120, 4, 255, {
      description: "A connection on which nothing is asked, answered or streamed is closed after about this long.",
    }),
    bodyMib: whole(32, 1, 1024, { description: "Largest request body in MiB, after `content-encoding` is undone." }),
  }),
  permissions: Type.Object({
    waitSeconds: whole(300, 1, DAY_SECONDS, { description: "How long a permission prompt waits for its answer." }),
    allowBypass: toggle(false, { description: "Whether requests may use the permission mode `bypassPermissions`." }),
  }),
  exec: Type.Object({
    enabled: toggle(true, { description: "Whether `POST /v1/code/execute` runs code at all." }),
    allowUnsandboxed: toggle(false, {
      description: "Run code without a sandbox where none can be had. It can then do all that you can.",
    }),
    allowNetwork: toggle(false, {
      description: "Whether a request may ask for the network. Code could then reach services of this machine too.",
    }),
    timeoutSeconds: whole(30, 1, 3600, { description: "Time for one run where the request names none." }),
    maxTimeoutSeconds: whole(600, 1, DAY_SECONDS, { description: "Most time that a request may ask for." }),
    memoryMb: whole(1024, 64, 1_048_576, { description: "Memory for one run, in MB." }),
    processes: whole(64, 1, 10_000, { description: "Processes and threads that one run may have." }),
    outputKib: whole(1024, 1, 1_048_576, { description: "Kept output of one run, in KiB each for stdout and stderr." }),
  }),
  log: Type.Object({
    level: choice(["error", "warn", "info", "debug"], "info", {
      flag: "log-level",
      description: "What is logged. Only `debug` may show text of prompts.",
    }),
  }),
});

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly Item[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** The resolved configuration: frozen, made once at start and handed on as an argument. */
export type Config = DeepReadonly<Static<typeof ConfigSchema>>;

/** One leaf of the schema. */
export interface ConfigKey {
  /** As in TOML: `limits.queue_wait_seconds`. */
  name: string;
  /** As in code: `["limits", "queueWaitSeconds"]`. */
  path: readonly string[];
  /** Environment names, the first that is set wins. */
  env: readonly string[];
  flag: string | undefined;
  isPath: boolean;
  description: string;
  schema: TSchema;
}

export const ENV_PREFIX = "CLAUDE_CODE_DAEMON_";

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function leaves(schema: TSchema, path: readonly string[]): ConfigKey[] {
  if (schema.type === "object" && schema.properties) {
    return Object.entries<TSchema>(schema.properties).flatMap(([name, child]) => leaves(child, [...path, name]));
  }
  const traits = schema as TSchema & Documented;
  const name = path.map(snake).join(".");
  const env = [traits.env ?? ENV_PREFIX + name.replaceAll(".", "_").toUpperCase()];
  if (traits.plainEnv !== undefined) env.push(traits.plainEnv);
  const { flag, description } = traits;
  return [{ name, path, env, flag, isPath: traits.path === true, description, schema }];
}

/** All keys in the order of the schema. */
export function configKeys(): ConfigKey[] {
  return leaves(ConfigSchema, []);
}
