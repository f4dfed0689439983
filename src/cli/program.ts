/** The command line: one file per command, each added by its own function. */
import { Command, CommanderError } from "commander";
import { toDaemonError } from "../errors.ts";
import { VERSION } from "../version.ts";
import { addChat } from "./chat.ts";
import { addCompletion } from "./completion.ts";
import { addConfig } from "./config.ts";
import { type CliContext, printLine, toTerminalText } from "./context.ts";
import { addDemo } from "./demo.ts";
import { addDoctor } from "./doctor.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { explain } from "./help.ts";
import { reportFailure } from "./journal.ts";
import { addOrigin } from "./origin.ts";
import { addService } from "./service.ts";
import { addSession } from "./session.ts";
import { addStart } from "./start.ts";
import { addStatus } from "./status.ts";
import { addWorkspace } from "./workspace.ts";

/** A command adds itself and reports its exit code through `done`. */
export type AddCommand = (program: Command, context: CliContext, done: (code: number) => void) => void;

const COMMANDS: readonly AddCommand[] = [
  addStart,
  addStatus,
  addDoctor,
  addChat,
  addDemo,
  addSession,
  addOrigin,
  addWorkspace,
  addService,
  addConfig,
  addCompletion,
];

/** The whole program; a command that ran reports its exit code to `done`. */
export function createProgram(context: CliContext, done: (code: number) => void): Command {
  const program = new Command("claude-code-daemon");
  program
    .description("Claude Code behind standard APIs on this machine: one daemon for web apps, editors and scripts.")
    .version(VERSION, "-V, --version", "print the version")
    .option("--no-color", "no colours (also: NO_COLOR; FORCE_COLOR where there is no terminal)")
    .helpOption("-h, --help", "show what a command does")
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, `${context.name}: `)),
    });
  for (const add of COMMANDS) add(program, context, done);
  // Each level would add a command `help` of its own; `--help` is enough.
  for (const group of program.commands) group.helpCommand(false);
  explain(program, context);
  return program;
}

/** Runs one command line (without the program's own name); gives the exit code. Never rejects, never exits. */
export async function runCli(words: readonly string[], context: CliContext): Promise<number> {
  let code = 0;
  // What people type before they know of --help.
  if (words[0] === "help") return runCli([...words.slice(1), "--help"], context);
  const own = words.includes("--") ? words.slice(0, words.indexOf("--")) : words;
  const program = createProgram({ ...context, noColor: own.includes("--no-color") }, (result) => {
    code = result;
  });
  try {
    if (words.length === 0) {
      program.outputHelp();
      return 64;
    }
    await program.parseAsync([...words], { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 64;
    const error = toDaemonError(thrown);
    await reportFailure(context, error);
    if (error.code === "internal" && error.cause instanceof Error) {
      printLine(context.stderr, toTerminalText(error.cause.stack ?? error.cause.message, context.stderr));
    }
    return exitCodeOf(error);
  }
}
