import { expect, test } from "bun:test";
import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { DaemonError } from "../../src/errors.ts";
import { isWithin, MAX_PATH_BYTES, resolveWorkspace, standsIn } from "../../src/workspace/resolve.ts";
import { createTmpDir, type TmpDir } from "../support/tmp-dir.ts";

async function refusal(path: string, roots: string[]): Promise<{ code: string; message: string }> {
  try {
    await resolveWorkspace(path, roots);
  } catch (error) {
    if (error instanceof DaemonError) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: "accepted", message: path };
}

async function place(): Promise<TmpDir> {
  const directory = await createTmpDir("workspace-");
  for (const name of ["root/inside/deep", "root-evil", "other", "root/..x"]) {
    await mkdir(directory.join(name), { recursive: true });
  }
  return directory;
}

test("a directory in a root is resolved to its real path", async () => {
  await using directory = await place();
  const root = directory.join("root");
  await symlink(directory.join("root/inside"), directory.join("root/link"));
  await symlink(root, directory.join("root-link"));
  expect(await resolveWorkspace(root, [root])).toBe(root);
  expect(await resolveWorkspace(`${root}/inside/`, [root])).toBe(directory.join("root/inside"));
  expect(await resolveWorkspace(`${root}/link/deep`, [root])).toBe(directory.join("root/inside/deep"));
  expect(await resolveWorkspace(directory.join("root-link/inside"), [root])).toBe(directory.join("root/inside"));
  expect(await resolveWorkspace(`${root}/inside`, [directory.join("root-link")])).toBe(directory.join("root/inside"));
  expect(await resolveWorkspace(`${root}/..x`, [root])).toBe(directory.join("root/..x"));
  expect(await resolveWorkspace(`${root}/inside/../inside`, [root])).toBe(directory.join("root/inside"));
  expect(await resolveWorkspace(`${root}/inside`, [directory.join("gone"), root])).toBe(directory.join("root/inside"));
});

test("whatever lies outside the roots is forbidden, and the answer names the remedy", async () => {
  await using directory = await place();
  const root = directory.join("root");
  await symlink(directory.join("other"), directory.join("root/out"));
  await symlink("../..", directory.join("root/inside/up"));
  const outside = [
    "/etc",
    "/",
    "/proc/self/root",
    directory.join("root-evil"),
    directory.join("other"),
    directory.path,
    `${root}/..`,
    `${root}/../other`,
    `${root}/out`,
    `${root}/inside/up/other`,
    "/dev/zero",
    directory.join("other/not-there"),
    `${root}/out/not-there`,
    `${root}/../not-there`,
  ];
  for (const path of outside) {
    const { code, message } = await refusal(path, [root]);
    expect([path, code]).toEqual([path, "forbidden"]);
    expect(message).toContain("workspace add");
    expect(message).not.toContain(directory.path);
  }
});

test("what is no usable directory is refused as such", async () => {
  await using directory = await place();
  const root = directory.join("root");
  await writeFile(directory.join("root/file"), "x");
  await symlink("loop", directory.join("root/loop"));
  expect(Bun.spawnSync(["mkfifo", directory.join("root/fifo")]).exitCode).toBe(0);
  const cases = {
    "": "empty",
    relative: "absolute",
    ".": "absolute",
    "..": "absolute",
    "~": "not expanded",
    "~/code": "not expanded",
    [`${root}/inside\0/etc`]: "control",
    [`${root}/inside\n`]: "control",
    [`/${"x".repeat(5000)}`]: String(MAX_PATH_BYTES),
    [`${root}/${"x".repeat(300)}`]: "does not exist",
    [`${root}/not-there`]: "does not exist",
    [`${root}/file/below`]: "does not exist",
    [`${root}/file`]: "not a directory",
    [`${root}/fifo`]: "not a directory",
    [`${root}/loop`]: "loop",
  };
  for (const [path, words] of Object.entries(cases)) {
    const { code, message } = await refusal(path, [root]);
    expect([path, code]).toEqual([path, "invalid_request"]);
    expect(message).toContain(words);
  }
});

test("without any root the answer says how to open one", async () => {
  await using directory = await place();
  for (const roots of [[], [directory.join("gone")]]) {
    const { code, message } = await refusal(directory.join("root"), roots);
    expect(code).toBe("invalid_request");
    expect(message).toContain("workspace add");
  }
});

test("a path is within itself and its parents, never within a sibling of the same prefix", () => {
  expect(isWithin("/a/b", "/a/b")).toBe(true);
  expect(isWithin("/a/b", "/a/b/c")).toBe(true);
  expect(isWithin("/a/b", "/a/b/..c")).toBe(true);
  expect(isWithin("/", "/a")).toBe(true);
  expect(isWithin("/a/b", "/a/bc")).toBe(false);
  expect(isWithin("/a/b", "/a")).toBe(false);
  expect(isWithin("/a/b", "/a/c")).toBe(false);
});

test("a directory swapped for a link after the check shows in where the process stands", async () => {
  await using directory = await place();
  const workspace = await resolveWorkspace(directory.join("root/inside"), [directory.join("root")]);
  const startIn = () => Bun.spawn(["sleep", "30"], { cwd: workspace, stdio: ["ignore", "ignore", "ignore"] });
  const honest = startIn();
  await rename(workspace, directory.join("root/moved"));
  await symlink(directory.join("other"), workspace);
  const swapped = startIn();
  if (process.platform === "linux") {
    expect(await standsIn(swapped.pid, workspace)).toBe(false);
    await rename(workspace, directory.join("link"));
    await rename(directory.join("root/moved"), workspace);
    expect(await standsIn(honest.pid, workspace)).toBe(true);
  }
  for (const child of [honest, swapped]) {
    child.kill("SIGKILL");
    await child.exited;
    expect(await standsIn(child.pid, workspace)).toBeUndefined();
  }
});
