import { expect, test } from "bun:test";
import { carries, listMarked, stillAlive } from "../../src/claude/descendants.ts";

test("a marker is one whole entry, never a part of one", () => {
  expect(carries("A=1\0MARK=x\0B=2\0", "MARK", "x")).toBe(true);
  expect(carries("MARK=x\0", "MARK", "x")).toBe(true);
  for (const other of ["", "A=1\0", "MARK=xy\0", "AMARK=x\0", "A=MARK=x\0", "MARK=x", "MARK=\0"])
    expect(carries(other, "MARK", "x"), other).toBe(false);
});

test("what everybody's environment may hold marks nobody", async () => {
  expect(await listMarked("HOME", process.env.HOME ?? "/")).toEqual([]);
  expect(await listMarked("CLAUDE_CODE_DAEMON_PROCESS", "")).toEqual([]);
});

test("a marker that is our own marks nobody", async () => {
  const value = crypto.randomUUID();
  const script = `import { listMarked } from ${JSON.stringify(`${import.meta.dir}/../../src/claude/descendants.ts`)};
    const child = Bun.spawn(["sleep", "300"], { stdin: "ignore" });
    console.log((await listMarked("MARK", ${JSON.stringify(value)})).length);
    child.kill("SIGKILL"); await child.exited;`;
  const marked = Bun.spawn([process.execPath, "-e", script], { env: { MARK: value }, stdout: "pipe" });
  expect((await marked.stdout.text()).trim()).toBe("0");
});

test("a pid that belongs to another process by now is not the process it was", async () => {
  expect(await stillAlive([{ pid: process.pid, startedAt: "1" }])).toEqual([]);
});
