/**
 * No process outlives the daemon. A claude whose daemon is killed works on to the end of its turn, shell commands included,
 * and a stopped one stays for good. A small `sh` in a session of its own holds a pipe from the daemon; when the pipe closes,
 * whatever closed it, it ends all that is left (`reaper.sh`). What even that missed (the reaper was killed too) `sweep`
 * ends at the next start, by the reaper's record.
 *
 * Not found: a process that was cut off from all its kin and threw its environment away (`env -i setsid`) before the
 * daemon died.
 */
import { randomUUID } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";
import script from "./reaper.sh" with { type: "text" };

export interface ReaperOptions {
  /** Existing, 0700: holds the record of what is tracked. */
  stateDirectory: string;
  /** The environment entry that every process of the daemon carries; the value is random and this daemon's own. */
  marker: { name: string; value: string };
  log: Logger;
  /** Default: `/bin/sh`. Called by another name than `sh`, bash would run the user's .bashrc (its stdin is a socket). */
  shell?: string;
}

export interface Reaper {
  /** Of the shell; changes when it had to be restarted. */
  readonly pid: number;
  /** Ends this process with the daemon. A pipe write; call it right after the spawn, before the pid can be reused. */
  track(pid: number): void;
  /** The process is gone. Call it when its exit has been seen. */
  untrack(pid: number): void;
  /** Ends what is still tracked or marked, then the reaper. Settles when both are gone; takes at most about 5 s. */
  close(): Promise<void>;
}

const RECORD = /^reaper-[0-9a-f-]+\.list$/;
/** Somebody ends the reaper: it is restarted this often, then the daemon goes on without. */
const MAX_RESTARTS = 5;
/** A record larger than this is not ours. */
const MAX_RECORD_CHARS = 1024 * 1024;

/** Starts the reaper. Throws `internal` where there is no shell. */
export function startReaper(options: ReaperOptions): Reaper {
  const tracked = new Set<number>();
  const record = join(options.stateDirectory, `reaper-${randomUUID()}.list`);
  const marker = `${options.marker.name}=${options.marker.value}`;
  let restarts = 0;
  let closing = false;
  let shell = start();

  function start(): Shell {
    const started = startShell(options.shell, marker, record);
    void started.exited.then((code) => {
      if (closing || started !== shell) return;
      options.log.warn("the reaper ended; processes may outlive the daemon", { code, restarts });
      if (restarts++ >= MAX_RESTARTS) return;
      shell = start();
      for (const pid of tracked) shell.send(`t ${pid}`);
    });
    return started;
  }

  return {
    get pid() {
      return shell.pid;
    },
    track(pid) {
      tracked.add(pid);
      shell.send(`t ${pid}`);
    },
    untrack(pid) {
      if (tracked.delete(pid)) shell.send(`u ${pid}`);
    },
    async close() {
      closing = true;
      shell.end();
      await shell.exited;
    },
  };
}

/**
 * Ends what an earlier daemon and its reaper left behind, by the records in the state directory; records whose reaper lives
 * are left to it. Call it at start-up, before anything is spawned. Settles when all is gone (at most about 5 s a record).
 */
export async function sweep(options: Pick<ReaperOptions, "stateDirectory" | "log" | "shell">): Promise<void> {
  const names = (await readdir(options.stateDirectory)).filter((name) => RECORD.test(name));
  await Promise.all(names.map((name) => sweepRecord(join(options.stateDirectory, name), options)));
}

async function sweepRecord(path: string, options: Pick<ReaperOptions, "log" | "shell">): Promise<void> {
  const text = await readFile(path, "utf8").catch(() => "");
  const [first, ...rest] = text.slice(0, MAX_RECORD_CHARS).split("\n");
  const marker = /^marker ([A-Z_]+=[\w-]{16,})$/.exec(first ?? "")?.[1];
  // Cut short by the end of its writer: without a marker and pids there is nothing to go by.
  if (marker === undefined) return rm(path, { force: true });
  const shell = startShell(options.shell, marker, path);
  for (const line of rest) if (/^[ro] \d+:[\w:]+$/.test(line)) shell.send(line);
  shell.end();
  if ((await shell.exited) === 0) options.log.info("ended what an earlier daemon left behind", { record: path });
}

interface Shell {
  readonly pid: number;
  readonly exited: Promise<number>;
  send(line: string): void;
  end(): void;
}

function startShell(shell: string | undefined, marker: string, record: string): Shell {
  let child: Bun.Subprocess<"pipe", "ignore", "ignore">;
  try {
    child = Bun.spawn([shell ?? "/bin/sh", "-c", script, "claude-code-daemon-reaper"], {
      // A session of its own: no signal of the terminal or of the daemon's group reaches it.
      detached: true,
      cwd: "/",
      env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C", REAPER_MARKER: marker, REAPER_RECORD: record },
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
    });
  } catch (cause) {
    throw new DaemonError("internal", "The daemon could not start /bin/sh, which it needs to end processes.", {
      cause,
    });
  }
  // It must not keep the daemon alive; it is there for the time after.
  child.unref();
  const write = (text: string) => {
    // A reaper that has just died: `exited` deals with it.
    try {
      child.stdin.write(text);
      void child.stdin.flush();
    } catch {}
  };
  return {
    pid: child.pid,
    exited: child.exited,
    send: (line) => write(`${line}\n`),
    end: () => void child.stdin.end(),
  };
}
