/** `--help` of every command: what it does, its options, examples, exit codes and where to read on. */
import type { Command } from "commander";
import type { CliContext } from "./context.ts";
import { EXIT_CODES } from "./exit-codes.ts";
import { HELP_TEXTS, type HelpText } from "./help-texts.ts";
import { isColoured, styleOf } from "./style.ts";

const NAME = "claude-code-daemon";
/** Meanings stand beside their examples where both fit. */
const MAX_COLUMNS = 80;

const words = (command: Command): string =>
  command.parent === null ? "" : `${words(command.parent)} ${command.name()}`.trim();

const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent));

function renderExamples({ examples }: HelpText): string[] {
  const lines = examples.map(([line]) => `  ${NAME} ${line}`);
  const width = Math.max(...lines.map((line) => line.length));
  const beside = examples.map(([, meaning], index) => `${lines[index]?.padEnd(width)}   ${meaning}`);
  if (beside.every((line) => line.length <= MAX_COLUMNS)) return beside;
  return examples.flatMap(([, meaning], index) => [
    lines[index] ?? "",
    ...wrap(meaning, MAX_COLUMNS - 6).map((part) => `      ${part}`),
  ]);
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function renderExits({ exits = [] }: HelpText): string[] {
  const general = new Map<number, string>(EXIT_CODES);
  const own = exits.map((exit) => (typeof exit === "number" ? ([exit, general.get(exit) ?? ""] as const) : exit));
  const all = [[0, general.get(0) ?? ""] as const, [64, general.get(64) ?? ""] as const, ...own];
  return all.sort(([a], [b]) => a - b).map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`);
}

/** Gives the command and all below it their help. */
export function explain(command: Command, context: CliContext): void {
  const style = styleOf(context.stdout, context);
  const text = HELP_TEXTS[words(command)];
  command.configureHelp({
    showGlobalOptions: true,
    // `--version` and `--help` are told where they belong.
    visibleGlobalOptions: (shown) =>
      shown.parent === null ? [] : rootOf(shown).options.filter((option) => option.long === "--no-color"),
    styleTitle: style.bold,
  });
  command.configureOutput({
    getOutHasColors: () => isColoured(context.stdout, context),
    getErrHasColors: () => isColoured(context.stderr, context),
  });
  command.showHelpAfterError(`See: ${`${NAME} ${words(command)}`.trim()} --help`);
  if (text) {
    command.addHelpText("after", () =>
      [
        "",
        style.bold("Examples:"),
        ...renderExamples(text),
        "",
        style.bold("Exit codes:"),
        ...renderExits(text),
        "",
        `More: docs/${text.docs}${command.parent === null ? `, and ${NAME} COMMAND --help` : ""}`,
      ].join("\n"),
    );
  }
  for (const child of command.commands) explain(child, context);
}
