/** Directory trees for tests of files_changed: making them, reading them whole, and real git beside the daemon's. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createLogger } from "../../src/log.ts";
import type { TurnChanges, WorkspaceChanges } from "../../src/workspace/records.ts";
import { createWorkspaceChanges } from "../../src/workspace/workspace-changes.ts";
import { createTmpDir, type TmpDir } from "../support/tmp-dir.ts";

/** One character per byte, as everywhere below src/workspace. */
export const bytes = (raw: string): Buffer => Buffer.from(raw, "latin1");

/** Every file and link below a directory but those of git: `-`/`x` and content, or `l` and target. */
export function readTree(directory: string, skip = (path: string) => path === ".git"): Map<string, string> {
  const tree = new Map<string, string>();
  const walk = (at: string) => {
    const here = bytes(at === "" ? directory : `${directory}/${at}`);
    for (const name of readdirSync(here, { encoding: "buffer" }).sort(Buffer.compare)) {
      const path = at === "" ? name.toString("latin1") : `${at}/${name.toString("latin1")}`;
      if (skip(name.toString("latin1"))) continue;
      const full = bytes(`${directory}/${path}`);
      const found = lstatSync(full);
      if (found.isSymbolicLink()) tree.set(path, `l ${readlinkSync(full, { encoding: "buffer" }).toString("latin1")}`);
      else if (found.isDirectory()) walk(path);
      else if (found.isFile())
        tree.set(path, `${found.mode & 0o100 ? "x" : "-"} ${readFileSync(full).toString("latin1")}`);
    }
  };
  walk("");
  return tree;
}

export function write(directory: string, path: string, content: string, mode = 0o644): void {
  const full = `${directory}/${path}`;
  mkdirSync(bytes(dirname(full)), { recursive: true });
  writeFileSync(bytes(full), bytes(content));
  chmodSync(bytes(full), mode);
}

export function linkTo(directory: string, path: string, target: string): void {
  mkdirSync(bytes(dirname(`${directory}/${path}`)), { recursive: true });
  symlinkSync(bytes(target), bytes(`${directory}/${path}`));
}

/** The user's git, with a home of its own. */
export function git(cwd: string, ...args: string[]): Buffer {
  const identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"];
  const result = Bun.spawnSync(["git", ...identity, "-c", "protocol.file.allow=always", ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: join(cwd, "..", "home"), GIT_CONFIG_NOSYSTEM: "1", LC_ALL: "C" },
  });
  if (result.exitCode !== 0) throw new Error(`git ${args.join(" ")}: ${result.stderr}`);
  return result.stdout;
}

export interface Place extends AsyncDisposable {
  directory: TmpDir;
  /** `work`, empty. */
  workspace: string;
  home: string;
  state: string;
  changes: WorkspaceChanges;
  /** Begins a turn and takes its before-state. */
  turn(workspace?: string): Promise<TurnChanges>;
  /** A whole turn: what `work` does, as clients are told. */
  during(work: () => unknown, workspace?: string): Promise<TurnChanges>;
}

let turnCount = 0;
export const newTurnId = (): string => `trn_${++turnCount}`;

export async function createPlace(options: { searchPath?: string } = {}): Promise<Place> {
  const directory = await createTmpDir("changes-");
  const [workspace, home, state] = [directory.join("work"), directory.join("home"), directory.join("state")];
  for (const path of [workspace, home, state]) mkdirSync(path);
  const changes = createWorkspaceChanges({
    stateDirectory: state,
    home,
    searchPath: options.searchPath ?? process.env.PATH ?? "",
    log: createLogger({ level: "warn", timestamps: false }),
  });
  const begin = async (path = workspace) => {
    const turn = changes.begin({ turnId: newTurnId(), workspace: path });
    await turn.before();
    return turn;
  };
  return {
    directory,
    workspace,
    home,
    state,
    changes,
    turn: begin,
    during: async (work, path) => {
      const turn = await begin(path);
      await work();
      await turn.changes();
      return turn;
    },
    [Symbol.asyncDispose]: async () => {
      await changes.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}
