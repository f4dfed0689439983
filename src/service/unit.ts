/** The systemd user unit as text. Pure. */
import { DaemonError } from "../errors.ts";
import { SERVICE_NAME, type ServiceSpec } from "./contract.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const UNWRITABLE = /[\u0000-\u001f\u007f]/;

function refusePath(value: string, what: string): DaemonError {
  return new DaemonError(
    "invalid_request",
    `${JSON.stringify(value)} cannot stand in a unit of systemd (${what}). Install the program somewhere else.`,
    { detail: { exit: 78 } },
  );
}

/** `%` starts a specifier, everything else is C-escaped inside the quotes. */
function quote(value: string): string {
  if (UNWRITABLE.test(value)) throw refusePath(value, "a control character");
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%")}"`;
}

/** Arguments know `$VARIABLE`, written `$$`; in the program's own path that is taken literally, and quotes are refused. */
function renderCommand([program = "", ...words]: readonly string[]): string {
  if (/["'\\$]/.test(program)) throw refusePath(program, "the program's path has a quote, a backslash or a $");
  if (!program.startsWith("/")) throw refusePath(program, "not an absolute path");
  return [quote(program), ...words.map((word) => quote(word).replaceAll("$", () => "$$"))].join(" ");
}

/** A path in a setting that takes one path: no quotes there, and quotes are not taken off. */
function renderPath(path: string): string {
  if (UNWRITABLE.test(path)) throw refusePath(path, "a control character");
  if (path.endsWith("\\") || path.endsWith(" ")) throw refusePath(path, "it ends with a backslash or a space");
  return path.replaceAll("%", "%%");
}

/**
 * What it leaves out, and why: seccomp and capability settings (`LockPersonality`, `RestrictRealtime`,
 * `SystemCallArchitectures`, `RestrictSUIDSGID`, …) turn on NoNewPrivileges in a user unit, and with it sudo, ping and
 * rootless containers end for the agent; `RestrictNamespaces`, `SystemCallFilter`, `PrivateUsers` and what needs it break
 * bubblewrap or git; `MemoryDenyWriteExecute` breaks the JIT; `UMask` would be inherited by files that agents write.
 *
 * `KillMode=mixed`: SIGTERM goes to the daemon alone, which lets running turns finish; then all that is left is killed.
 */
export function renderUnit(spec: ServiceSpec): string {
  return `# Written by \`claude-code-daemon service install\`, which overwrites it.
# Settings of your own: systemctl --user edit claude-code-daemon
[Unit]
Description=Claude Code daemon
Documentation=https://code.claude.com/docs
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart=${renderCommand(spec.command)}
Environment=CLAUDE_CODE_DAEMON_SERVICE=systemd
Environment=CLAUDE_CODE_DAEMON_WORKSPACES_CURRENT_DIRECTORY=false
Environment=DO_NOT_TRACK=1 BUN_ENABLE_CRASH_REPORTING=0
SyslogIdentifier=${SERVICE_NAME}
EnvironmentFile=-${renderPath(spec.environmentFile)}
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=78
WatchdogSec=30
TimeoutStopSec=30
KillMode=mixed
OOMPolicy=continue
LimitCORE=0

[Install]
WantedBy=default.target
`;
}
