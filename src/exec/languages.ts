/**
 * Which languages this machine can run, and how. JavaScript and TypeScript run on the daemon's own Bun, so they need
 * nothing installed; the others are looked for on the user's PATH.
 */
import { closeSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { basename, delimiter, dirname, isAbsolute, join } from "node:path";
import { DaemonError } from "../errors.ts";
import type { Language } from "./contract.ts";

interface LanguageSpec {
  id: string;
  aliases: readonly string[];
  /** Names on PATH, the first found is used; empty: the daemon's own Bun. */
  programs: readonly string[];
  extension: string;
  /** Arguments between the program and the file. */
  flags: readonly string[];
  versionFlags: readonly string[];
}

const SPECS: readonly LanguageSpec[] = [
  { id: "bash", aliases: ["shell"], programs: ["bash"], extension: "sh", flags: [], versionFlags: ["--version"] },
  { id: "sh", aliases: ["posix"], programs: ["sh"], extension: "sh", flags: [], versionFlags: [] },
  { id: "javascript", aliases: ["js"], programs: [], extension: "js", flags: [], versionFlags: [] },
  { id: "typescript", aliases: ["ts"], programs: [], extension: "ts", flags: [], versionFlags: [] },
  { id: "jsx", aliases: [], programs: [], extension: "jsx", flags: [], versionFlags: [] },
  { id: "tsx", aliases: [], programs: [], extension: "tsx", flags: [], versionFlags: [] },
  {
    id: "python",
    aliases: ["python3", "py"],
    programs: ["python3", "python"],
    extension: "py",
    flags: ["-u"],
    versionFlags: ["--version"],
  },
  { id: "node", aliases: ["nodejs"], programs: ["node"], extension: "mjs", flags: [], versionFlags: ["--version"] },
  { id: "ruby", aliases: ["rb"], programs: ["ruby"], extension: "rb", flags: [], versionFlags: ["--version"] },
  { id: "perl", aliases: ["pl"], programs: ["perl"], extension: "pl", flags: [], versionFlags: ["--version"] },
  { id: "php", aliases: [], programs: ["php"], extension: "php", flags: [], versionFlags: ["--version"] },
  { id: "lua", aliases: [], programs: ["lua", "lua5.4", "lua5.3"], extension: "lua", flags: [], versionFlags: ["-v"] },
  { id: "r", aliases: ["rscript"], programs: ["Rscript"], extension: "R", flags: [], versionFlags: ["--version"] },
];

/** Directories that hold the system's programs; the sandbox shows them read-only. */
export const SYSTEM_PREFIXES = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/nix/store"] as const;

export interface Interpreter {
  id: string;
  aliases: readonly string[];
  /** Absolute and without symbolic links. */
  program: string;
  flags: readonly string[];
  versionFlags: readonly string[];
  extension: string;
  /** Runs on the daemon's own executable (`BUN_BE_BUN`). */
  ownBun: boolean;
  /** What the sandbox must show beside the system's directories for the program to work. */
  shownPath: string | undefined;
}

export interface LanguageOptions {
  /** The user's PATH. */
  path: string;
  home: string;
  /** The daemon's own executable. */
  bun: string;
}

/** A version manager's shim is a script that looks into the home directory, which the sandbox does not show. */
function isNative(path: string): boolean {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const magic = Buffer.alloc(4);
    readSync(file, magic, 0, 4, 0);
    return !magic.subarray(0, 2).equals(Buffer.from("#!"));
  } catch {
    return false;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function isUnder(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith("/") ? directory : `${directory}/`);
}

/** The installation that a program belongs to (`…/bin/program`), but never a directory that holds the home. */
function installationOf(program: string, home: string): string {
  const folder = dirname(program);
  const prefix = basename(folder) === "bin" ? dirname(folder) : program;
  return prefix === "/" || isUnder(home, prefix) ? program : prefix;
}

function find(programs: readonly string[], options: LanguageOptions): string | undefined {
  for (const program of programs) {
    for (const folder of options.path.split(delimiter)) {
      // An empty or relative element means the current directory, which is the caller's to fill.
      if (!isAbsolute(folder)) continue;
      try {
        const real = realpathSync(join(folder, program));
        const entry = statSync(real);
        if (entry.isFile() && (entry.mode & 0o111) !== 0 && isNative(real)) return real;
      } catch {
        // Not there.
      }
    }
  }
  return undefined;
}

/** Every language that can run here. Reads a few directories' entries; starts nothing. */
export function findInterpreters(options: LanguageOptions): Interpreter[] {
  const found: Interpreter[] = [];
  for (const { id, aliases, programs, flags, versionFlags, extension } of SPECS) {
    const ownBun = programs.length === 0;
    const program = ownBun ? realpathSync(options.bun) : find(programs, options);
    if (program === undefined) continue;
    const system = SYSTEM_PREFIXES.some((prefix) => isUnder(program, prefix));
    found.push({
      id,
      aliases,
      program,
      flags: ownBun ? ["run", "--no-install"] : flags,
      versionFlags,
      extension,
      ownBun,
      shownPath: system ? undefined : ownBun ? program : installationOf(program, options.home),
    });
  }
  return found;
}

/** Throws `invalid_request`, naming what there is. */
export function chooseInterpreter(language: string, interpreters: readonly Interpreter[]): Interpreter {
  const wanted = language.trim().toLowerCase();
  const chosen = interpreters.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
  if (chosen) return chosen;
  const known = SPECS.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
  const names = interpreters.map(({ id }) => id).join(", ");
  throw new DaemonError(
    "invalid_request",
    known
      ? `${known.programs.join(" or ")} is not installed on this machine, or only as a script of a version manager. Languages that run here: ${names}.`
      : `The language is not known. Languages that run here: ${names}.`,
    { detail: { param: "language" } },
  );
}

/** The interpreter as `GET /v1/code/execute` lists it. */
export function describeLanguage(interpreter: Interpreter, version: string | undefined): Language {
  return { id: interpreter.id, aliases: interpreter.aliases, version };
}
