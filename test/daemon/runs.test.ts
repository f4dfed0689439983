/** A stopping daemon and code that runs: it gets the time that turns get, and then a word, not a cut connection. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { createRuns } from "../../src/daemon/runs.ts";
import { executorIn, requestOf } from "../exec/executor.ts";
import { createTmpDir } from "../support/tmp-dir.ts";
import { scriptedEngine, startTestDaemon } from "./harness.ts";

/** Says that it goes on, and when a file is there that it is done. */
const CODE = "echo begun; while [ ! -e go ]; do sleep 0.02; echo tick; done; echo finished";

/** The drain is over. */
let engineClosed = false;

async function startRun(options: { shutdownSeconds: number; stream: boolean }) {
  engineClosed = false;
  const workspace = await createTmpDir("run-");
  const server = await startTestDaemon({
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      CLAUDE_CODE_DAEMON_EXEC_ALLOW_UNSANDBOXED: "true",
      CLAUDE_CODE_DAEMON_SHUTDOWN_TIMEOUT_SECONDS: String(options.shutdownSeconds),
    },
    engine: async (runner) =>
      scriptedEngine(runner, {
        resolveWorkspace: async () => workspace.path,
        close: async () => {
          engineClosed = true;
        },
      }),
  });
  const code = options.stream ? CODE : `touch here; ${CODE}`;
  const answer = fetch(`${server.daemon.url}/v1/code/execute`, {
    method: "POST",
    body: JSON.stringify({ language: "sh", code, workspace: workspace.path, stream: options.stream }),
  });
  return { workspace, server, answer };
}

function reading(response: Response) {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let seen = "";
  const more = async () => {
    const step = await reader?.read();
    seen += decoder.decode(step?.value);
    return step?.done === false;
  };
  return {
    until: async (word: string, times: number) => {
      while (seen.split(word).length <= times && (await more()));
    },
    rest: async () => {
      while (await more());
      return seen;
    },
  };
}

describe("a streamed run while the daemon stops", () => {
  test("is finished", async () => {
    const { workspace, server, answer } = await startRun({ shutdownSeconds: 60, stream: true });
    const stream = reading(await answer);
    await stream.until("begun", 1);
    const stopped = server.daemon.stop();
    await stream.until("tick", 20);
    expect(engineClosed).toBe(false);
    writeFileSync(workspace.join("go"), "");
    const text = await stream.rest();
    expect(text).toContain("finished");
    expect(text).toContain("event: execution.end");
    await stopped;
    await server[Symbol.asyncDispose]();
    await workspace[Symbol.asyncDispose]();
  });

  test("is ended at the deadline, with an error in the stream that says so", async () => {
    const { workspace, server, answer } = await startRun({ shutdownSeconds: 0, stream: true });
    const stream = reading(await answer);
    await stream.until("begun", 1);
    await server.daemon.stop();
    const text = await stream.rest();
    const error = /event: error\ndata: (.*)\n\n$/.exec(text)?.[1] ?? "null";
    expect(JSON.parse(error)).toMatchObject({
      error: { code: "interrupted", message: expect.stringContaining("The daemon was stopped") },
    });
    expect(text).not.toContain("finished");
    await server[Symbol.asyncDispose]();
    await workspace[Symbol.asyncDispose]();
  });
});

test("a run that nobody streams is answered with the same error", async () => {
  const { workspace, server, answer } = await startRun({ shutdownSeconds: 0, stream: false });
  while (!(await Bun.file(workspace.join("here")).exists())) await Bun.sleep(5);
  await server.daemon.stop();
  const response = await answer;
  expect(response.status).toBe(499);
  expect(response.headers.get("x-should-retry")).toBe("false");
  expect(await response.text()).toContain("The daemon was stopped while this code ran");
  await server[Symbol.asyncDispose]();
  await workspace[Symbol.asyncDispose]();
});

test("no run begins once the daemon stops", async () => {
  const runs = createRuns({
    ...executorIn("/nowhere"),
    run: async function* () {
      yield { type: "stdout", text: "ran" } as const;
    },
  });
  const request = requestOf("sh", "true");
  expect(await Array.fromAsync(runs.executor.run(request))).toHaveLength(1);
  runs.drain();
  const late = Array.fromAsync(runs.executor.run(request));
  await expect(late).rejects.toMatchObject({ code: "overloaded", detail: { retryAfterSeconds: 5 } });
  expect(runs.running()).toBe(0);
});
