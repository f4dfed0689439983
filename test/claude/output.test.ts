/** A child's stdout, read from a real child. */
import { expect, test } from "bun:test";
import { ClaudeOutput } from "../../src/claude/output.ts";
import { waitUntil } from "../support/processes.ts";

function write(script: string, maxLineBytes = 1 << 20) {
  const child = Bun.spawn(["sh", "-c", script], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  const lines: string[] = [];
  const output = new ClaudeOutput({ stream: child.stdout, maxLineBytes, line: (text) => void lines.push(text) });
  return { output, lines, child };
}

const COUNT = 20_000;
const MANY = `i=0; while [ $i -lt ${COUNT} ]; do echo line $i; i=$((i+1)); done`;
const many = Array.from({ length: COUNT }, (_, index) => `line ${index}`);

test("lines come in order, and the end with what was no line", async () => {
  const { output, lines } = write("echo one; echo two; printf thr");
  expect(await output.done).toBe(3);
  expect(lines).toEqual(["one", "two"]);
});

test("what a fast writer writes comes whole", async () => {
  const { output, lines } = write(MANY);
  expect(await output.done).toBe(0);
  expect(lines).toEqual(many);
});

test("paused, the writer waits; resumed, everything comes, also from one that has exited", async () => {
  const { output, lines, child } = write(`echo begin; ${MANY}`);
  await waitUntil("the first line", () => lines.length > 0);
  output.pause();
  // A chunk may have been under way; then nothing comes, and the writer stands, its pipe full.
  let seen = -1;
  await waitUntil("nothing comes", () => {
    const before = seen;
    seen = lines.length;
    return before === seen;
  });
  expect(seen).toBeLessThan(COUNT);
  output.resume();
  expect(await output.done).toBe(0);
  expect(await child.exited).toBe(0);
  expect(lines).toEqual(["begin", ...many]);
});

test("a line beyond the bound fails, and its writer is not read any more", async () => {
  const { output, child } = write("yes | tr -d '\\n'", 1 << 16);
  await expect(output.done).rejects.toMatchObject({ code: "claude_failed" });
  // It meets a closed pipe.
  await child.exited;
});
