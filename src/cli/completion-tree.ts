/** What a shell may offer, read from the commander program itself: plain data, for the script of any shell. */
import type { Argument, Command, Option } from "commander";

/** What follows an option or stands as an argument, by the name of its placeholder. */
export type ValueKind = "files" | "directories" | "sessions" | "any" | readonly string[];

export interface CompletionOption {
  short: string | undefined;
  long: string | undefined;
  /** Undefined: it takes no value. */
  value: ValueKind | undefined;
  /** The placeholder, e.g. `number`. */
  valueName: string;
  repeatable: boolean;
  summary: string;
}

export interface CompletionArgument {
  name: string;
  value: ValueKind;
  variadic: boolean;
}

export interface CompletionCommand {
  /** The words that lead to it, e.g. `session show`; empty for the program. */
  path: string;
  name: string;
  summary: string;
  options: CompletionOption[];
  arguments: CompletionArgument[];
  commands: CompletionCommand[];
}

const SUMMARY_CHARS = 70;
const KINDS: Record<string, ValueKind> = { directory: "directories", file: "files", session: "sessions" };

/** One short line: the first clause, without what stands in brackets. Free of control characters. */
export function summarize(description: string): string {
  const first = description.split(/[\n;]|\. |: | \(/)[0] ?? "";
  const line = first.replace(/[^\P{Cc}]+/gu, " ").replace(/\.$/, "");
  return line.length > SUMMARY_CHARS ? `${line.slice(0, SUMMARY_CHARS - 1).trimEnd()}…` : line;
}

const kindOf = (name: string, choices: readonly string[] | undefined): ValueKind => choices ?? KINDS[name] ?? "any";

function toOption(option: Option): CompletionOption {
  const valueName = /[<[]([^\]>.]+)/.exec(option.flags)?.[1] ?? "";
  return {
    short: option.short,
    long: option.long,
    value: option.required || option.optional ? kindOf(valueName, option.argChoices) : undefined,
    valueName,
    repeatable: option.variadic || /repeatable/.test(option.description),
    summary: summarize(option.description),
  };
}

const toArgument = (argument: Argument): CompletionArgument => ({
  name: argument.name(),
  value: kindOf(argument.name(), argument.argChoices),
  variadic: argument.variadic,
});

/** `inherited`: options of the commands above, which may stand after the command as well. */
function toCommand(command: Command, path: string, inherited: readonly Option[]): CompletionCommand {
  const help = command.createHelp();
  const own = help.visibleOptions(command);
  const passedOn = [...inherited, ...command.options.filter((option) => option.long !== "--version")];
  return {
    path,
    name: command.name(),
    summary: summarize(command.summary() || command.description()),
    options: [...own, ...inherited].map(toOption),
    arguments: command.registeredArguments.map(toArgument),
    commands: help
      .visibleCommands(command)
      .map((child) => toCommand(child, path === "" ? child.name() : `${path} ${child.name()}`, passedOn)),
  };
}

/** The whole program, hidden commands and options left out. */
export function toCompletionTree(program: Command): CompletionCommand {
  return toCommand(program, "", []);
}

/** The command and all below it, parents first. */
export function flatten(command: CompletionCommand): CompletionCommand[] {
  return [command, ...command.commands.flatMap(flatten)];
}
