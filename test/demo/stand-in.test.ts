/** The real `claude` against the stand-in: what `demo` promises. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type StandIn, standInEnvironment, startStandIn } from "../../src/demo/stand-in.ts";
import type { JsonObject } from "../../src/turn/message.ts";
import { CLAUDE_PATH } from "../support/claude.ts";
import { createTmpDir } from "../support/tmp-dir.ts";

const LABEL = "[stand-in of claude-code-daemon, not Claude]";

let standIn: StandIn;
beforeAll(() => {
  standIn = startStandIn();
});
afterAll(() => standIn.close());

interface Run {
  exitCode: number;
  result: JsonObject;
  file(name: string): Promise<string>;
}

/** One `claude -p` run in a fresh home and directory. */
async function runClaude(prompt: string, flags: string[], files: Record<string, string> = {}): Promise<Run> {
  await using directory = await createTmpDir("stand-in-");
  const work = directory.join("work");
  for (const [name, content] of Object.entries({ ".keep": "", ...files })) await Bun.write(`${work}/${name}`, content);
  const base = { ...process.env, TMPDIR: directory.path, ANTHROPIC_AUTH_TOKEN: "the user's own" };
  const child = Bun.spawn([CLAUDE_PATH, "-p", "--output-format=json", ...flags], {
    cwd: work,
    env: standInEnvironment(base, { url: standIn.url, home: directory.join("home") }),
    stdin: new Response(prompt),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (stdout === "") throw new Error(`claude said nothing: ${stderr}`);
  const contents = new Map<string, string>();
  for (const name of new Bun.Glob("**/*").scanSync(work)) contents.set(name, await Bun.file(`${work}/${name}`).text());
  return { exitCode, result: JSON.parse(stdout), file: async (name) => contents.get(name) ?? "" };
}

test("a chat is answered, labelled as the stand-in's", async () => {
  const run = await runClaude("hello there", ["--tools="]);
  expect(run.exitCode).toBe(0);
  expect(run.result).toMatchObject({ is_error: false, num_turns: 1 });
  expect(run.result.result).toStartWith(LABEL);
  expect(run.result.result).toContain("You said: hello there");
});

test("an agent writes the file that the prompt names, through claude's own Write tool", async () => {
  const run = await runClaude("Please create notes/hello.txt with a greeting.", ["--permission-mode=acceptEdits"]);
  expect(run.result).toMatchObject({ is_error: false, permission_denials: [] });
  expect(await run.file("notes/hello.txt")).toStartWith(LABEL);
  expect(await run.file("notes/hello.txt")).toContain("Please create notes/hello.txt with a greeting.");
  expect(run.result.result).toContain("The tool Write answered");
});

test("a file that is there already is read and then replaced", async () => {
  const run = await runClaude("change a.txt", ["--permission-mode=acceptEdits"], { "a.txt": "before\n" });
  expect(run.result.is_error).toBe(false);
  expect(await run.file("a.txt")).toStartWith(LABEL);
});

test("a path that leads out of the directory is not followed", async () => {
  const run = await runClaude("write ../../outside.txt", ["--permission-mode=acceptEdits"]);
  expect(run.result.permission_denials).toEqual([]);
  expect((await run.file("outside.txt")) + (await run.file("stand-in.md"))).toStartWith(LABEL);
});

test("a refused tool is reported, and the turn ends", async () => {
  const run = await runClaude("write a.txt", ["--permission-mode=dontAsk"]);
  expect(run.result.is_error).toBe(false);
  expect(await run.file("a.txt")).toBe("");
  expect(run.result.result).toContain("The tool Write failed");
});

test("a structured answer fits the schema", async () => {
  const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
  const run = await runClaude("who are you", ["--tools=", `--json-schema=${JSON.stringify(schema)}`]);
  expect(run.result.structured_output).toEqual({ name: "stand-in" });
});

test("nothing that could send claude to a real provider, login or proxy gets through", () => {
  const redirecting = [
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_CUSTOM_HEADERS",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CONFIG_DIR",
    "AWS_PROFILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
  ];
  const base = { ...Object.fromEntries(redirecting.map((name) => [name, "real"])), PATH: "/bin", HOME: "/home/me" };
  const environment = standInEnvironment(base, { url: "http://127.0.0.1:1", home: "/tmp/own" });
  expect(Object.values(environment)).not.toContain("real");
  expect(environment).toMatchObject({ PATH: "/bin", HOME: "/tmp/own", ANTHROPIC_BASE_URL: "http://127.0.0.1:1" });
});
