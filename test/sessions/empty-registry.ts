/** A registry over a store in memory, for tests whose sessions never run anything: every process is refused. */
import { DaemonError } from "../../src/errors.ts";
import { SessionRegistry } from "../../src/sessions/registry.ts";
import { runTurn } from "../../src/sessions/turn.ts";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import { quietLogger } from "../claude/harness.ts";

export function emptyRegistry(workspace = "/tmp"): SessionRegistry {
  return new SessionRegistry({
    store: openSqliteStore({ path: ":memory:", log: quietLogger }),
    processes: {
      acquire: async () => {
        throw new DaemonError("claude_missing", "This test has no claude.");
      },
    },
    runTurn,
    changes: undefined,
    modelFlag: async () => undefined,
    isTrusted: async () => false,
    denyPaths: [],
    stallTimeoutMs: 300_000,
    log: quietLogger,
    now: Date.now,
    resolveWorkspace: async () => workspace,
    terminal: { list: async () => [], find: async () => undefined, exists: async () => false },
    permissionWaitMs: 60_000,
    defaultPermissionMode: "acceptEdits",
    bypassAllowed: false,
  });
}
