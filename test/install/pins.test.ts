/** Literals that must move together: install.sh's Bun, the types it is checked against, the registry's checksums. */
import { expect, test } from "bun:test";
import { BUN_VERSION, TARGETS } from "../../bin/release/targets.ts";

const root = new URL("../../", import.meta.url).pathname;
const installer = await Bun.file(`${root}install.sh`).text();

test("the Bun that install.sh fetches is the one whose types the code is checked with, and the one running the tests", async () => {
  const manifest: { devDependencies: Record<string, string> } = await Bun.file(`${root}package.json`).json();
  const pinned = /^BUN_VERSION=(\S+)$/m.exec(installer)?.[1];
  expect(pinned).toBe(manifest.devDependencies["bun-types"]);
  expect(pinned).toBe(Bun.version);
  expect(pinned).toBe(BUN_VERSION);
});

test("every supported platform has a sha512 of its own", () => {
  const hashes = new Map([...installer.matchAll(/^ {4}(\S+)\) echo ([0-9a-f]{128}) ;;$/gm)].map((m) => [m[1], m[2]]));
  expect([...hashes.keys()].sort()).toEqual([
    "darwin-aarch64",
    "darwin-x64",
    "linux-aarch64",
    "linux-aarch64-musl",
    "linux-x64",
    "linux-x64-musl",
  ]);
  expect(new Set(hashes.values()).size).toBe(6);
});

test("install.sh and the release pin the same checksums, each in its own form", () => {
  for (const { runtime, integrity } of TARGETS.filter((target) => !target.name.endsWith("-baseline"))) {
    const hex = Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex");
    expect(installer).toContain(`    ${runtime}) echo ${hex} ;;`);
  }
  expect(new Set(TARGETS.map((target) => target.integrity)).size).toBe(TARGETS.length);
});

test("the lock file names no registry", async () => {
  expect(await Bun.file(`${root}bun.lock`).text()).not.toMatch(/https?:\/\//);
});

test("docs/dependencies.md names every dependency with its pinned version", async () => {
  const manifest: Record<"dependencies" | "devDependencies", Record<string, string>> = await Bun.file(
    `${root}package.json`,
  ).json();
  const rows = [...(await Bun.file(`${root}docs/dependencies.md`).text()).matchAll(/^\| `([^`]+)` +\| (\S+) +\|/gm)];
  const documented = Object.fromEntries(rows.map((row) => [row[1], row[2]]));
  expect(documented).toEqual({ ...manifest.dependencies, ...manifest.devDependencies });
});

test("one claude version: the tests', install.sh's and the image's", async () => {
  const manifest: { devDependencies: Record<string, string> } = await Bun.file(`${root}package.json`).json();
  const version = manifest.devDependencies["@anthropic-ai/claude-code"];
  expect(/^CLAUDE_VERSION=(\S+)$/m.exec(installer)?.[1]).toBe(version);
  const image = await Bun.file(`${root}Dockerfile`).text();
  expect(/@anthropic-ai\/claude-code@(\S+)/.exec(image)?.[1]).toBe(version);
});
