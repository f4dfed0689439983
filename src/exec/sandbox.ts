/**
 * How a command is wrapped so that it can write to its working directory and a private /tmp, and reach nothing else:
 * bubblewrap on Linux, seatbelt on macOS. Pure: from options to argv.
 */
import { SYSTEM_PREFIXES } from "./languages.ts";

export interface SandboxPaths {
  /** The directory that may be written, at its own path. */
  workDirectory: string;
  /** Shown read-only at their own path, beside the system's directories. */
  readable: readonly string[];
  /** Inside the working directory: readable but not writable, and not to be moved away. */
  frozen: readonly { path: string; directory: boolean; contents: "frozen" | "open" }[];
  /** Inside the working directory: not even readable (keys, the daemon's state). */
  hidden: readonly { path: string; directory: boolean }[];
}

export interface SandboxOptions extends SandboxPaths {
  environment: Readonly<Record<string, string>>;
  network: boolean;
  /** Leave nested user namespaces allowed: for a bubblewrap before 0.8, which cannot forbid them. */
  nestedNamespaces: boolean;
  /** Bound of each private file system in memory (/tmp, /dev/shm). */
  scratchBytes: number;
}

/** Of /etc only what programs need to start, to know the time and to reach hosts. */
const ETC = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "ssl/certs", "ssl/openssl.cnf"];
const ETC_NETWORK = ["resolv.conf", "hosts", "nsswitch.conf", "gai.conf"];
/** Inside, the user is nobody: no file of the system belongs to it, nothing maps to root. */
const SANDBOX_USER = "65534";

/**
 * argv up to and with `--`; the command follows. `systemLinks` are the machine's own top-level links (`/bin` → `usr/bin`
 * on merged systems).
 */
export function bubblewrapArgv(
  bubblewrap: string,
  options: SandboxOptions,
  systemLinks: ReadonlyMap<string, string>,
): string[] {
  const argv = [
    bubblewrap,
    "--unshare-user",
    "--unshare-all",
    ...(options.network ? ["--share-net"] : []),
    "--uid",
    SANDBOX_USER,
    "--gid",
    SANDBOX_USER,
    ...(options.nestedNamespaces ? [] : ["--disable-userns"]),
    "--die-with-parent",
    "--new-session",
    "--hostname",
    "sandbox",
    "--cap-drop",
    "ALL",
    "--clearenv",
  ];
  for (const prefix of SYSTEM_PREFIXES) {
    const target = systemLinks.get(prefix);
    argv.push(...(target === undefined ? ["--ro-bind-try", prefix, prefix] : ["--symlink", target, prefix]));
  }
  for (const name of options.network ? [...ETC, ...ETC_NETWORK] : ETC) {
    argv.push("--ro-bind-try", `/etc/${name}`, `/etc/${name}`);
  }
  const size = String(options.scratchBytes);
  argv.push("--proc", "/proc");
  // bubblewrap covers only what looks writable from outside; where the daemon runs as root, sysctls are root's to write.
  for (const path of ["/proc/sys", "/proc/sysrq-trigger"]) argv.push("--ro-bind-try", path, path);
  argv.push("--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev");
  argv.push("--size", size, "--tmpfs", "/tmp");
  for (const path of options.readable) argv.push("--ro-bind", path, path);
  argv.push("--bind", options.workDirectory, options.workDirectory);
  for (const { path, contents } of options.frozen) {
    // A mount point cannot be renamed or removed, so an "open" one only stays where it is.
    argv.push(contents === "frozen" ? "--ro-bind" : "--bind", path, path);
  }
  for (const { path, directory } of options.hidden) {
    argv.push(
      ...(directory ? ["--size", "4096", "--perms", "0500", "--tmpfs", path] : ["--ro-bind", "/dev/null", path]),
    );
  }
  argv.push("--remount-ro", "/", "--chdir", options.workDirectory);
  for (const [name, value] of Object.entries(options.environment)) argv.push("--setenv", name, value);
  argv.push("--");
  return argv;
}

const seatbeltString = (path: string) => `"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/**
 * A seatbelt profile with the same rules: deny by default, read the system, write the working directory and the scratch
 * directory. Not run by our tests (no macOS here); the rules follow the system profiles of macOS.
 */
export function seatbeltProfile(options: SandboxOptions, scratchDirectory: string): string {
  const subpath = (path: string) => `(subpath ${seatbeltString(path)})`;
  const system = [
    "/usr",
    "/bin",
    "/sbin",
    "/System",
    "/Library",
    "/opt",
    "/private/etc/ssl",
    "/private/var/db/timezone",
  ];
  const lines = [
    "(version 1)",
    "(deny default)",
    "(allow process-exec process-fork signal)",
    "(allow sysctl-read)",
    '(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))',
    '(allow file-read* (literal "/") (literal "/dev/null") (literal "/dev/zero") (literal "/dev/random") (literal "/dev/urandom"))',
    '(allow file-write-data (literal "/dev/null"))',
    "(allow file-read-metadata)",
    `(allow file-read* ${[...system, ...options.readable].map(subpath).join(" ")})`,
    `(allow file-read* file-write* ${[options.workDirectory, scratchDirectory].map(subpath).join(" ")})`,
  ];
  // Later rules win.
  for (const { path, contents } of options.frozen) {
    const rule = contents === "frozen" ? subpath(path) : `(literal ${seatbeltString(path)})`;
    lines.push(`(deny file-write* ${rule})`);
  }
  for (const { path } of options.hidden) lines.push(`(deny file-read* file-write* ${subpath(path)})`);
  if (options.network) lines.push("(allow network-outbound)", "(allow system-socket)");
  return `${lines.join("\n")}\n`;
}
