/** An imitation of `systemctl --user`, `loginctl` and `journalctl` as the service commands call them, in a home of its own. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { createTmpDir } from "../support/tmp-dir.ts";

export interface FakeSystemd extends AsyncDisposable {
  env: Record<string, string>;
  home: string;
  join(...parts: string[]): string;
  unitFile: string;
}

export interface SystemdState {
  active: boolean;
  enabled?: boolean;
  restarts?: number;
  lingering?: boolean;
}

/** `journalctl` prints what it was asked and, following, one line more; then it waits. */
export async function createFakeSystemd(state: SystemdState): Promise<FakeSystemd> {
  const directory = await createTmpDir("systemd-");
  mkdirSync(directory.join("bin"));
  const script = (name: string, body: string) => {
    writeFileSync(directory.join("bin", name), `#!/bin/sh\n${body}\n`);
    chmodSync(directory.join("bin", name), 0o755);
  };
  const facts = [
    `ActiveState=${state.active ? "active" : "failed"}`,
    `SubState=${state.active ? "running" : "failed"}`,
    `MainPID=${state.active ? 7 : 0}`,
    `UnitFileState=${state.enabled === false ? "disabled" : "enabled"}`,
    `NRestarts=${state.restarts ?? 0}`,
  ];
  script(
    "systemctl",
    `case "$*" in *is-system-running*) echo running ;; *show*) printf '%s\\n' ${facts.join(" ")} ;; esac`,
  );
  script("loginctl", `echo ${state.lingering === false ? "no" : "yes"}`);
  script("journalctl", `echo "asked: $*"\ncase " $* " in *" -f "*) echo "level=info msg=later"; exec sleep 60 ;; esac`);
  return {
    env: { HOME: directory.path, PATH: `${directory.join("bin")}:/usr/bin:/bin` },
    home: directory.path,
    join: directory.join,
    unitFile: directory.join(".config/systemd/user/claude-code-daemon.service"),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}
