/** `/v1/code/execute` over real HTTP, on a real sandbox. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import type { Server } from "bun";
import { createCodeRoutes } from "../../../src/api/code/routes.ts";
import { DaemonError } from "../../../src/errors.ts";
import { createLogger } from "../../../src/log.ts";
import { executorIn } from "../../exec/executor.ts";
import { requires } from "../../support/requires.ts";
import { createTmpDir, type TmpDir } from "../../support/tmp-dir.ts";

let directory: TmpDir;
let server: Server<unknown>;

beforeAll(async () => {
  directory = await createTmpDir();
  mkdirSync(directory.join("workspace"));
  const app = createCodeRoutes({
    executor: executorIn(directory.path),
    rules: {
      defaultTimeoutMs: 10_000,
      maxTimeoutMs: 20_000,
      allowNetwork: false,
      limits: { memoryBytes: 2 ** 29, processes: 64, fileBytes: 2 ** 26, outputBytes: 65_536 },
    },
    resolveDirectory: async ({ workspace }) => {
      if (workspace === undefined) return undefined;
      if (workspace === directory.join("workspace")) return workspace;
      throw new DaemonError("forbidden", "outside of the roots");
    },
    log: createLogger({ level: "error", timestamps: false }),
    maxBodyBytes: 1024 * 1024,
    bodyTimeoutMs: 30_000,
    streamEnded: () => {},
  });
  server = Bun.serve({ port: 0, hostname: "127.0.0.1", idleTimeout: 0, fetch: (request) => app.handle(request) });
});

afterAll(async () => {
  await server.stop(true);
  await directory[Symbol.asyncDispose]();
});

const execute = (body: unknown) =>
  fetch(new URL("/v1/code/execute", server.url), { method: "POST", body: JSON.stringify(body) });

requires("bubblewrap")("runs code and answers with the whole execution", async () => {
  const response = await execute({
    language: "python",
    code: "import sys; print(sys.stdin.read() + sys.argv[1] + open('in.bin').read())",
    stdin: "a",
    args: ["b"],
    files: [{ path: "in.bin", content: btoa("c"), encoding: "base64" }],
  });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({
    object: "code.execution",
    id: expect.stringMatching(/^exe_/),
    language: "python",
    exit_code: 0,
    signal: null,
    stdout: "abc\n",
    stderr: "",
    stdout_truncated: false,
    stderr_truncated: false,
    duration_ms: expect.any(Number),
    timed_out: false,
    limit_hit: null,
    sandboxed: true,
    files_changed: null,
    blocked_paths: [],
  });
});

requires("bubblewrap")("says that the time was up", async () => {
  const answer = await (await execute({ language: "sh", code: "sleep 100", timeout_ms: 300 })).json();
  expect(answer).toMatchObject({ timed_out: true, limit_hit: "time", exit_code: null, signal: "SIGKILL" });
});

requires("bubblewrap")("streams events, the last with the whole execution", async () => {
  const response = await execute({ language: "sh", code: "echo out; echo err >&2; exit 7", stream: true });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const frames = (await response.text()).trim().split("\n\n");
  const events = frames.map((frame) => JSON.parse(frame.slice(frame.indexOf("data: ") + 6)));
  expect(frames.map((frame, index) => frame.startsWith(`event: ${events[index].type}\n`))).not.toContain(false);
  expect(events.map(({ type }) => type).sort()).toEqual([
    "execution.end",
    "execution.start",
    "execution.stderr",
    "execution.stdout",
  ]);
  expect(events.at(-1).execution).toMatchObject({ exit_code: 7, stdout: "out\n", stderr: "err\n" });
});

requires("bubblewrap")("lists what runs here", async () => {
  const list = (await (await fetch(new URL("/v1/code/execute", server.url))).json()) as { data: { id: string }[] };
  expect(list).toMatchObject({ object: "list", sandbox: "bubblewrap", problem: null });
  expect(list.data.map(({ id }) => id)).toContain("javascript");
});

const BAD: [string, Record<string, unknown>, number, string | null][] = [
  ["no code", { language: "sh" }, 400, "code"],
  ["an unknown field", { language: "sh", code: "", env: { A: "b" } }, 400, "env"],
  ["an unknown language", { language: "brainfuck", code: "" }, 400, "language"],
  ["too much time", { language: "sh", code: "", timeout_ms: 20_001 }, 400, "timeout_ms"],
  ["two places", { language: "sh", code: "", workspace: "/x", session_id: "ses_1" }, 400, "session_id"],
  ["a NUL in an argument", { language: "sh", code: "", args: ["a\0"] }, 400, "args[0]"],
  [
    "broken base64",
    { language: "sh", code: "", files: [{ path: "a", content: "%%", encoding: "base64" }] },
    400,
    "files[0].content",
  ],
  ["a file outside", { language: "sh", code: "", files: [{ path: "../a", content: "" }] }, 400, "files"],
  ["the network", { language: "sh", code: "", network: true }, 403, "network"],
  ["a directory outside of the roots", { language: "sh", code: "", workspace: "/etc" }, 403, null],
];

for (const [title, body, status, param] of BAD) {
  test(`refuses ${title}`, async () => {
    const response = await execute(body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { param, message: expect.any(String) } });
  });
}

test("answers other methods with 405", async () => {
  const response = await fetch(new URL("/v1/code/execute", server.url), { method: "DELETE" });
  expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, POST"]);
});
