/** The commands and exit codes as Markdown tables, for docs/commands.md. */
import type { Command } from "commander";
import { EXIT_CODES } from "./exit-codes.ts";

const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

function rowsOf(command: Command, before: string): string[][] {
  const help = command.createHelp();
  const name = `${before}${help.subcommandTerm(command).replace(" [options]", "")}`;
  if (command.commands.length === 0) return [[`\`${name}\``, command.description()]];
  return help.visibleCommands(command).flatMap((child) => rowsOf(child, `${before}${command.name()} `));
}

/** Deterministic; a test compares it with the docs. */
export function renderCommandTable(program: Command): string {
  return table(
    ["command", "what it does"],
    program.commands.flatMap((command) => rowsOf(command, "")),
  );
}

export function renderExitCodeTable(): string {
  return table(
    ["code", "meaning"],
    EXIT_CODES.map(([code, meaning]) => [String(code), meaning]),
  );
}
