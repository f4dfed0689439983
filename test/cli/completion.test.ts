/** The completion scripts in the shells that they are for: what a TAB offers there. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { SHELLS, type Shell } from "../../src/cli/completion-scripts.ts";
import { summarize } from "../../src/cli/completion-tree.ts";
import { runCli } from "../../src/cli/program.ts";
import { requires } from "../support/requires.ts";
import { createTmpDir, type TmpDir } from "../support/tmp-dir.ts";

const SHELL_TIMEOUT_MS = 30_000;

let directory: TmpDir;
beforeAll(async () => {
  directory = await createTmpDir("completion-");
  for (const shell of SHELLS) writeFileSync(directory.join(`script.${shell}`), (await run("completion", shell)).out);
  mkdirSync(directory.join("work", "some dir"), { recursive: true });
  writeFileSync(directory.join("work", "some file"), "");
  // What the scripts may run: it answers as `session list` does, with lines that try to be something else.
  mkdirSync(directory.join("bin"));
  const lines = [
    "ses_0aB1  idle  2026-01-02 03:04  1 turn  /work  Fix: the [bug] it's $(touch pwned)",
    "ses_$(touch pwned)  idle",
    "No sessions are open.",
  ];
  writeFileSync(
    directory.join("bin", "claude-code-daemon"),
    `#!/bin/sh\n[ "$*" = "session list" ] || exit 9\ncat <<'END'\n${lines.join("\n")}\nEND\n`,
  );
  chmodSync(directory.join("bin", "claude-code-daemon"), 0o755);
});
afterAll(() => directory[Symbol.asyncDispose]());

async function run(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await runCli(words, {
    facts: { env: { HOME: "/nowhere" }, platform: "linux", cwd: "/", userHome: "/nowhere", uid: 1 },
    stdout: {
      isTerminal: false,
      write: (text) => {
        out += text;
      },
    },
    stderr: {
      isTerminal: false,
      write: (text) => {
        err += text;
      },
    },
    stdinIsTerminal: false,
    readStdin: async () => "",
    name: "claude-code-daemon",
  });
  return { code, out, err };
}

function runShell(command: string[]): string {
  const { stdout, stderr, exitCode } = Bun.spawnSync(command, {
    cwd: directory.join("work"),
    env: { HOME: directory.path, PATH: `${directory.join("bin")}:/usr/local/bin:/usr/bin:/bin`, TERM: "dumb" },
    timeout: SHELL_TIMEOUT_MS,
  });
  if (exitCode !== 0 || stderr.toString() !== "") throw new Error(`${command.join(" ")}: ${exitCode}: ${stderr}`);
  return stdout.toString();
}

/** What each shell offers for the line, sorted; descriptions are left out. */
const OFFERS: Record<Shell, (line: string) => string[]> = {
  // As readline calls it: words split at blanks, "=" and ":".
  bash: (line) =>
    sorted(
      runShell([
        "bash",
        "--norc",
        "-uc",
        `. ${directory.join("script.bash")}
complete -p claude-code-daemon | grep -q -- '-F _claude_code_daemon claude-code-daemon$' || exit 8
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _claude_code_daemon
for offer in "\${COMPREPLY[@]+"\${COMPREPLY[@]}"}"; do printf '%s\\n' "$offer"; done`,
        "bash",
        ...line.split(" ").flatMap((word) => (word === "" ? [""] : (word.match(/[=:]|[^=:]+/g) ?? []))),
      ]),
    ),
  // A real line editor in a pseudo terminal; what it would insert is caught at `compadd`.
  zsh: (line) =>
    sorted(
      runShell(["zsh", "-f", directory.join("capture.zsh"), directory.join("script.zsh"), line]).replaceAll("\r", ""),
    ),
  fish: (line) =>
    sorted(
      runShell([
        "fish",
        "--no-config",
        "-c",
        `source ${directory.join("script.fish")}; complete -C $argv[1]`,
        line,
      ]).replaceAll(/\t.*$/gm, ""),
    ),
};

const sorted = (text: string) => [...new Set(text.split("\n").filter((line) => line !== ""))].sort();

/** Runs zsh in a pty of zpty, types the line and a TAB, and prints what `compadd` was given that matches. */
const CAPTURE = `
zmodload zsh/zpty
setup() {
  zpty inner zsh -f -i
  local line
  zpty -w inner "source $1.setup"
  zpty -r inner line $'*ready\\r\\n*' || exit 7
  zpty -n -w inner "$2"$'\\t'
  zpty -r inner line $'*<<done>>*' || exit 6
  print -r -- "$line" | sed -n 's/^.*<<offer>>\\(.*\\)<<end>>.*$/\\1/p'
  zpty -d inner
}
setup "$1" "$2"
`;
const CAPTURE_SETUP = `
PROMPT= ; unsetopt prompt_cr prompt_sp zle_bracketed_paste 2>/dev/null
LOAD
zstyle ':completion:*' matcher-list ''
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return $?; fi
  local -a found
  builtin compadd -A found "$@"
  local one
  for one in $found; do print -r -- "<<offer>>$one<<end>>"; done
  builtin compadd "$@"
}
finish() { zle complete-word; print -r -- '<<done>>'; }
zle -C complete-word complete-word _main_complete
zle -N finish
bindkey '^I' finish
print ready
`;

beforeAll(() => {
  writeFileSync(directory.join("capture.zsh"), CAPTURE);
  const compinit = "autoload -Uz compinit && compinit -u -D";
  const sourced = `${compinit}\nsource ${directory.join("script.zsh")}`;
  writeFileSync(directory.join("script.zsh.setup"), CAPTURE_SETUP.replace("LOAD", sourced));
  // As a file of the name that zsh looks for.
  mkdirSync(directory.join("functions"));
  copyFileSync(directory.join("script.zsh"), directory.join("functions", "_claude-code-daemon"));
  const autoloaded = `fpath=(${directory.join("functions")} $fpath)\n${compinit}`;
  writeFileSync(directory.join("autoload.zsh.setup"), CAPTURE_SETUP.replace("LOAD", autoloaded));
});

const COMMANDS = ["chat", "completion", "config", "demo", "doctor", "origin", "service", "session", "start", "status"];

for (const shell of SHELLS) {
  describe(shell, () => {
    const withShell = requires(shell);
    const offers = (line: string) => OFFERS[shell](line);

    withShell("the script parses", () => {
      runShell([shell, "-n", directory.join(`script.${shell}`)]);
    });

    withShell("offers the commands, and those of a group", () => {
      expect(offers("claude-code-daemon ")).toEqual(expect.arrayContaining(COMMANDS));
      expect(offers("claude-code-daemon st")).toEqual(["start", "status"]);
      expect(offers("claude-code-daemon service ")).toEqual([
        ...["install", "logs", "restart", "start", "status", "stop", "uninstall"],
      ]);
      expect(offers("claude-code-daemon completion ")).toEqual(["bash", "fish", "zsh"]);
    });

    withShell("offers the options of the command that the line is at", () => {
      expect(offers("claude-code-daemon session list --")).toEqual(
        expect.arrayContaining(["--all", "--json", "--limit", "--terminal"]),
      );
      expect(offers("claude-code-daemon status --")).not.toContain("--limit");
      expect(offers("claude-code-daemon start --port 9000 --work").map((word) => word.replace(/=$/, ""))).toEqual([
        "--workspace",
      ]);
    });

    withShell("offers what an option takes", () => {
      expect(offers("claude-code-daemon start --log-level ")).toEqual(["debug", "error", "info", "warn"]);
      const glued = offers("claude-code-daemon start --log-level=de").map((word) => word.replace("--log-level=", ""));
      expect(glued).toEqual(["debug"]);
      expect(offers("claude-code-daemon chat --workspace start --m").map((word) => word.replace(/=$/, ""))).toEqual([
        "--model",
      ]);
    });

    withShell("offers directories where a directory is wanted", () => {
      const found = offers("claude-code-daemon workspace add ").map((path) =>
        path.replace(/\/$/, "").replace("\\", ""),
      );
      expect(found).toEqual(["some dir"]);
    });

    withShell("offers the ids of sessions, and runs nothing that a session's title says", async () => {
      expect(offers("claude-code-daemon session show ")).toEqual(["ses_0aB1"]);
      expect(await Bun.file(directory.join("work", "pwned")).exists()).toBe(false);
    });
  });
}

requires("zsh")("zsh finds the script by itself in a directory of its fpath", () => {
  const capture = (line: string) =>
    sorted(
      runShell(["zsh", "-f", directory.join("capture.zsh"), directory.join("autoload.zsh"), line]).replaceAll("\r", ""),
    );
  expect(capture("claude-code-daemon st")).toEqual(["start", "status"]);
  expect(capture("claude-code-daemon session show ")).toEqual(["ses_0aB1"]);
});

test("another shell is refused with the choices", async () => {
  const { code, err } = await run("completion", "tcsh");
  expect(code).toBe(64);
  expect(err).toContain("bash, zsh, fish");
});

test("a description becomes one short line", () => {
  expect(summarize("Port to listen on; `0` takes a free one.")).toBe("Port to listen on");
  expect(summarize("who may (default: me). More.")).toBe("who may");
  expect(summarize("a\u001bb\nc")).toBe("a b");
  expect(summarize("word ".repeat(40)).length).toBeLessThanOrEqual(70);
});
