/** Finds out, once, which sandbox works on this machine, and says how to get one where none does. */
import { lstatSync, readlinkSync, realpathSync } from "node:fs";
import { createProcessGroup } from "./cgroup.ts";
import { SYSTEM_PREFIXES } from "./languages.ts";
import { bubblewrapArgv, type SandboxOptions, seatbeltProfile } from "./sandbox.ts";

/** A sandbox that has been seen to work here. */
export interface Sandbox {
  kind: "bubblewrap" | "seatbelt";
  /** Wraps a command; `scratchDirectory` is where programs may keep temporary files on systems without a private /tmp. */
  wrap(
    command: readonly string[],
    options: Omit<SandboxOptions, "nestedNamespaces">,
    scratchDirectory: string,
  ): string[];
}

export type SandboxState = { sandbox: Sandbox; problem: undefined } | { sandbox: undefined; problem: string };

const ROOT_PROBLEM =
  "The daemon runs as root here, whose processes can only be bounded through a writable cgroup, and there is none. Run it as another user, or allow unsandboxed runs with exec.allow_unsandboxed in the config.";
const PROBE_TIMEOUT_MS = 5_000;
const SEATBELT = "/usr/bin/sandbox-exec";

async function works(command: string[]): Promise<{ ok: boolean; said: string }> {
  try {
    const child = Bun.spawn(command, {
      env: {},
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      timeout: PROBE_TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    const [said, code] = await Promise.all([child.stderr.text(), child.exited]);
    return { ok: code === 0, said: said.trim().slice(0, 200) };
  } catch {
    return { ok: false, said: "it could not be started" };
  }
}

/** Where the top of the file system is links into /usr, the sandbox needs the same links. */
function systemLinks(): Map<string, string> {
  const links = new Map<string, string>();
  for (const prefix of SYSTEM_PREFIXES) {
    try {
      if (lstatSync(prefix).isSymbolicLink()) links.set(prefix, readlinkSync(prefix));
    } catch {
      // Not on this system.
    }
  }
  return links;
}

async function locateBubblewrap(path: string): Promise<SandboxState> {
  const found = Bun.which("bwrap", { PATH: path });
  if (found === null) {
    return {
      sandbox: undefined,
      problem:
        "bubblewrap is not installed. Install it (apt install bubblewrap, dnf install bubblewrap, pacman -S bubblewrap), or allow unsandboxed runs with exec.allow_unsandboxed in the config.",
    };
  }
  const program = realpathSync(found);
  const links = systemLinks();
  const probe = { workDirectory: "/tmp", readable: [], frozen: [], hidden: [], environment: {}, network: false };
  let said = "";
  for (const nestedNamespaces of [false, true]) {
    const argv = bubblewrapArgv(program, { ...probe, scratchBytes: 4096, nestedNamespaces }, links);
    const result = await works([...argv, "/bin/sh", "-c", ":"]);
    if (result.ok && process.getuid?.() === 0) {
      const group = createProcessGroup(`claude-code-daemon-probe-${process.pid}`, 2);
      if (!group) return { sandbox: undefined, problem: ROOT_PROBLEM };
      await group.remove();
    }
    if (result.ok) {
      const wrap: Sandbox["wrap"] = (command, options) => [
        ...bubblewrapArgv(program, { ...options, nestedNamespaces }, links),
        ...command,
      ];
      return { sandbox: { kind: "bubblewrap", wrap }, problem: undefined };
    }
    said ||= result.said;
  }
  return {
    sandbox: undefined,
    problem: `bubblewrap cannot make a sandbox here (${said}). Unprivileged user namespaces must be allowed: on Ubuntu 24.04 and later give bwrap an AppArmor profile or set kernel.apparmor_restrict_unprivileged_userns=0; in a container allow them in its seccomp profile. Or allow unsandboxed runs with exec.allow_unsandboxed in the config.`,
  };
}

async function locateSeatbelt(): Promise<SandboxState> {
  const { ok, said } = await works([SEATBELT, "-p", "(version 1)(allow default)", "/usr/bin/true"]);
  if (!ok) {
    return {
      sandbox: undefined,
      problem: `sandbox-exec does not work here (${said}). Allow unsandboxed runs with exec.allow_unsandboxed in the config.`,
    };
  }
  const wrap: Sandbox["wrap"] = (command, options, scratchDirectory) => [
    SEATBELT,
    "-p",
    seatbeltProfile({ ...options, nestedNamespaces: false }, scratchDirectory),
    ...command,
  ];
  return { sandbox: { kind: "seatbelt", wrap }, problem: undefined };
}

/** Starts one or two short processes. `path` is the user's PATH. */
export async function locateSandbox(path: string): Promise<SandboxState> {
  if (process.platform === "linux") return locateBubblewrap(path);
  if (process.platform === "darwin") return locateSeatbelt();
  return { sandbox: undefined, problem: "There is no sandbox for this operating system." };
}
