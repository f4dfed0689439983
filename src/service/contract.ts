/** One interface over the service managers (systemd's user manager, launchd), and what a service is made of. */

/** Under this name the service is known everywhere. */
export const SERVICE_NAME = "claude-code-daemon";

export interface ServiceSpec {
  /** The program and its arguments, absolute: what the manager starts. */
  command: readonly string[];
  home: string;
  /** `service.env`: read by the service at each start; 0600, it may hold a login. */
  environmentFile: string;
}

/** What a manager knows about the service. */
export interface ServiceState {
  installed: boolean;
  /** Started by the manager at login (or boot). */
  enabled: boolean;
  running: boolean;
  /** In the manager's own words, e.g. `active (running)`. */
  detail: string;
  /** Why it does not run, in the daemon's own last words, where those are known. */
  problem: string | undefined;
  /** It has failed, and the manager has given up on it. */
  givenUp: boolean;
  pid: number | undefined;
  /** How often the manager has restarted it since it was started; undefined where it does not say. */
  restarts: number | undefined;
  /** Started at boot and kept when nobody is logged in; undefined where that has no meaning or cannot be told. */
  lingering: boolean | undefined;
  /** The file that makes it a service. */
  file: string;
}

export interface LogOptions {
  follow: boolean;
  lines: number;
  /** Each piece of text as it comes. */
  write(text: string): void;
  signal: AbortSignal;
}

/** All of them throw a `DaemonError` that says what the manager said; none of them needs root. */
export interface ServiceManager {
  readonly kind: "systemd" | "launchd";
  /** The manager's file as `install` writes it. */
  render(spec: ServiceSpec): string;
  /** Writes the manager's file, enables the service and (re)starts it. */
  install(spec: ServiceSpec): Promise<void>;
  /** Stops it and takes back what `install` made; gives the removed paths. A service that is not there is no failure. */
  uninstall(spec: Pick<ServiceSpec, "environmentFile">): Promise<string[]>;
  start(): Promise<void>;
  stop(): Promise<void>;
  restart(): Promise<void>;
  state(): Promise<ServiceState>;
  /** Settles when all is written, or at `signal` where it follows. */
  logs(options: LogOptions): Promise<void>;
  /** Lets it run from boot on, without anybody logged in. Throws `unsupported` where there is no such thing. */
  linger(): Promise<void>;
}

export interface CommandResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end; one that cannot be started is exit code 127. */
export type RunCommand = (command: readonly string[], options?: { timeoutMs?: number }) => Promise<CommandResult>;

/** Runs a program and hands on what it prints, until its end or the signal; gives its exit code. */
export type StreamCommand = (
  command: readonly string[],
  options: { write(text: string): void; signal: AbortSignal },
) => Promise<number>;

export interface ManagerDeps {
  run: RunCommand;
  stream: StreamCommand;
  /** Writes a whole file or none, mode 0600. */
  writeFile(path: string, text: string): void;
  home: string;
  uid: number;
}
