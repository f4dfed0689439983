/** Code runs in every language there is, with its input, files and bounds. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { missing, requires } from "../support/requires.ts";
import { createTmpDir } from "../support/tmp-dir.ts";
import { executorIn, requestOf, resultOf } from "./executor.ts";

const HELLO: Record<string, string> = {
  bash: 'echo "hello $BASH_VERSION"',
  sh: "echo hello",
  javascript: "console.log('hello')",
  typescript: "const word: string = 'hello'; console.log(word satisfies string)",
  jsx: "console.log('hello')",
  tsx: "console.log('hello' as string)",
  python: "print('hel' + 'lo')",
  node: "console.log('hello')",
  ruby: "puts 'hello'",
  perl: 'print "hello\\n"',
  php: "<?php echo 'hello';",
  lua: "print('hello')",
  r: "cat('hello')",
};

requires("bubblewrap")("says hello in every language that the list names", async () => {
  await using directory = await createTmpDir();
  const executor = executorIn(directory.path);
  const languages = await executor.languages();
  expect(languages.map(({ id }) => id)).toContain("typescript");
  for (const { id } of languages) {
    const result = await resultOf(executor.run(requestOf(id, HELLO[id] ?? "")));
    expect({
      id,
      stdout: result.stdout.trim().split(" ")[0],
      exitCode: result.exitCode,
      stderr: result.stderr,
    }).toEqual({
      id,
      stdout: "hello",
      exitCode: 0,
      stderr: "",
    });
  }
  expect(readdirSync(directory.join("exec"))).toEqual([]);
});

requires("bubblewrap")("gives arguments, stdin and files, and tells exit code and both streams", async () => {
  await using directory = await createTmpDir();
  const result = await resultOf(
    executorIn(directory.path).run(
      requestOf("bash", 'cat; cat "data/in put.txt"; echo "[$1|$2]"; echo bad >&2; exit 3', {
        stdin: new TextEncoder().encode("from stdin\n"),
        args: ["--flag", "two words; $(id)"],
        files: [{ path: "data/in put.txt", content: new TextEncoder().encode("from file\n") }],
      }),
    ),
  );
  expect(result).toMatchObject({
    stdout: "from stdin\nfrom file\n[--flag|two words; $(id)]\n",
    stderr: "bad\n",
    exitCode: 3,
    signal: null,
    stdoutTruncated: false,
    limitHit: undefined,
  });
});

requires("bubblewrap")("imports from the workspace and leaves nothing of ours there", async () => {
  await using directory = await createTmpDir();
  await using workspace = await createTmpDir();
  await Bun.write(workspace.join("lib.ts"), "export const answer: number = 42;");
  await Bun.write(workspace.join("helper.py"), "answer = 43");
  const executor = executorIn(directory.path);
  const typescript = requestOf(
    "typescript",
    'import { answer } from "./lib"; await Bun.write("out.txt", String(answer))',
    {
      workspace: workspace.path,
    },
  );
  expect((await resultOf(executor.run(typescript))).exitCode).toBe(0);
  expect(await Bun.file(workspace.join("out.txt")).text()).toBe("42");
  const python = requestOf("python", "import helper; print(helper.answer)", { workspace: workspace.path });
  expect((await resultOf(executor.run(python))).stdout).toBe("43\n");
  expect(readdirSync(workspace.path).sort()).toEqual(["helper.py", "lib.ts", "out.txt"]);
});

requires("bubblewrap")("streams output while the program still runs", async () => {
  await using directory = await createTmpDir();
  await using workspace = await createTmpDir();
  const seen: string[] = [];
  // The program goes on only after its first line has been seen here.
  const code = "echo first; while [ ! -e go ]; do sleep 0.02; done; echo second";
  for await (const event of executorIn(directory.path).run(requestOf("sh", code, { workspace: workspace.path }))) {
    if (event.type === "stdout") seen.push(event.text);
    if (event.type === "stdout" && seen.length === 1) await Bun.write(workspace.join("go"), "");
  }
  expect(seen).toEqual(["first\n", "second\n"]);
});

requires("bubblewrap")("keeps a bounded beginning of the output, never half a character", async () => {
  await using directory = await createTmpDir();
  const limits = { ...requestOf("sh", "").limits, outputBytes: 1001 };
  const code = "import sys; sys.stdout.write('é' * 5000); sys.stderr.write('x' * 1001)";
  const result = await resultOf(executorIn(directory.path).run(requestOf("python", code, { limits })));
  expect(result.stdout).toBe("é".repeat(500));
  expect([result.stdoutTruncated, result.stderrTruncated]).toEqual([true, false]);
});

test("refuses a language it does not know or cannot find, naming those it has", async () => {
  await using directory = await createTmpDir();
  const executor = executorIn(directory.path);
  await expect(resultOf(executor.run(requestOf("cobol", "")))).rejects.toThrow(/Languages that run here: .*typescript/);
  const bare = executorIn(directory.path, { languages: { path: "/nowhere", home: "/", bun: process.execPath } });
  await expect(resultOf(bare.run(requestOf("python", "")))).rejects.toThrow(/python3 or python is not installed/);
});

test("refuses to run without a sandbox, saying how to get one", async () => {
  await using directory = await createTmpDir();
  const executor = executorIn(directory.path, { languages: { path: "/nowhere", home: "/", bun: process.execPath } });
  await expect(resultOf(executor.run(requestOf("javascript", "1")))).rejects.toThrow(/apt install bubblewrap/);
  expect(await executor.state()).toMatchObject({ sandbox: undefined, problem: expect.stringContaining("bubblewrap") });
});

test("runs without a sandbox where the config allows it", async () => {
  await using directory = await createTmpDir();
  const executor = executorIn(directory.path, {
    languages: { path: "/nowhere", home: "/", bun: process.execPath },
    allowUnsandboxed: true,
  });
  const result = await resultOf(executor.run(requestOf("javascript", "console.log(6 * 7)")));
  expect(result).toMatchObject({ stdout: "42\n", exitCode: 0 });
});

requires("bubblewrap")("refuses files that would leave the directory or replace what is there", async () => {
  await using directory = await createTmpDir();
  await using workspace = await createTmpDir();
  await Bun.write(workspace.join("mine.txt"), "mine");
  const executor = executorIn(directory.path);
  for (const path of ["../out", "/etc/out", "a/../../out", "", "x\0y", "mine.txt", "."]) {
    const files = [{ path, content: new TextEncoder().encode("theirs") }];
    await expect(
      resultOf(executor.run(requestOf("sh", "", { files, workspace: workspace.path }))),
    ).rejects.toMatchObject({
      code: "invalid_request",
    });
  }
  expect(readdirSync(workspace.path)).toEqual(["mine.txt"]);
});

test.skipIf(missing("bubblewrap") !== undefined)("tells what this machine can run, with versions", async () => {
  await using directory = await createTmpDir();
  const languages = await executorIn(directory.path).languages();
  const byId = new Map(languages.map((language) => [language.id, language]));
  expect(byId.get("javascript")).toEqual({ id: "javascript", aliases: ["js"], version: `Bun ${Bun.version}` });
  expect(byId.get("python")?.version).toMatch(/^Python 3\./);
});
