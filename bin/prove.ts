/**
 * `bun bin/prove.ts BINARY`: lets an installed binary answer one real request and prints what happened; install.sh runs
 * it, from a release with that very binary as its Bun (BUN_BE_BUN). Through the user's own claude where that is logged in
 * (a chat of a few tokens), else through `demo` (the real claude on the stand-in: a file is really written). Own config and
 * state, removed afterwards. Exit code 0: it answered. `--listen-only`: it listens and answers /v1/health, which is all that
 * an emulated program can show.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Booting and one cold claude take about a second; this is for a machine that is busy with something else. */
const START_TIMEOUT_MS = Number(process.env.CLAUDE_CODE_DAEMON_PROOF_SECONDS || 30) * 1000;
const ANSWER_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 10_000;
/** Of the daemon's output, kept to show when it fails. */
const MAX_LOG_CHARS = 20_000;
const MODEL = "haiku";

interface Running extends AsyncDisposable {
  url: string;
  log(): string;
}

const say = (line: string) => process.stderr.write(`${line}\n`);

/** Starts `BINARY start|demo` on a free port; settles when it has printed its address. Stopped with its scope. */
async function run(binary: string, command: "start" | "demo", scratch: string): Promise<Running> {
  const workspace = join(scratch, command);
  mkdirSync(workspace);
  const { BUN_BE_BUN: _, ...environment } = process.env;
  const child = Bun.spawn([binary, command, "--port=0", `--workspace=${workspace}`], {
    cwd: workspace,
    env: { ...environment, XDG_STATE_HOME: join(scratch, "state"), XDG_CONFIG_HOME: join(scratch, "config") },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let log = "";
  const address = Promise.withResolvers<string>();
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      log = (log + decoder.decode(bytes, { stream: true })).slice(-MAX_LOG_CHARS);
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(log);
      if (found) address.resolve(found[0]);
    }
  };
  void Promise.all([read(child.stdout), read(child.stderr)]).finally(() => address.reject(new Error("it ended")));
  const stop = async () => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await child.exited;
    clearTimeout(late);
  };
  const tooLate = setTimeout(() => address.reject(new Error("it did not say where it listens")), START_TIMEOUT_MS);
  try {
    return { url: await address.promise, log: () => log, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw new Error(`\`${command}\` did not start: ${String(error)}\n${log}`);
  } finally {
    clearTimeout(tooLate);
  }
}

interface Completion {
  choices?: { message?: { content?: string } }[];
  claude_code?: { files_changed?: { path: string; status: string }[] };
  error?: { message?: string };
}

interface Health {
  version?: string;
  claude?: { logged_in?: boolean | null; version?: string | null; problem?: string };
}

/** One chat completion, not streamed. Throws with the daemon's own words. */
async function ask(url: string, model: string, content: string): Promise<Completion> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content }] }),
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
  });
  const completion = (await response.json()) as Completion;
  if (!response.ok) throw new Error(completion.error?.message ?? `HTTP ${response.status}`);
  return completion;
}

const textOf = (completion: Completion) => completion.choices?.[0]?.message?.content?.trim() ?? "";
const indented = (text: string) => text.replaceAll(/^/gm, "  ");

/** True when the user's own claude answered; false when it is not logged in or would not answer now. */
async function throughClaude(binary: string, scratch: string): Promise<boolean> {
  await using daemon = await run(binary, "start", scratch);
  // The list of models comes from claude itself: once it is there, claude has been asked who is logged in.
  const get = (path: string) => fetch(daemon.url + path, { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
  await get("/v1/models");
  const health = (await (await get("/v1/health")).json()) as Health;
  say(`The installed daemon ${health.version ?? ""} listens, with claude ${health.claude?.version ?? "(unknown)"}.`);
  if (health.claude?.problem !== undefined) say(health.claude.problem);
  if (health.claude?.logged_in === false) {
    say("So the proof goes through the demo's stand-in.");
    return false;
  }
  try {
    const completion = await ask(daemon.url, MODEL, "Answer with the one word: ready");
    if (textOf(completion) === "") throw new Error("the answer was empty");
    say(`Asked ${MODEL} through your claude; it answered: ${textOf(completion)}`);
    return true;
  } catch (error) {
    say(`Your claude did not answer (${error instanceof Error ? error.message : String(error)}).`);
    say("Whether that is the install or the account, the demo's stand-in shows.");
    return false;
  }
}

/** Throws unless it says how it is. */
async function throughHealth(binary: string, scratch: string): Promise<void> {
  await using daemon = await run(binary, "start", scratch);
  const response = await fetch(`${daemon.url}/v1/health`, { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
  const health = (await response.json()) as Health;
  if (health.version === undefined) throw new Error(`what listens is no claude-code-daemon\n${daemon.log()}`);
  say(`The installed daemon ${health.version} listens.`);
}

/** Throws unless an agent turn wrote its file. */
async function throughDemo(binary: string, scratch: string): Promise<void> {
  await using daemon = await run(binary, "demo", scratch);
  const completion = await ask(daemon.url, "claude-code", "Create the file hello.txt.");
  const written = existsSync(join(scratch, "demo", "hello.txt"));
  const changes = completion.claude_code?.files_changed ?? [];
  say("Asked claude-code (agent, on the stand-in) to create hello.txt; it answered:");
  say(indented(textOf(completion).split("\n")[0] ?? ""));
  say(`Files changed: ${changes.map((change) => `${change.path} (${change.status})`).join(", ") || "none reported"}`);
  if (!written) throw new Error(`hello.txt was not written\n${daemon.log()}`);
}

const [, , binary, flag] = process.argv;
if (binary === undefined) {
  say("Usage: bun bin/prove.ts BINARY");
  process.exit(64);
}
const scratch = mkdtempSync(join(tmpdir(), "claude-code-daemon-proof-"));
try {
  if (flag === "--listen-only") await throughHealth(binary, scratch);
  else if (!(await throughClaude(binary, scratch))) await throughDemo(binary, scratch);
  say("It works.");
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
