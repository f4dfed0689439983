/** `doctor`: what works, what does not, and the command that mends it. */
import type { Command } from "commander";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";
import { styleOf } from "./style.ts";
import { counted } from "./words.ts";

export function addDoctor(program: Command, context: CliContext, done: (code: number) => void): void {
  const { stdout } = context;
  program
    .command("doctor")
    .description("look for what is wrong, and name the command that mends it")
    .option("--json", "as JSON: findings, each with check, state (ok, note, fault), text and remedy")
    .action(async (options: { json?: boolean }) => {
      // Loaded only here: it knows half of the program.
      const { examine } = await import("./findings.ts");
      const findings = await examine(context);
      const faults = findings.filter(({ state }) => state === "fault").length;
      if (faults > 0) done(1);
      if (options.json) {
        printJson(stdout, { findings });
        return;
      }
      const style = styleOf(stdout, context);
      const marks = { ok: style.good("ok   "), note: style.warning("note "), fault: style.bad("FAULT") };
      const say = (text: string) => toTerminalText(text, stdout);
      for (const { check, state, text, remedy } of findings) {
        printLine(stdout, `${marks[state]}  ${style.bold(check)}: ${say(text)}`);
        if (remedy !== undefined) printLine(stdout, `       -> ${say(remedy)}`);
      }
      printLine(stdout, faults === 0 ? "Nothing is wrong." : `${counted(faults, "fault")}.`);
    });
}
