/** The service under a real `systemd --user`, as an unprivileged user, with the compiled binary and the real claude. */

import { expect } from "bun:test";
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildBinary } from "../e2e/compiled.ts";
import { CLAUDE_PATH } from "../support/claude.ts";
import { requires } from "../support/requires.ts";

const HERE = fileURLToPath(new URL("./", import.meta.url));
/** About 25 s where nothing else runs. */
const TIMEOUT_MS = 180_000;

requires(
  "linux",
  "root",
  "systemd",
  "userManager",
  "curl",
  "python",
)(
  "installed it answers, comes back after kill -9, a hang and a login, finds a moved claude, and uninstalls without a trace",
  async () => {
    await using binary = await buildBinary();
    const files = [`${HERE}scenario.sh`, binary.path, realpathSync(CLAUDE_PATH)];
    const child = Bun.spawn(["sh", `${HERE}systemd-user.sh`, ...files], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: TIMEOUT_MS - 20_000,
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    const observed = Object.fromEntries([...stdout.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
    expect({ observed, stderr }).toEqual({
      observed: {
        status_before: "69",
        install: "0",
        answers: "200",
        logged_in: '"logged_in":true',
        enabled: "enabled",
        verify: "",
        environment_mode: "600",
        no_new_privileges: "0",
        umask: "0022",
        leaked: "",
        agent_without_workspace: "workspace add",
        status_running: "0",
        after_kill: "200",
        restart: "0",
        alive_past_watchdog: "yes",
        after_watchdog: "200",
        watchdog_in_logs: "yes",
        claude_moved: "0 200",
        bad_config: "failed 78 0",
        corrected: "0 200",
        stop: "0 000",
        status_stopped: "69",
        after_login: "200",
        after_login_service: "active",
        install_again: "0 200 2",
        uninstall: "0 000",
        unit_after: "not-found inactive",
        left: "",
        processes_left: "0",
      },
      stderr: expect.stringContaining("answers at http://127.0.0.1:8080"),
    });
  },
  TIMEOUT_MS,
);
