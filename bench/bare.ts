/**
 * claude without the daemon: one process driven over stream-json, and one `claude -p` for each request. Both are read as
 * leanly as can be (no line is parsed before it must be), so that they are hard to beat.
 */
import { toUserLine } from "../src/claude/user-line.ts";
import type { JsonObject } from "../src/turn/message.ts";
import type { Timing } from "./client.ts";

export interface Launch {
  argv: string[];
  cwd: string;
  env: Record<string, string>;
}

export type OneShot = Timing;

export interface Bare {
  pid: number;
  /** Settles when it answers. */
  booted(): Promise<void>;
  initialize(systemPrompt: string): Promise<void>;
  /** One turn; what must be said before the prompt goes out with it, in one write. */
  turn(prompt: string, before?: { systemPrompt?: string }): Promise<Timing>;
  /** Chunks of stdout as they come, until the next turn ends. */
  watch(chunk: (bytes: Uint8Array) => void): void;
  end(): Promise<void>;
}

const decoder = new TextDecoder();
const END = '"type":"result"';
const TEXT = '"text_delta"';

const control = (id: string, request: JsonObject): string =>
  `${JSON.stringify({ type: "control_request", request_id: id, request })}\n`;

export function startBare({ argv, cwd, env }: Launch): Bare {
  const child = Bun.spawn(argv, { cwd, env, stdin: "pipe", stdout: "pipe", stderr: "ignore" });
  let seen: (chunk: Buffer) => void = () => undefined;
  let raw: ((bytes: Uint8Array) => void) | undefined;
  let requests = 0;

  void (async () => {
    for await (const chunk of child.stdout) {
      raw?.(chunk);
      seen(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    }
  })();

  const write = (text: string) => {
    child.stdin.write(text);
    void child.stdin.flush();
  };
  /** In order, each at its time. Bytes are searched, not decoded; claude writes whole lines, so no chunk splits one. */
  const waitFor = (...markers: string[]) => {
    const { promise, resolve } = Promise.withResolvers<number[]>();
    const times: number[] = [];
    seen = (chunk) => {
      while (times.length < markers.length && chunk.includes(markers[times.length] ?? ""))
        times.push(performance.now());
      if (times.length === markers.length) resolve(times);
    };
    return promise;
  };
  const ask = async (request: JsonObject) => {
    const id = `bench-${++requests}`;
    const answered = waitFor(`"request_id":"${id}"`);
    write(control(id, request));
    await answered;
  };

  return {
    pid: child.pid,
    booted: () => ask({ subtype: "apply_flag_settings", settings: {} }),
    initialize: (systemPrompt) => ask({ subtype: "initialize", systemPrompt: [systemPrompt] }),
    turn: async (prompt, before = {}) => {
      const content = [{ type: "text" as const, text: prompt }];
      const features = { clientComposed: true, deniesLinkedMentions: true };
      const user = toUserLine(content, { uuid: crypto.randomUUID(), verbatim: true, features });
      let text = "";
      const { systemPrompt } = before;
      if (systemPrompt !== undefined) {
        text += control(`bench-${++requests}`, { subtype: "initialize", systemPrompt: [systemPrompt] });
      }
      const times = waitFor(TEXT, END);
      const start = performance.now();
      write(`${text}${JSON.stringify(user)}\n`);
      const [first = Number.NaN, total = Number.NaN] = await times;
      return { firstMs: first - start, totalMs: total - start };
    },
    watch: (chunk) => {
      raw = chunk;
    },
    end: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** `claude -p PROMPT`, from exec to its first text and to its exit. */
export async function oneShot({ argv, cwd, env }: Launch, prompt: string): Promise<OneShot> {
  // The prompt is an argument here: stream-json is for the output alone.
  const flags = argv.filter((flag) => flag !== "--input-format=stream-json" && flag !== "-p");
  const start = performance.now();
  const [path = "", ...rest] = flags;
  const child = Bun.spawn([path, "-p", ...rest, "--", prompt], {
    cwd,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
  let firstMs = Number.NaN;
  let tail = "";
  for await (const chunk of child.stdout) {
    const text = tail + decoder.decode(chunk);
    if (Number.isNaN(firstMs) && text.includes(TEXT)) firstMs = performance.now() - start;
    tail = text.slice(-64);
  }
  await child.exited;
  if (Number.isNaN(firstMs)) throw new Error(`claude -p gave no text (exit ${child.exitCode})`);
  return { firstMs, totalMs: performance.now() - start };
}
