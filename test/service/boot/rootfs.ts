/** Debian as it comes, with systemd and nothing of ours: no Node, no npm, no Bun, no claude. */
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const SUITE = "bookworm";
const MIRROR = "http://deb.debian.org/debian";
/** systemd with sessions of users; ssh to log in by; what install.sh asks for (git, curl); the sandbox for code. */
const PACKAGES = [
  ...["systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "openssh-server", "openssh-client"],
  ...["git", "curl", "ca-certificates", "bubblewrap", "socat", "procps"],
];
/** About 20 s. */
const BUILD_TIMEOUT_MS = 300_000;

/** Its directory, to be read only; built once and kept in the user's cache, because it is a download of 80 MB. */
export function debianRootfs(): string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "claude-code-daemon-test");
  const name = `${SUITE}-${Bun.hash(PACKAGES.join(" ")).toString(36)}`;
  const path = join(cache, name);
  if (Bun.spawnSync(["test", "-d", path]).exitCode === 0) return path;
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, `.${name}-`));
  const building = join(scratch, "rootfs");
  try {
    const command = ["mmdebstrap", "--variant=apt", `--include=${PACKAGES.join(",")}`, SUITE, building, MIRROR];
    const made = Bun.spawnSync(command, { stdin: "ignore", stderr: "pipe", timeout: BUILD_TIMEOUT_MS });
    if (made.exitCode !== 0) throw new Error(`mmdebstrap failed: ${made.stderr.toString().slice(-2000)}`);
    renameSync(building, path);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return path;
}
