/** SIGTERM and SIGINT drain; a second one ends at once. Losing the terminal or a pipe ends nothing. */
import type { Logger } from "../log.ts";

export interface SignalDeps {
  /** Drains and ends; resolves when everything is down. */
  stop(): Promise<void>;
  log: Logger;
  /** Everything is down. */
  drained(): void;
  /** Ends the process at once. */
  exit(code: number): void;
}

const CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Installs the handlers for the rest of the process's life. */
export function handleSignals(deps: SignalDeps): void {
  let asked = false;
  const end = (signal: keyof typeof CODES) => {
    if (asked) {
      // The reaper takes what is still running.
      deps.log.warn("ending at once", { signal });
      deps.exit(CODES[signal]);
      return;
    }
    asked = true;
    deps.log.info("ending after running turns; send the signal again to end at once", { signal });
    void deps.stop().then(deps.drained);
  };
  process.on("SIGTERM", () => end("SIGTERM"));
  process.on("SIGINT", () => end("SIGINT"));
  const ignore = () => undefined;
  process.on("SIGHUP", ignore);
  process.on("SIGPIPE", ignore);
  // Writing to a closed pipe is also an error event, which would end the process.
  process.stdout.on("error", ignore);
  process.stderr.on("error", ignore);
}
