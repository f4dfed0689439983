/** `completion bash|zsh|fish`: prints the script that lets a shell complete these commands. */
import { Argument, type Command } from "commander";
import type { CliContext } from "./context.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

export function addCompletion(program: Command, context: CliContext): void {
  program
    .command("completion")
    .description("print the script that completes these commands with TAB in your shell")
    .addArgument(new Argument("<shell>", "your shell").choices(SHELLS))
    .action(async (shell: Shell) => {
      const { renderCompletion } = await import("./completion-scripts.ts");
      context.stdout.write(renderCompletion(program, shell));
    });
}
