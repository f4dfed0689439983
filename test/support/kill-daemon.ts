/**
 * `kill -9` of a real daemon (from source, on the real claude) at random moments of its turns, and what must be true
 * afterwards. The normal tests do it a few times, `bun test/support/kill-daemon.ts 100` as often as one likes.
 */
import { fileURLToPath } from "node:url";
import type { JsonObject } from "../../src/turn/message.ts";
import { connectSocket, type SocketClient } from "../api/code-harness.ts";
import { type AnthropicApi, startAnthropicApi } from "./anthropic-api.ts";
import { text } from "./api-reply.ts";
import { CLAUDE_PATH, type ClaudeHome, createClaudeHome } from "./claude.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export interface DaemonProcess {
  url: string;
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

/** Starts one; settles when it listens. */
export async function startDaemonProcess(home: ClaudeHome, api: AnthropicApi): Promise<DaemonProcess> {
  const child = Bun.spawn([process.execPath, MAIN, "start", "--port", "0", "--workspace", home.cwd], {
    cwd: home.cwd,
    env: { ...home.environment(api.url), PATH: `${CLAUDE_PATH.replace(/\/claude$/, "")}:${process.env.PATH ?? ""}` },
    stdout: "pipe",
    stderr: "ignore",
  });
  let said = "";
  for await (const chunk of child.stdout) {
    said += Buffer.from(chunk).toString();
    const url = /listens on (http:\/\/\S+)/.exec(said)?.[1];
    if (url === undefined) continue;
    return {
      url,
      kill: async (signal) => {
        child.kill(signal);
        await child.exited;
      },
    };
  }
  throw new Error(`the daemon did not start: ${said}`);
}

export interface KillReport {
  kills: number;
  finished: number;
  interrupted: number;
  problems: string[];
}

const TURNS_AT_ONCE = 3;
/** A turn of this many deltas gives some fifty frames; a kill falls somewhere into three of them. */
const DELTAS = 40;
const MAX_FRAMES_BEFORE_KILL = 150;

type Seen = Map<string, JsonObject>;

/** What the daemon says after the kill about everything that was ever finished; adds what is wrong to `problems`. */
async function check(url: string, sessionId: string, finished: Seen, report: KillReport): Promise<void> {
  const turns: JsonObject[] = [];
  let before = "";
  do {
    const page = (await (
      await fetch(`${url}/v1/code/session/${sessionId}/turns?limit=100${before}`)
    ).json()) as JsonObject;
    turns.push(...(page.data as JsonObject[]));
    before = typeof page.next === "string" ? `&before=${page.next}` : "";
  } while (before !== "");
  const byId = new Map(turns.map((turn) => [String(turn.id), turn]));
  for (const [id, response] of finished) {
    const turn = byId.get(id);
    if (turn?.status !== "completed" || turn.content !== response.content) {
      report.problems.push(`turn ${id} was finished and is ${JSON.stringify(turn?.status)} now`);
    }
  }
  for (const turn of turns) {
    if (turn.status === "running" || turn.status === "queued")
      report.problems.push(`${turn.id} is ${turn.status} still`);
  }
  report.interrupted = turns.filter((turn) => turn.status === "interrupted").length;
}

/** Every stored event, from the first on; checks that each is numbered once and each end told once. */
async function replay(url: string, sessionId: string, finished: Seen, report: KillReport): Promise<void> {
  const client = await connectSocket(`${url.replace("http", "ws")}/`);
  client.send({ type: "subscribe", session_id: sessionId, after: 0 });
  const subscribed = await client.frame((frame) => frame.type === "subscribed");
  const last = Number(subscribed.last_seq);
  if (last > 0) await client.frame((frame) => Number(frame.seq) >= last);
  await client.close();
  const events = client.frames.filter((frame) => typeof frame.seq === "number");
  const seqs = events.map((frame) => Number(frame.seq));
  if (seqs.some((seq, index) => index > 0 && seq <= Number(seqs[index - 1]))) report.problems.push("seqs do not rise");
  for (const [id, response] of finished) {
    const ends = events.filter((frame) => frame.turn_id === id && frame.type === "code_response");
    if (ends.length !== 1) report.problems.push(`the end of ${id} is told ${ends.length} times`);
    const deltas = events.filter((frame) => frame.turn_id === id && frame.type === "code_delta");
    if (deltas.map((frame) => frame.text).join("") !== response.content) report.problems.push(`text of ${id} differs`);
  }
}

/** Kills `count` daemons, one after the other, on one state. */
export async function killRepeatedly(count: number): Promise<KillReport> {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  const report: KillReport = { kills: 0, finished: 0, interrupted: 0, problems: [] };
  const finished: Seen = new Map();
  const answer = text(Array.from({ length: DELTAS }, (_, index) => `word ${index} `));
  api.always(answer);
  let sessionId: string | undefined;
  let daemon = await startDaemonProcess(home, api);
  try {
    while (report.kills < count) {
      const client: SocketClient = await connectSocket(`${daemon.url.replace("http", "ws")}/`);
      for (let turn = 0; turn < TURNS_AT_ONCE; turn++) {
        client.send({ type: "code_request", code: `turn ${turn}`, ...(sessionId ? { session_id: sessionId } : {}) });
      }
      const killAt = 1 + Math.floor(Math.random() * MAX_FRAMES_BEFORE_KILL);
      await client.frame((frame) => client.frames.indexOf(frame) >= killAt || allEnded(client));
      await daemon.kill("SIGKILL");
      report.kills++;
      await client.closed;
      for (const frame of client.frames) {
        if (frame.type === "code_accepted") sessionId = String(frame.session_id);
        if (frame.type === "code_response" && frame.stop_reason === "end") finished.set(String(frame.turn_id), frame);
      }
      daemon = await startDaemonProcess(home, api);
      if (sessionId === undefined) continue;
      await check(daemon.url, sessionId, finished, report);
      await replay(daemon.url, sessionId, finished, report);
    }
  } finally {
    await daemon.kill("SIGTERM");
  }
  report.finished = finished.size;
  return report;
}

function allEnded(client: SocketClient): boolean {
  return client.frames.filter((frame) => frame.type === "code_response").length >= TURNS_AT_ONCE;
}

if (import.meta.main) {
  const report = await killRepeatedly(Number(process.argv[2] ?? 100));
  await Bun.write(Bun.stdout, `${JSON.stringify(report, undefined, 2)}\n`);
  process.exit(report.problems.length === 0 ? 0 : 1);
}
