/** `--help` of every command, and docs/commands.md: complete, true, and within a terminal's width. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { CliContext } from "../../src/cli/context.ts";
import { renderCommandTable, renderExitCodeTable } from "../../src/cli/document.ts";
import { EXIT_CODES } from "../../src/cli/exit-codes.ts";
import { HELP_TEXTS } from "../../src/cli/help-texts.ts";
import { createProgram } from "../../src/cli/program.ts";
import { configKeys } from "../../src/config/schema.ts";
import { ERRORS } from "../../src/errors.ts";

function silentContext(over: Partial<CliContext> = {}): CliContext {
  const silent = { isTerminal: false, write: () => undefined };
  return {
    facts: { env: {}, platform: "linux", cwd: "/", userHome: "/", uid: 0 },
    stdout: silent,
    stderr: silent,
    stdinIsTerminal: false,
    readStdin: async () => "",
    name: "claude-code-daemon",
    ...over,
  };
}

const create = (over?: Partial<CliContext>) => createProgram(silentContext(over), () => undefined);

function walk(command: Command, path = ""): { path: string; command: Command }[] {
  const children = command.commands.flatMap((child) => walk(child, `${path} ${child.name()}`.trim()));
  return [{ path, command }, ...children];
}
const all = walk(create());

/** The whole text that `--help` prints. */
async function helpOf(path: string, over: Partial<CliContext> = {}): Promise<string> {
  let out = "";
  const stdout = {
    isTerminal: false,
    write: (text: string) => {
      out += text;
    },
  };
  const program = create({ stdout, ...over });
  await program.parseAsync([...path.split(" ").filter(Boolean), "--help"], { from: "user" }).catch(() => undefined);
  return out;
}

/** Parses a command line without doing what it says; gives the words of the command that would run. */
async function parse(line: string): Promise<string> {
  const program = create();
  let ran = "";
  for (const { path, command } of walk(program)) {
    if (command.commands.length === 0) {
      command.action(() => {
        ran = path;
      });
    }
  }
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
  await program.parseAsync(words, { from: "user" });
  return ran;
}

test("every command has its help, and nothing else has", () => {
  expect(Object.keys(HELP_TEXTS).sort()).toEqual(all.map(({ path }) => path).sort());
});

describe.each(all.map(({ path, command }) => [path === "" ? "the program" : path, path, command] as const))(
  "%s",
  (_, path, command) => {
    const text = HELP_TEXTS[path];

    test("it, its arguments and its options say what they are", () => {
      const described = [command, ...command.options, ...command.registeredArguments].map((one) =>
        typeof one.description === "function" ? one.description() : one.description,
      );
      for (const description of described) expect(description).toMatch(/^.{8,}$/);
      for (const { long, flags } of command.options) expect([flags, long]).toEqual([flags, expect.any(String)]);
    });

    test("its examples are lines that it takes", async () => {
      for (const [line, meaning] of text?.examples ?? []) {
        const ran = await parse(line);
        expect(`${ran} `).toStartWith(path === "" ? "" : `${path} `);
        expect(meaning).not.toBe("");
      }
      expect(text?.examples.length).toBeGreaterThan(0);
    });

    test("its exit codes are of the one table, and its page exists", () => {
      const known = EXIT_CODES.map(([code]) => code as number);
      for (const exit of text?.exits ?? []) expect(known).toContain(typeof exit === "number" ? exit : exit[0]);
      expect(existsSync(new URL(`../../docs/${text?.docs}`, import.meta.url))).toBe(true);
    });

    test("the page fits 80 columns, shows all of it, and uses our words only", async () => {
      const help = await helpOf(path);
      expect(help.split("\n").filter((line) => line.length > 80)).toEqual([]);
      for (const part of ["Usage: claude-code-daemon", "Examples:", "Exit codes:", "--no-color", "docs/"]) {
        expect(help).toContain(part);
      }
      for (const { long } of command.options) expect(help).toContain(long ?? "");
      expect(help).not.toMatch(/\b(thread|worker|job|adapter|mock|backend|utils?|req|cfg|msg)s?\b/i);
      expect(help).not.toContain("\u001b");
      const variables = help.replaceAll(/\n +/g, " ").match(/CLAUDE_CODE_DAEMON_\w+/g) ?? [];
      const keys = configKeys().flatMap(({ env }) => env);
      for (const name of variables) expect(keys).toContain(name);
    });
  },
);

test("a flag of the config tells its default and its variable", async () => {
  const help = (await helpOf("start")).replaceAll(/\n +/g, " ");
  expect(help).toContain("(default 8080; environment CLAUDE_CODE_DAEMON_PORT or PORT)");
  expect(help).toContain('(choices: "error", "warn", "info", "debug")');
});

test("headings are bold where colours are wanted", async () => {
  const env = { FORCE_COLOR: "1" };
  const help = await helpOf("status", { facts: { ...silentContext().facts, env } });
  expect(help).toContain("\u001b[1mExamples:\u001b[22m");
  expect(help).toContain("\u001b[1mUsage:\u001b[22m");
});

test("every exit code that an error can give is in the table", () => {
  const known = new Set<number>(EXIT_CODES.map(([code]) => code));
  for (const [code, { exit }] of Object.entries(ERRORS)) expect([code, known.has(exit)]).toEqual([code, true]);
});

test("docs/commands.md has the commands and exit codes as they are (bun bin/docs.ts rewrites it)", async () => {
  const docs = await Bun.file(new URL("../../docs/commands.md", import.meta.url)).text();
  // The formatter pads tables.
  const plain = (text = "") => text.replace(/ +/g, " ").replace(/-{3,}/g, "---");
  const part = (name: string) =>
    plain(new RegExp(`<!-- ${name} -->\\n+([\\s\\S]*?)\\n+<!-- /${name} -->`).exec(docs)?.[1]);
  expect(part("commands")).toBe(renderCommandTable(create()));
  expect(part("exit codes")).toBe(renderExitCodeTable());
});
