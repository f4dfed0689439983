import { expect, test } from "bun:test";
import { appendFileSync } from "node:fs";
import { lastLine } from "../../src/service/log-file.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

test("the last line of a long log, and of none", async () => {
  await using directory = await createTmpDir("log-");
  const path = directory.join("daemon.log");
  expect(lastLine(path)).toBeUndefined();
  await Bun.write(path, "");
  expect(lastLine(path)).toBeUndefined();
  appendFileSync(path, `${"x".repeat(10_000)}\nPort 8080 is taken\n`);
  expect(lastLine(path)).toBe("Port 8080 is taken");
});
