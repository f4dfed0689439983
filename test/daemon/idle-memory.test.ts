/** What an idle daemon gives back, and when. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { codeMappings, releaseCode, releaseWhenIdle } from "../../src/daemon/idle-memory.ts";
import { quietLogger } from "../claude/harness.ts";
import { waitUntil } from "../support/processes.ts";

const ENTRY = (flags: string, path: string, anonymousKb: number) =>
  `01a40000-0684a000 ${flags} 01838000 fe:00 77        ${path}
Size:              79912 kB
Rss:               36000 kB
Anonymous:         ${String(anonymousKb).padStart(5)} kB
VmFlags: rd ex mr mw me
`;

test("only unchanged code of the program itself is given back", () => {
  const smaps = [
    ENTRY("r--p", "/bin/daemon", 0),
    ENTRY("r-xp", "/bin/daemon", 0),
    ENTRY("r-xp", "/bin/daemon", 4),
    ENTRY("r-xp", "/usr/lib/libc.so.6", 0),
    ENTRY("rwxp", "", 0),
  ].join("");
  expect(codeMappings(smaps, "/bin/daemon")).toEqual([
    { address: 0x01a40000, bytes: 0x0684a000 - 0x01a40000, residentKb: 36000 },
  ]);
});

test.skipIf(process.platform !== "linux")("code that is given back leaves memory and still runs", async () => {
  const resident = () =>
    codeMappings(readFileSync("/proc/self/smaps", "latin1"), process.execPath).reduce(
      (sum, one) => sum + one.residentKb,
      0,
    );
  const before = resident();
  expect(await releaseCode()).toBeGreaterThan(10_000);
  expect(resident()).toBeLessThan(before / 2);
  expect(JSON.parse(JSON.stringify({ still: [1, 2, 3].map((one) => one * 2) }))).toEqual({ still: [2, 4, 6] });
});

test("it is given back once in each pause, and not while there is work", async () => {
  let looks = 0;
  let released = 0;
  // Busy until the fifth look, idle until the tenth, busy once, idle again.
  const stop = releaseWhenIdle({
    cpuMs: () => {
      looks++;
      return looks <= 5 || looks === 15 ? looks * 1000 : looks < 15 ? 5000 : 15_000;
    },
    release: async () => {
      released++;
      if (released === 1) expect(looks).toBe(7);
      return 1;
    },
    log: quietLogger,
    everyMs: 1,
  });
  await waitUntil("many looks", () => looks > 30);
  stop();
  expect(released).toBe(2);
});
