/** A child's stdout by both ways of reading it: over a socket of ours, and where there is none by the runtime's stream. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { ClaudeOutput, type OutputSource } from "../../src/claude/output.ts";
import { closeDescriptor, openSocketPair } from "../../src/claude/socket-pair.ts";
import { waitUntil } from "../support/processes.ts";

interface Written {
  output: ClaudeOutput;
  lines: string[];
  child: { exited: Promise<number>; pid: number; kill(signal: "SIGKILL"): void };
}

type Kind = "socket" | "stream";

function write(kind: Kind, script: string, maxLineBytes = 1 << 20): Written {
  const pair = kind === "socket" ? openSocketPair() : undefined;
  if (kind === "socket" && !pair) throw new Error("no socket pair on this machine");
  const child = Bun.spawn(["sh", "-c", script], { stdin: "ignore", stdout: pair?.theirs ?? "pipe", stderr: "ignore" });
  if (pair) closeDescriptor(pair.theirs);
  const source: OutputSource = pair ? { fd: pair.ours } : { stream: child.stdout as ReadableStream<Uint8Array> };
  const lines: string[] = [];
  const output = new ClaudeOutput({ source, maxLineBytes, line: (text) => void lines.push(text) });
  return { output, lines, child };
}

const MANY = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done";

for (const kind of ["socket", "stream"] as const) {
  test(`${kind}: lines come in order, and the end with what was no line`, async () => {
    const { output, lines } = write(kind, "echo one; echo two; printf thr");
    expect(await output.done).toBe(3);
    expect(lines).toEqual(["one", "two"]);
  });

  test(`${kind}: what a fast writer writes comes whole`, async () => {
    const { output, lines } = write(kind, MANY);
    expect(await output.done).toBe(0);
    expect(lines).toEqual(Array.from({ length: 20_000 }, (_, index) => `line ${index}`));
  });

  test(`${kind}: paused, nothing comes and the writer waits; resumed, everything does, also from one that has exited`, async () => {
    const { output, lines, child } = write(kind, `echo begin; ${MANY}`);
    await waitUntil("the first line", () => lines.length > 0);
    output.pause();
    // A few chunks may have been under way; then the writer stands, its socket full.
    let seen = -1;
    await waitUntil("nothing comes", () => {
      const before = seen;
      seen = lines.length;
      return before === seen;
    });
    expect(seen).toBeLessThan(20_001);
    output.resume();
    await output.done;
    expect(await child.exited).toBe(0);
    expect(lines).toHaveLength(20_001);
  });

  test(`${kind}: what a writer left behind when it exited is read after the pause`, async () => {
    const { output, lines, child } = write(kind, "echo one; echo two");
    output.pause();
    await child.exited;
    output.resume();
    expect(await output.done).toBe(0);
    expect(lines).toEqual(["one", "two"]);
  });

  test(`${kind}: a line beyond the bound fails, and its writer is not read any more`, async () => {
    const { output, child } = write(kind, "yes | tr -d '\\n'", 1 << 16);
    await expect(output.done).rejects.toMatchObject({ code: "claude_failed" });
    // It meets a closed pipe.
    await child.exited;
  });
}

test("no descriptor is left behind", async () => {
  const count = () => readdirSync("/proc/self/fd").length;
  const before = count();
  for (let round = 0; round < 5; round++) {
    const { output, child } = write("socket", "echo one");
    await output.done;
    await child.exited;
  }
  await waitUntil("all are closed", () => count() <= before);
});
