/** A `TurnRunner` that plays a script, for tests of what stands in front of it. */

import { DEFAULT_FORMAT_LIMITS, type FormatDeps, type FormatLimits } from "../../src/api/shared/format.ts";
import { DaemonError } from "../../src/errors.ts";
import { createLogger } from "../../src/log.ts";
import type { TurnEnd, TurnEvent, Usage } from "../../src/turn/events.ts";
import type { ModelCatalog, ModelEntry } from "../../src/turn/models.ts";
import type { TurnRequest } from "../../src/turn/request.ts";
import type { TurnRunner } from "../../src/turn/runner.ts";

/** An event, a failure, or something to wait for. */
export type Step = TurnEvent | Error | { until: Promise<unknown> };
export type Script = (request: TurnRequest) => Iterable<Step> | AsyncIterable<Step>;

export interface ScriptedRunner {
  run: TurnRunner;
  /** What to play next; the same script until another is set. */
  play(script: Script): void;
  requests: TurnRequest[];
  /** Settles when the next turn has left its last step, by whatever way. */
  nextEnd(): Promise<TurnRequest>;
}

export const USAGE: Usage = { inputTokens: 12, outputTokens: 7, cacheReadTokens: 5, cacheWriteTokens: 2 };

export function turnStart(fields: Partial<Extract<TurnEvent, { type: "turn-start" }>> = {}): TurnEvent {
  return { type: "turn-start", turnId: "trn_1", sessionId: undefined, model: "haiku", ignored: [], ...fields };
}

export const modelStart: TurnEvent = {
  type: "model-start",
  model: "claude-haiku",
  usage: { inputTokens: 12, outputTokens: 0, cacheReadTokens: 5, cacheWriteTokens: 2 },
};

export function turnEnd(fields: Partial<TurnEnd> = {}): TurnEnd {
  return {
    type: "turn-end",
    reason: { unified: "end", raw: "end_turn" },
    usage: USAGE,
    costUsd: 0.01,
    numTurns: 1,
    filesChanged: undefined,
    permissionDenials: [],
    ...fields,
  };
}

/** A text block of these deltas. */
export function text(id: string, ...deltas: string[]): TurnEvent[] {
  return [
    { type: "text-start", id },
    ...deltas.map((delta): TurnEvent => ({ type: "text-delta", id, text: delta })),
    { type: "text-end", id },
  ];
}

export function thinking(id: string, ...deltas: string[]): TurnEvent[] {
  return [
    { type: "thinking-start", id },
    ...deltas.map((delta): TurnEvent => ({ type: "thinking-delta", id, text: delta })),
    { type: "thinking-end", id, signature: "c2ln" },
  ];
}

/** A call of a client's tool whose arguments arrive in these pieces. */
export function call(id: string, name: string, ...pieces: string[]): TurnEvent[] {
  return [
    { type: "client-call-start", id, name },
    ...pieces.map((json): TurnEvent => ({ type: "client-call-delta", id, json })),
    { type: "client-call-end", id, name, arguments: pieces.join("") || "{}" },
  ];
}

/** A whole turn around these events. */
export function turn(events: readonly Step[], end: Partial<TurnEnd> = {}): Step[] {
  return [turnStart(), modelStart, ...events, turnEnd(end)];
}

export function createScriptedRunner(): ScriptedRunner {
  let script: Script = () => turn(text("t", "Hello"));
  const requests: TurnRequest[] = [];
  let waiting: ((request: TurnRequest) => void)[] = [];
  async function* run(request: TurnRequest): AsyncGenerator<TurnEvent> {
    requests.push(request);
    const aborted = new Promise<never>((_, reject) => {
      const fail = () => reject(new DaemonError("interrupted", "The client is gone."));
      if (request.signal.aborted) fail();
      else request.signal.addEventListener("abort", fail, { once: true });
    });
    aborted.catch(() => {});
    try {
      for await (const step of script(request)) {
        if (step instanceof Error) throw step;
        if ("until" in step) await Promise.race([step.until, aborted]);
        else yield step;
      }
    } finally {
      for (const resolve of waiting) resolve(request);
      waiting = [];
    }
  }
  return {
    run,
    play: (next) => {
      script = next;
    },
    requests,
    nextEnd: () => new Promise((resolve) => waiting.push(resolve)),
  };
}

const entry = (id: string, kind: ModelEntry["kind"]): ModelEntry => ({
  id,
  kind,
  displayName: id,
  resolvedModel: undefined,
  contextWindow: 200_000,
  efforts: [],
});

export const MODELS = [entry("claude-code", "agent"), entry("haiku", "chat"), entry("claude-haiku-4-5/x:1", "chat")];

export const catalog: ModelCatalog = {
  list: async () => MODELS,
  get: async (id) => {
    const found = MODELS.find((model) => model.id === id);
    if (found) return found;
    throw new DaemonError("model_not_found", `There are ${MODELS.map((model) => model.id).join(", ")}.`);
  },
};

/** What a format is given, around a scripted runner. Ids and times are always the same. */
export function createDeps(runner: ScriptedRunner, limits: Partial<FormatLimits> = {}): FormatDeps {
  return {
    runner: runner.run,
    models: catalog,
    log: createLogger({ level: "error", timestamps: false, write: () => {} }),
    now: () => 1_700_000_000_000,
    newId: (prefix) => `${prefix}1`,
    streamEnded: () => {},
    limits: { ...DEFAULT_FORMAT_LIMITS, ...limits },
  };
}

export interface Served {
  url: string;
  stop(): Promise<void>;
}

/** Serves an app on a free port of loopback. */
export function serve(app: { handle(request: Request): Response | Promise<Response> }): Served {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    development: false,
    fetch: (request) => app.handle(request),
  });
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}
