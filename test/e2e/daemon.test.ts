/** The whole thing from source: the command line, the daemon, the real claude; only the model API is scripted. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AnthropicApi, startAnthropicApi } from "../support/anthropic-api.ts";
import { createGate, text, toolCall } from "../support/api-reply.ts";
import { CLAUDE_VERSION } from "../support/claude.ts";
import {
  descendantsOf,
  isAlive,
  type ProcessInfo,
  waitUntil,
  waitUntilNone,
  withMarker,
} from "../support/processes.ts";
import { requires } from "../support/requires.ts";
import { ROOT, type Running, runCommand, startFromSource } from "./from-source.ts";

const user = (content: string) => [{ role: "user", content }];
let api: AnthropicApi;
let daemon: Running;

beforeAll(async () => {
  api = startAnthropicApi();
  daemon = await startFromSource({ apiUrl: api.url });
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});

describe("a running daemon", () => {
  test("says how it is", async () => {
    const models = await fetch(`${daemon.url}/v1/models`);
    // On a busy machine health does not wait until claude has booted; the list of models does.
    await models.body?.cancel();
    const response = await fetch(`${daemon.url}/v1/health`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      status: "ok",
      claude: { version: CLAUDE_VERSION, logged_in: true },
      queue: { waiting: 0, limit: 64 },
    });
    const status = await runCommand(["status", "--json"], daemon.env, daemon.home.cwd);
    expect(status.code).toBe(0);
    expect(JSON.parse(status.out)).toMatchObject({ url: daemon.url, status: "ok" });
  });

  test("lists both kinds of model", async () => {
    const { data } = (await (await fetch(`${daemon.url}/v1/models`)).json()) as { data: { id: string }[] };
    const ids = data.map((model) => model.id);
    expect(ids).toContain("claude-code");
    expect(ids).toContain("sonnet");
  });

  test("carries out a chat turn, streamed", async () => {
    api.script(text(["Hel", "lo"]));
    const response = await daemon.post("/v1/chat/completions", { model: "sonnet", stream: true, messages: user("hi") });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const answer = await response.text();
    expect(answer).toContain('"content":"Hel"');
    expect(answer).toEndWith("data: [DONE]\n\n");
  });

  test("carries out an agent turn: the file is written and reported", async () => {
    const path = join(daemon.home.cwd, "made.txt");
    api.script(toolCall("Write", { file_path: path, content: "by the agent\n" }), text("Done."));
    const response = await daemon.post("/v1/chat/completions", { model: "claude-code", messages: user("make it") });
    expect(response.status).toBe(200);
    const answer = (await response.json()) as { claude_code: { files_changed: { path: string; status: string }[] } };
    expect(readFileSync(path, "utf8")).toBe("by the agent\n");
    expect(answer.claude_code.files_changed).toMatchObject([{ path: "made.txt", status: "added" }]);
  });

  test("chat on the command line", async () => {
    api.script(text("from the model"));
    const { code, out } = await runCommand(["chat", "-m", "sonnet", "hi"], daemon.env, daemon.home.cwd);
    expect(out).toBe("from the model\n");
    expect(code).toBe(0);
  });

  test("a foreign page reaches nothing until its origin is allowed, and then at once", async () => {
    const call = () =>
      daemon.post(
        "/v1/chat/completions",
        { model: "sonnet", messages: user("hi") },
        { headers: { "content-type": "application/json", origin: "http://localhost:5173" } },
      );
    const before = api.requests.length;
    expect((await call()).status).toBe(403);
    expect(api.requests.length).toBe(before);
    await runCommand(["origin", "allow", "http://localhost:5173"], daemon.env, daemon.home.cwd);
    expect((await call()).status).toBe(200);
  });

  test("a workspace outside is refused until it is added, and then works", async () => {
    const other = join(daemon.home.path, "other");
    mkdirSync(other);
    const ask = () =>
      daemon.post("/v1/chat/completions", {
        model: "claude-code",
        messages: user("hi"),
        claude_code: { workspace: other },
      });
    const refused = await ask();
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain("workspace add");
    await runCommand(["workspace", "add", other], daemon.env, daemon.home.cwd);
    expect((await ask()).status).toBe(200);
  });

  test("a second daemon is refused, and a taken port as well", async () => {
    const second = await runCommand(["start", "--port=0"], daemon.env, daemon.home.cwd);
    expect(second.code).toBe(75);
    expect(second.err).toContain(`process ${daemon.pid}`);
    const port = new URL(daemon.url).port;
    const env = { ...daemon.env, XDG_STATE_HOME: join(daemon.home.path, "another-state") };
    const taken = await runCommand(["start", `--port=${port}`], env, daemon.home.cwd);
    expect(taken.code).toBe(75);
    expect(taken.err.trim().split("\n")).toHaveLength(1);
    expect(taken.err).toContain(`Port ${port} is taken`);
    expect((await fetch(`${daemon.url}/health`)).status).toBe(200);
  });
});

describe("starting", () => {
  test("without a usable claude it stops with the remedy", async () => {
    const env = {
      ...daemon.env,
      CLAUDE_CODE_DAEMON_CLAUDE: "/bin/false",
      XDG_STATE_HOME: join(daemon.home.path, "s2"),
    };
    const { code, err } = await runCommand(["start", "--port=0"], env, daemon.home.cwd);
    expect(code).toBe(78);
    expect(err).toContain("npm install -g @anthropic-ai/claude-code");
  });

  test("bin/claude-code-daemon runs it from anywhere, and takes nothing from the directory it is started in", async () => {
    const hostile = join(daemon.home.path, "hostile");
    mkdirSync(hostile);
    writeFileSync(join(hostile, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
    writeFileSync(join(hostile, "evil.ts"), 'require("fs").writeFileSync("ran", "")\n');
    writeFileSync(join(hostile, ".env"), "CLAUDE_CODE_DAEMON_PORT=6666\n");
    const env = { ...daemon.env, PATH: `${join(process.execPath, "..")}:${daemon.env.PATH}` };
    const child = Bun.spawn([`${ROOT}bin/claude-code-daemon`, "config", "show"], {
      cwd: hostile,
      env,
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await child.stdout.text()).toMatch(/^port = 8080 +# default$/m);
    expect(await child.exited).toBe(0);
    expect(existsSync(join(hostile, "ran"))).toBe(false);
  });
});

describe("ending", () => {
  /** A daemon with a turn under way whose answer has begun and waits for the gate. */
  async function withRunningTurn(env: Record<string, string> = {}) {
    const ownApi = startAnthropicApi();
    const running = await startFromSource({ apiUrl: ownApi.url, env });
    const gate = createGate();
    ownApi.script(text(["begun ", gate, "ended"]));
    const response = await running.post("/v1/chat/completions", {
      model: "sonnet",
      stream: true,
      messages: user("go"),
    });
    const reader = response.body?.getReader();
    if (!reader) throw new Error("no body");
    const decoder = new TextDecoder();
    let received = "";
    const readUntil = async (wanted: string) => {
      while (!received.includes(wanted)) {
        const { done, value } = await reader.read();
        if (done) break;
        received += decoder.decode(value, { stream: true });
      }
    };
    await readUntil("begun");
    const rest = async () => {
      await readUntil("data: [DONE]");
      return received;
    };
    return { running, gate, rest, api: ownApi };
  }
  const linux = requires("linux");

  linux("SIGTERM lets the turn finish, then everything is gone and the exit code is 0", async () => {
    const { running, gate, rest, api: ownApi } = await withRunningTurn();
    await using _ = ownApi;
    const children = descendantsOf(running.pid).map(({ pid }) => pid);
    expect(children.length).toBeGreaterThan(0);
    running.kill("SIGTERM");
    await waitUntil("it says that it stops", () => running.stderr().includes("stopping"));
    gate.open();
    const answer = await rest();
    expect(answer).toContain("ended");
    expect(answer).toContain("data: [DONE]");
    expect(await running.exited).toBe(0);
    expect(children.filter(isAlive)).toEqual([]);
    expect(existsSync(join(running.home.path, ".local/state/claude-code-daemon/daemon.json"))).toBe(false);
    await running[Symbol.asyncDispose]();
  });

  linux("past the deadline the turn is interrupted", async () => {
    const { running, rest, api: ownApi } = await withRunningTurn({ CLAUDE_CODE_DAEMON_SHUTDOWN_TIMEOUT_SECONDS: "0" });
    await using _ = ownApi;
    running.kill("SIGTERM");
    expect(await rest()).not.toContain("ended");
    expect(await running.exited).toBe(0);
    await running[Symbol.asyncDispose]();
  });

  linux("a second signal ends it at once, and the reaper takes the rest", async () => {
    const { running, api: ownApi } = await withRunningTurn();
    await using _ = ownApi;
    const children = descendantsOf(running.pid);
    running.kill("SIGTERM");
    await waitUntil("it says that it stops", () => running.stderr().includes("stopping"));
    running.kill("SIGTERM");
    expect(await running.exited).toBe(143);
    await waitUntilNone(() => stillThere(children));
    await running[Symbol.asyncDispose]();
  });

  linux("killed with SIGKILL it leaves no claude two seconds later", async () => {
    const { running, api: ownApi } = await withRunningTurn();
    await using _ = ownApi;
    const children = descendantsOf(running.pid);
    expect(children.some(({ command }) => command.includes("claude"))).toBe(true);
    running.kill("SIGKILL");
    await running.exited;
    await waitUntilNone(
      () =>
        stillThere(children).filter(({ command }) => command.includes("claude -p") || command.includes("stream-json")),
      2_000,
    );
    await waitUntilNone(() => stillThere(children));
    await running[Symbol.asyncDispose]();
  });

  linux("SIGHUP, and a closed stdout and stderr, end nothing", async () => {
    const { running, gate, rest, api: ownApi } = await withRunningTurn();
    await using _ = ownApi;
    await running.closeOutput();
    running.kill("SIGHUP");
    running.kill("SIGPIPE");
    gate.open();
    expect(await rest()).toContain("ended");
    expect((await fetch(`${running.url}/health`)).status).toBe(200);
    running.kill("SIGTERM");
    expect(await running.exited).toBe(0);
    await running[Symbol.asyncDispose]();
  });
});

function stillThere(processes: readonly ProcessInfo[]): ProcessInfo[] {
  return processes.filter(({ pid }) => isAlive(pid));
}

requires("linux")("nothing of these tests is left", async () => {
  await waitUntilNone(() =>
    withMarker(`HOME=${daemon.home.path}`).filter(
      ({ pid }) => pid !== daemon.pid && !descendantsOf(daemon.pid).some((entry) => entry.pid === pid),
    ),
  );
});
