import { expect, test } from "bun:test";
import { chmod, mkdir, realpath, symlink } from "node:fs/promises";
import { relative } from "node:path";
import { compareVersions, featuresOf } from "../../src/claude/features.ts";
import { type LocateOptions, locateClaude, tryLocate } from "../../src/claude/locate.ts";
import { CLAUDE_FEATURES, CLAUDE_PATH, CLAUDE_VERSION } from "../support/claude.ts";
import { createTmpDir, type TmpDir } from "../support/tmp-dir.ts";

const ENVIRONMENT = { PATH: "/usr/bin:/bin", HOME: "/nonexistent" };
const base: LocateOptions = { path: undefined, home: undefined, environment: ENVIRONMENT };

async function put(directory: TmpDir, name: string, script: string, mode = 0o755): Promise<string> {
  const path = directory.join(name);
  await mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Bun.write(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, mode);
  return path;
}
const version = (number: string) => `echo "${number} (Claude Code)"`;

test("the real claude is found, resolved and asked", async () => {
  await using directory = await createTmpDir();
  await symlink(CLAUDE_PATH, directory.join("claude"));
  const found = await locateClaude({ ...base, path: `relative:.::${directory.path}` });
  expect(found.version).toBe(CLAUDE_VERSION);
  expect(found.path).toBe(await realpath(CLAUDE_PATH));
  expect(found.features).toEqual(CLAUDE_FEATURES);
});

test("PATH comes before the known places, newest first among nvm's; old ones are passed over", async () => {
  await using home = await createTmpDir();
  await put(home, "bin/claude", version("2.1.100"));
  await put(home, ".nvm/versions/node/v9.0.0/bin/claude", version("2.1.200"));
  const newest = await put(home, ".nvm/versions/node/v22.1.0/bin/claude", version("2.1.300"));
  const located = await tryLocate({ ...base, path: home.join("bin"), home: home.path });
  expect(located.found).toMatchObject({ path: newest, version: "2.1.300" });
  expect(located.rejected).toEqual([
    { path: home.join("bin/claude"), reason: "version 2.1.100, at least 2.1.126 is needed" },
  ]);
  const local = await put(home, ".local/bin/claude", version("2.1.126"));
  expect((await tryLocate({ ...base, path: "", home: home.path })).found?.path).toBe(local);
});

test("a relative or empty entry of PATH is not looked into: that would be whatever directory we happen to stand in", async () => {
  await using home = await createTmpDir();
  await put(home, "bin/claude", version("2.1.300"));
  const here = relative(process.cwd(), home.join("bin"));
  const located = await tryLocate({ ...base, path: `:.:${here}:`, home: home.path });
  expect(located).toMatchObject({ found: undefined, rejected: [] });
});

test("a shim that goes by its name is called by it", async () => {
  await using directory = await createTmpDir();
  const shim = await put(directory, "volta-shim", `case "$0" in */claude) ${version("2.1.330")};; *) exit 1;; esac`);
  await symlink(shim, directory.join("claude"));
  expect((await locateClaude({ ...base, path: directory.path })).path).toBe(directory.join("claude"));
});

test("what is configured is used or refused, never replaced, and the refusal says the remedy", async () => {
  await using directory = await createTmpDir();
  await put(directory, "good/claude", version("2.1.330"));
  const path = directory.join("good");
  const refusal = async (configured: string) =>
    String(
      await locateClaude({ ...base, path, configured, timeoutMs: 300 }).catch(
        (error) => `${error.code}: ${error.message}`,
      ),
    );
  expect(await refusal(directory.join("missing"))).toMatch(/^claude_missing: .*no such file.*npm install/);
  expect(await refusal("claude")).toMatch(/not an absolute path/);
  expect(await refusal(await put(directory, "old", version("2.1.125")))).toMatch(/too old .*2\.1\.126/);
  expect(await refusal(await put(directory, "other", "echo 2.1.330"))).toMatch(/--version/);
  expect(await refusal(await put(directory, "hangs", "exec sleep 60"))).toMatch(/--version/);
  expect(await refusal(await put(directory, "plain", "true", 0o644))).toMatch(/not executable/);
  expect(await refusal(await put(directory, "open", version("2.1.330"), 0o777))).toMatch(/writable by everybody/);
  await put(directory, "exposed/claude", version("2.1.330"));
  await chmod(directory.join("exposed"), 0o777);
  expect(await refusal(directory.join("exposed/claude"))).toMatch(/writable by everybody/);
});

test("versions compare by number", () => {
  expect(compareVersions("2.1.99", "2.1.126")).toBeLessThan(0);
  expect(compareVersions("2.1.126-beta.1", "2.1.126")).toBe(0);
  expect(compareVersions("3.0.0", "2.9.999")).toBeGreaterThan(0);
  expect([featuresOf("2.1.247").clientComposed, featuresOf("2.1.248").clientComposed]).toEqual([false, true]);
  // Where a mistake would cost the user a request, untried versions count as without it.
  const tried = ["2.1.329", "2.1.330", "2.1.332", "2.1.333"].map((version) => featuresOf(version).refusesByLimit);
  expect(tried).toEqual([false, true, true, false]);
});
