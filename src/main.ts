/** The entry point, compiled or from source. */

import { runCli } from "./cli/program.ts";
import { readHostFacts } from "./config/environment.ts";

/** Largest prompt taken from stdin. */
const MAX_STDIN_BYTES = 64 * 1024 * 1024;

async function readStdin(): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of Bun.stdin.stream()) {
    length += part.byteLength;
    if (length > MAX_STDIN_BYTES) break;
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

const words = process.argv.slice(2);
/** A daemon outlives whoever read its output (`daemon/signals.ts`); for every other command nobody is left to work for. */
const DAEMONS = ["start", "demo"];
/** As a shell shows the death by SIGPIPE. */
const READER_GONE_EXIT = 141;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  if (!DAEMONS.includes(words[0] ?? "")) process.exit(READER_GONE_EXIT);
});

const code = await runCli(words, {
  facts: readHostFacts(),
  stdout: { isTerminal: process.stdout.isTTY === true, write: (text) => void process.stdout.write(text) },
  stderr: { isTerminal: process.stderr.isTTY === true, write: (text) => void process.stderr.write(text) },
  stdinIsTerminal: process.stdin.isTTY === true,
  readStdin,
  name: "claude-code-daemon",
});
// Not `exit`: what is still on its way to a pipe must arrive.
process.exitCode = code;
