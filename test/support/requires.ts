/**
 * What a test needs from the machine beyond Bun and the locked dependencies. A test that lacks something is skipped with
 * the reason in its title; where CLAUDE_CODE_DAEMON_TEST_NO_SKIP=1 (CI) it fails instead.
 */
import { test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const PROBE_TIMEOUT_MS = 20_000;

const COMPUTER_TOOLS = [
  ["mmdebstrap", "mmdebstrap"],
  ["nsenter", "util-linux"],
] as const;

const systemdUser = fileURLToPath(new URL("../service/systemd-user.sh", import.meta.url));

/** Each answers undefined when the need is met, else the reason with its remedy. */
const NEEDS = {
  linux: () => (process.platform === "linux" ? undefined : "Linux only"),
  macos: () => (process.platform === "darwin" ? undefined : "macOS only"),
  root: () => (process.getuid?.() === 0 ? undefined : "needs root"),
  shellcheck: () => tool("shellcheck", "shellcheck"),
  bash: () => tool("bash", "bash"),
  zsh: () => tool("zsh", "zsh"),
  fish: () => tool("fish", "fish"),
  dash: () => tool("dash", "dash"),
  busybox: () => tool("busybox", "busybox"),
  git: () => tool("git", "git"),
  npm: () => tool("npm", "npm"),
  curl: () => tool("curl", "curl"),
  python: () => tool("python3", "python3"),
  setpriv: () => tool("setpriv", "util-linux"),
  registry: () =>
    runs(["npm", "view", "bun@1.4.5", "version"]) ? undefined : "the npm registry does not answer (npm view bun)",
  /** Installed and allowed to make namespaces here. */
  bubblewrap: () =>
    tool("bwrap", "bubblewrap") ??
    (runs(["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"])
      ? undefined
      : "bubblewrap may not make namespaces"),
  chromium: () => (chromiumPath() === undefined ? "chromium is not installed (apt-get install chromium)" : undefined),
  systemd: () =>
    existsSync("/lib/systemd/systemd") ? undefined : "systemd is not installed (apt-get install systemd)",
  /** A machine of its own with a user manager: what test/service/systemd-user.sh builds. */
  userManager: () =>
    runs(["sh", systemdUser, "/dev/null"])
      ? undefined
      : "no systemd --user could be started here (needs root, cgroup2, overlayfs, and apt-get install dbus-user-session libpam-systemd)",
  /** A computer of its own, booted from Debian's packages: what test/service/boot/machine.ts builds. */
  computer: () => {
    for (const [command, debianPackage] of COMPUTER_TOOLS) {
      const reason = tool(command, debianPackage);
      if (reason !== undefined) return reason;
    }
    if (!existsSync("/usr/share/keyrings/debian-archive-keyring.gpg")) return "apt-get install debian-archive-keyring";
    const mounted = existsSync("/proc/mounts") ? readFileSync("/proc/mounts", "utf8") : "";
    return /^\S+ \S+ cgroup2 rw/m.test(mounted) ? undefined : "no cgroup2 is mounted here";
  },
} satisfies Record<string, () => string | undefined>;

export type Need = keyof typeof NEEDS;

type Test = (title: string, body: () => void | Promise<void>, timeoutMs?: number) => void;

function tool(command: string, debianPackage: string): string | undefined {
  return Bun.which(command) === null ? `${command} is not installed (apt-get install ${debianPackage})` : undefined;
}

function runs(command: string[]): boolean {
  if (Bun.which(command[0] ?? "") === null) return false;
  return (
    Bun.spawnSync(command, { timeout: PROBE_TIMEOUT_MS, stdin: "ignore", stdout: "ignore", stderr: "ignore" })
      .exitCode === 0
  );
}

/** The Chromium on this machine, for playwright-core's `executablePath`. */
export function chromiumPath(): string | undefined {
  for (const command of ["chromium", "chromium-browser", "google-chrome"]) {
    const path = Bun.which(command);
    if (path !== null) return path;
  }
  return undefined;
}

/** The first reason why these needs are not met here, or undefined. */
export function missing(...needs: Need[]): string | undefined {
  for (const need of needs) {
    const reason = NEEDS[need]();
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** `requires("bubblewrap")("title", body)` is `test("title", body)` where the needs are met, else a skip that says why. */
export function requires(...needs: Need[]): Test {
  const reason = missing(...needs);
  if (reason === undefined) return (title, body, timeoutMs) => test(title, body, timeoutMs);
  if (process.env.CLAUDE_CODE_DAEMON_TEST_NO_SKIP === "1") {
    return (title) =>
      test(title, () => {
        throw new Error(`${reason}, and CLAUDE_CODE_DAEMON_TEST_NO_SKIP forbids skips`);
      });
  }
  return (title, body) => test.skip(`${title} [skipped: ${reason}]`, body);
}
