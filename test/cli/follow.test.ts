/** `session show --follow` on a real daemon, and `logs -f` on an imitation of systemd: what they show and how they end. */
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { ROOT, startFromSource } from "../e2e/from-source.ts";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { text, toolCall } from "../support/api-reply.ts";
import { requires } from "../support/requires.ts";
import { createFakeSystemd } from "./fake-systemd.ts";

const COMMAND = [process.execPath, "--no-env-file", "--config=/dev/null", `${ROOT}src/main.ts`];
const MAX_WAIT_MS = 30_000;

/** A command as a process of its own, whose output is waited for. */
function start(words: string[], env: Record<string, string>) {
  const child = Bun.spawn([...COMMAND, ...words], { env, cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const tooLate = setTimeout(() => child.kill("SIGKILL"), MAX_WAIT_MS);
  const errors = child.stderr.text();
  let shown = "";
  const wanted: { part: string; resolve: () => void }[] = [];
  const told = () => {
    for (const one of wanted) if (shown.includes(one.part)) one.resolve();
  };
  const read = (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of child.stdout) {
      shown += decoder.decode(bytes, { stream: true });
      told();
    }
  })();
  return {
    /** Settles once it has printed this; rejects where it ends without. */
    shows: (part: string) =>
      new Promise<void>((resolve, reject) => {
        wanted.push({ part, resolve });
        told();
        read.then(async () => reject(new Error(`it ended without ${part}: ${shown}${await errors}`)), reject);
      }),
    interrupt: () => child.kill("SIGINT"),
    end: async () => {
      const code = await child.exited;
      clearTimeout(tooLate);
      await read;
      return { code, out: shown, err: await errors };
    },
  };
}

const json = async (response: Response) => (await response.json()) as { id: string };

test("session show --follow shows a turn as it comes, ends with Ctrl-C, and says so when the daemon stops", async () => {
  await using api = startAnthropicApi();
  await using daemon = await startFromSource({ apiUrl: api.url });
  api.script(toolCall("Write", { file_path: `${daemon.home.cwd}/new.txt`, content: "one\n" }), text("Done."));
  const { id } = await json(await daemon.post("/v1/code/session", { workspace: daemon.home.cwd }));

  const watching = start(["session", "show", id, "--follow"], daemon.env);
  const raw = start(["session", "show", id, "-f", "--json"], daemon.env);
  await Promise.all([watching.shows(`${id}: (no title)`), raw.shows(`"id":"${id}"`)]);
  await daemon.post(`/v1/code/session/${id}/turns`, { prompt: "Write new.txt" });
  await Promise.all([watching.shows("(end"), raw.shows('"code_response"')]);
  watching.interrupt();
  const { code, out, err } = await watching.end();
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toContain("#1  Write new.txt\n");
  expect(out).toContain(`· Write  ${daemon.home.cwd}/new.txt\n`);
  expect(out).toMatch(/\nDone\.\nadded: new\.txt \(\+1 -0\)\n\(end, \$\d+\.\d+\)\n$/);

  daemon.kill("SIGTERM");
  const ended = await raw.end();
  expect(ended.code).toBe(69);
  expect(ended.err).toContain("The daemon has stopped");
  for (const line of ended.out.trim().split("\n")) JSON.parse(line);
});

test("following ends by itself when the session is closed", async () => {
  await using api = startAnthropicApi();
  await using daemon = await startFromSource({ apiUrl: api.url });
  const { id } = await json(await daemon.post("/v1/code/session", { workspace: daemon.home.cwd }));
  const watching = start(["session", "show", id, "-f"], daemon.env);
  await watching.shows("(no title)");
  const stopping = start(["session", "stop", id, "--close"], daemon.env);
  expect((await stopping.end()).code).toBe(0);
  const { code, out } = await watching.end();
  expect(code).toBe(0);
  expect(out).toEndWith("The session was closed.\n");
  // A closed one has nothing to follow.
  expect((await start(["session", "show", id, "-f"], daemon.env).end()).code).toBe(0);
});

test("a command whose reader has left ends quietly", async () => {
  const left = Promise.withResolvers<void>();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async () => {
      await left.promise;
      return Response.json({ data: [{ id: "ses_1", title: "x" }] });
    },
  });
  const script = 'set -o pipefail; "$@" | { exec 0<&-; echo gone; }';
  const words = [...COMMAND, "session", "list", "--json", "--port", String(server.port)];
  const child = Bun.spawn(["bash", "-c", script, "bash", ...words], {
    ...{ env: { HOME: "/nowhere", PATH: "/usr/bin:/bin" }, cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
  const { value } = await child.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe("gone\n");
  left.resolve();
  expect([await child.exited, await child.stderr.text()]).toEqual([141, ""]);
  await server.stop(true);
});

requires("linux")("logs reads the service's journal, follows it, and Ctrl-C ends it cleanly", async () => {
  await using systemd = await createFakeSystemd({ active: true });
  for (const words of [["logs"], ["service", "logs"]]) {
    const { code, out } = await start([...words, "-n", "5"], systemd.env).end();
    expect(code).toBe(0);
    expect(out).toMatch(/^asked: .*-n 5 .*claude-code-daemon/);
  }
  const following = start(["logs", "-f"], systemd.env);
  await following.shows("msg=later");
  following.interrupt();
  const { code, out } = await following.end();
  expect(code).toBe(0);
  expect(out).toContain("-n 100");
});

requires("linux")("logs says when the daemon that runs is not the service", async () => {
  await using systemd = await createFakeSystemd({ active: false });
  const state = systemd.join(".local/state/claude-code-daemon");
  mkdirSync(state, { recursive: true });
  const info = { pid: process.pid, url: "http://127.0.0.1:1", startedAt: new Date().toISOString() };
  writeFileSync(`${state}/daemon.json`, JSON.stringify(info));
  const { err } = await start(["logs"], systemd.env).end();
  expect(err).toContain("the service is not installed");
  expect(err).toContain(`process ${process.pid}) is not the service's`);
});
