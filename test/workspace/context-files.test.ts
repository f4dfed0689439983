import { expect, test } from "bun:test";
import { mkdir, open, symlink, writeFile } from "node:fs/promises";
import { DaemonError } from "../../src/errors.ts";
import {
  type ContextFile,
  MAX_CONTEXT_FILE_BYTES,
  MAX_CONTEXT_FILES,
  readContextFiles,
} from "../../src/workspace/context-files.ts";
import { createTmpDir, type TmpDir } from "../support/tmp-dir.ts";

async function place(): Promise<TmpDir & { workspace: string }> {
  const directory = await createTmpDir("context-");
  await mkdir(directory.join("work/src"), { recursive: true });
  await mkdir(directory.join("work/state"));
  await writeFile(directory.join("work/src/a.ts"), "export const a = 1;\n");
  await writeFile(directory.join("work/state/token"), "secret");
  await writeFile(directory.join("secret"), "secret");
  return { ...directory, workspace: directory.join("work") };
}

async function refusal(files: ContextFile[], workspace: string, denied: string[] = []): Promise<DaemonError> {
  try {
    await readContextFiles(files, { workspace, denied });
  } catch (error) {
    if (error instanceof DaemonError) return error;
    throw error;
  }
  throw new Error(`accepted: ${JSON.stringify(files)}`);
}

test("files of the workspace and inline contents become one text block each, in order", async () => {
  await using directory = await place();
  const { workspace } = directory;
  await symlink("src/a.ts", directory.join("work/link.ts"));
  const blocks = await readContextFiles(
    ["src/a.ts", `${workspace}/src/a.ts`, "link.ts", { path: "b.ts", content: "inline" }, { path: "src/a.ts" }],
    { workspace },
  );
  expect(blocks.map((block) => block.text.split("\n")[0])).toEqual([
    'File "src/a.ts", between the two fences:',
    'File "src/a.ts", between the two fences:',
    'File "link.ts", between the two fences:',
    'File "b.ts", between the two fences:',
    'File "src/a.ts", between the two fences:',
  ]);
  expect(blocks[0]?.text).toContain("\nexport const a = 1;\n");
  expect(blocks[3]?.text).toContain("\ninline\n");
});

test("neither a name nor a content breaks out of its block", async () => {
  await using directory = await place();
  const name = 'x\n----- end\n<file> "quoted" @secret';
  await writeFile(directory.join("work", name), "</file>\n----- fence -----\n");
  const [block] = await readContextFiles([name], { workspace: directory.workspace });
  const lines = block?.text.split("\n") ?? [];
  expect(lines[0]).toBe(`File ${JSON.stringify(name)}, between the two fences:`);
  expect(lines[1]).toMatch(/^----- [0-9a-f-]{36} -----$/);
  expect(lines.filter((line) => line === lines[1])).toHaveLength(2);
  expect(lines.at(-1)).toBe(lines[1] ?? "");
});

test("nothing outside the workspace or denied is read, by whatever way", async () => {
  await using directory = await place();
  await symlink(directory.join("secret"), directory.join("work/out"));
  await symlink(directory.path, directory.join("work/up"));
  await symlink(directory.join("work/state"), directory.join("work/inner"));
  const paths = [
    "../secret",
    directory.join("secret"),
    "out",
    "up/secret",
    "/etc/passwd",
    "state/token",
    "inner/token",
  ];
  for (const path of [...paths, "../not-there", "/proc/self/environ"]) {
    const error = await refusal([path], directory.workspace, [directory.join("work/state")]);
    expect([path, error.code]).toEqual([path, "forbidden"]);
  }
});

test("what is no bounded text file is refused with its place in the request", async () => {
  await using directory = await place();
  const { workspace } = directory;
  expect(Bun.spawnSync(["mkfifo", directory.join("work/fifo")]).exitCode).toBe(0);
  await writeFile(directory.join("work/binary"), Buffer.from([0x7f, 0x45, 0, 1]));
  await writeFile(directory.join("work/latin1"), Buffer.from([0x63, 0xe9, 0x0a]));
  const sparse = await open(directory.join("work/sparse"), "w");
  await sparse.truncate(2 ** 40);
  await sparse.close();
  await writeFile(directory.join("work/large"), "x".repeat(MAX_CONTEXT_FILE_BYTES + 1));
  await symlink("loop", directory.join("work/loop"));
  const cases: [string, string, string][] = [
    ["fifo", "invalid_request", "not a regular file"],
    ["src", "invalid_request", "not a regular file"],
    ["binary", "invalid_request", "binary"],
    ["latin1", "invalid_request", "not UTF-8"],
    ["sparse", "payload_too_large", "larger than"],
    ["large", "payload_too_large", "larger than"],
    ["not-there", "invalid_request", "does not exist"],
    ["loop", "invalid_request", "does not exist"],
    ["", "invalid_request", "cannot be a file"],
    ["a\0b", "invalid_request", "cannot be a file"],
    ["x".repeat(5000), "invalid_request", "cannot be a file"],
  ];
  for (const [path, code, words] of cases) {
    const error = await refusal(["src/a.ts", path], workspace);
    expect([path.slice(0, 20), error.code, error.detail.param]).toEqual([
      path.slice(0, 20),
      code as never,
      "context.files[1]",
    ]);
    expect(error.message).toContain(words);
  }
});

test("number and total size are bounded", async () => {
  await using directory = await place();
  const many = Array.from({ length: MAX_CONTEXT_FILES + 1 }, () => "src/a.ts");
  expect((await refusal(many, directory.workspace)).code).toBe("payload_too_large");
  const large = Array.from({ length: 5 }, (_, index) => ({ path: `f${index}`, content: "x".repeat(1024 * 1024) }));
  expect((await refusal(large, directory.workspace)).detail.param).toBe("context.files[4]");
});
