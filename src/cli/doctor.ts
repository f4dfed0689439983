/** `doctor`: what works, what does not, and the command that mends it. */
import type { Command } from "commander";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";

const MARKS = { ok: "ok   ", note: "note ", fault: "FAULT" } as const;

export function addDoctor(program: Command, context: CliContext, done: (code: number) => void): void {
  const { stdout } = context;
  program
    .command("doctor")
    .description("look for what is wrong, and name the command that mends it")
    .option("--json", "the findings as JSON")
    .action(async (options: { json?: boolean }) => {
      // Loaded only here: it knows half of the program.
      const { examine } = await import("./findings.ts");
      const findings = await examine(context);
      if (findings.some(({ state }) => state === "fault")) done(1);
      if (options.json) {
        printJson(stdout, { findings });
        return;
      }
      for (const { check, state, text, remedy } of findings) {
        printLine(stdout, toTerminalText(`${MARKS[state]}  ${check}: ${text}`, stdout));
        if (remedy !== undefined) printLine(stdout, toTerminalText(`       -> ${remedy}`, stdout));
      }
    });
}
