/**
 * A turn of a chat model: the bare model behind a history that the client resends. In order: the process that stands
 * exactly at this history goes on with what is new; else a spare begins a new conversation; else a new process resumes
 * the history as a transcript. All three show the model the same messages.
 */
import type { Transcript } from "../claude/transcript.ts";
import type { InitializeOptions, LaunchOptions } from "../claude/transport.ts";
import { DaemonError } from "../errors.ts";
import { createId } from "../ids.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { ClientResultBlock, Message } from "../turn/message.ts";
import type { TurnRequest } from "../turn/request.ts";
import {
  DENY_ALL,
  type Lease,
  type PartOptions,
  type ProcessNeed,
  type ProcessSource,
  type StartKind,
  type Turn,
  type TurnOptions,
} from "./contracts.ts";
import type { Conversations } from "./conversations.ts";
import { GO_ON, resumable, type SplitHistory, splitHistory } from "./history.ts";
import { HistoryDigest } from "./history-hash.ts";
import { isFirstToken, type MetricsRecorder } from "./metrics.ts";
import type { ResolvedModel } from "./models.ts";
import type { OptionPlan } from "./options.ts";
import { runTurn } from "./turn.ts";

export interface ChatDeps {
  pool: ProcessSource;
  conversations: Conversations;
  /** What every chat process is launched with; model and resume are added. */
  launch: LaunchOptions;
  /** Writes a history for `--resume`; removed by the caller. */
  writeTranscript(messages: readonly Message[], model: string): Promise<Transcript>;
  /** Whether a resumed process can be made to answer its history by itself (`ClaudeFeatures.awaitInitialize`). */
  readonly answersHistory: boolean;
  stallTimeoutMs: number;
  metrics: MetricsRecorder;
}

/** Throws what the turn throws; returning early ends the process (its memory would hold what the client never saw). */
export async function* runChat(
  request: TurnRequest,
  model: ResolvedModel,
  plan: OptionPlan,
  deps: ChatDeps,
): AsyncGenerator<TurnEvent, void, undefined> {
  const askedAt = performance.now();
  const history = splitHistory(request.messages);
  const digest = new HistoryDigest({
    kind: "chat",
    scope: [model.launchModel ?? ""],
    system: request.system,
    tools: request.tools,
  });
  for (const message of history.known) digest.add(message);
  const begun = await begin(request, model, plan, history, digest, deps);
  for (const message of request.messages.slice(history.known.length)) digest.add(message);
  let kept = false;
  let waiting = true;
  try {
    for await (const event of begun.turn) {
      if (waiting && isFirstToken(event)) {
        waiting = false;
        deps.metrics.firstTokenAfter(begun.start, (performance.now() - askedAt) / 1000);
      }
      // Before the client can know that the turn is over: its next request must find the process.
      if (event.type === "turn-end") {
        kept = keep(begun, digest, plan, deps);
        if (event.reason.unified !== "tool-calls") deps.metrics.turnFinished(event.costUsd);
      }
      yield event;
    }
  } finally {
    if (!kept) void begun.lease.end();
  }
}

interface Begun {
  turn: Turn;
  lease: Lease;
  start: StartKind;
}

async function begin(
  request: TurnRequest,
  model: ResolvedModel,
  plan: OptionPlan,
  history: SplitHistory,
  digest: HistoryDigest,
  deps: ChatDeps,
): Promise<Begun> {
  const part: PartOptions = {
    ignored: plan.ignored,
    settings: plan.settings,
    stop: plan.stop,
    parallelCalls: plan.parallelCalls,
    signal: request.signal,
  };
  const launch = { ...deps.launch, ...(model.launchModel === undefined ? {} : { model: model.launchModel }) };
  const initialize: InitializeOptions = { systemPrompt: request.system ?? "" };
  if (request.tools.length > 0) initialize.clientTools = request.tools;
  if (plan.jsonSchema) initialize.jsonSchema = plan.jsonSchema;
  const options: TurnOptions = {
    ...part,
    turnId: createId("trn"),
    sessionId: undefined,
    model: request.model,
    permissions: DENY_ALL,
    changes: undefined,
    clientTools: request.tools.map((tool) => tool.name),
    structuredOutput: plan.jsonSchema !== undefined,
    stallTimeoutMs: deps.stallTimeoutMs,
  };

  if (history.known.length > 0 && !plan.jsonSchema) {
    const going = goOn(digest.digest(), history, part, deps);
    if (going) {
      const { lease, turn } = going;
      if (turn) return { turn, lease, start: "live" };
      return { lease, start: "live", turn: runTurn(lease.process, { content: history.news, verbatim: true }, options) };
    }
  }
  return history.results.length > 0
    ? resumeWithResults(request, model, { launch, initialize }, plan, options, deps)
    : resume(request, model, { launch, initialize }, history, options, deps);
}

/** A history that ends in the user's words: what came before is a transcript (or nothing), they are the prompt. */
async function resume(
  request: TurnRequest,
  model: ResolvedModel,
  need: ProcessNeed,
  history: SplitHistory,
  options: TurnOptions,
  deps: ChatDeps,
): Promise<Begun> {
  const { transcript: known, news } = resumable(history);
  const prompt = (lease: Lease) => runTurn(lease.process, { content: news, verbatim: true }, options);
  if (known.length === 0) {
    const lease = await deps.pool.acquire(need, request.signal);
    return { lease, start: lease.start, turn: prompt(lease) };
  }
  // The CLI has read it when it answers `initialize`.
  await using transcript = await deps.writeTranscript(known, model.resolvedModel ?? model.id);
  const launch = { ...need.launch, resume: { from: transcript.path } };
  const lease = await deps.pool.acquire({ ...need, launch }, request.signal);
  return { lease, start: lease.start, turn: prompt(lease) };
}

/**
 * A history that ends in results cannot be prompted: the process answers the transcript as it stands. Older CLIs must be
 * prompted all the same, and put a line of their own before it (docs/compatibility.md).
 */
async function resumeWithResults(
  request: TurnRequest,
  model: ResolvedModel,
  need: ProcessNeed,
  plan: OptionPlan,
  options: TurnOptions,
  deps: ChatDeps,
): Promise<Begun> {
  await using transcript = await deps.writeTranscript(request.messages, model.resolvedModel ?? model.id);
  const launch: LaunchOptions = { ...need.launch, resume: { from: transcript.path } };
  // Once: an update of claude may come while this waits.
  const { answersHistory } = deps;
  if (answersHistory) launch.answerInterrupted = true;
  if (answersHistory && plan.settings) launch.settings = plan.settings;
  const lease = await deps.pool.acquire({ ...need, launch }, request.signal);
  const input = { content: answersHistory ? undefined : GO_ON, verbatim: true, early: lease.early };
  return { lease, start: lease.start, turn: runTurn(lease.process, input, options) };
}

/** The process that stands at this history, if what is new can reach it exactly as the client wrote it. */
function goOn(
  key: string,
  history: SplitHistory,
  part: PartOptions,
  deps: ChatDeps,
): { lease: Lease; turn: Turn | undefined } | undefined {
  const entry = deps.conversations.take(key, ({ paused }) =>
    paused ? canContinue(history) : history.calls.length === 0,
  );
  if (!entry) return undefined;
  const { lease, paused } = entry;
  if (!paused) return { lease, turn: undefined };
  // Calls are matched by their place: formats without ids count their own.
  const results: ClientResultBlock[] = [];
  for (const result of history.results) {
    const callId = paused.callIds[history.calls.indexOf(result.callId)];
    if (callId !== undefined) results.push({ ...result, callId });
  }
  if (results.length !== paused.callIds.length || history.calls.length !== paused.callIds.length) {
    void lease.end();
    return undefined;
  }
  paused.turn.continue(results, history.more, part);
  return { lease, turn: paused.turn };
}

/** Whether the waiting process can be told these results exactly; else the transcript says them. */
function canContinue(history: SplitHistory): boolean {
  if (history.more.length > 0) return false;
  return history.results.every(
    (result) =>
      // The CLI puts words of its own in place of an empty result, and takes no documents.
      result.content.some((block) => block.type !== "text" || block.text !== "") &&
      result.content.every(
        (block) => block.type === "text" || (block.type === "image" && block.source.kind === "base64"),
      ),
  );
}

/** True where the process now stands at a history under its own key. */
function keep(begun: Begun, digest: HistoryDigest, plan: OptionPlan, deps: ChatDeps): boolean {
  const { outcome, waiting } = begun.turn;
  if (!outcome || plan.jsonSchema) return false;
  if (outcome.state !== "clean" && outcome.state !== "paused") return false;
  // An empty answer is none in the client's history.
  if (outcome.answer.length === 0) return false;
  digest.add({ role: "assistant", content: outcome.answer });
  const paused = outcome.state === "paused" ? { turn: begun.turn, callIds: [...waiting] } : undefined;
  deps.conversations.put(digest.digest(), { lease: begun.lease, paused });
  return true;
}

/** A 400 that is about the native structured output, not about the request. */
export function isFormatRefusal(error: unknown): boolean {
  return (
    error instanceof DaemonError &&
    error.code === "invalid_request" &&
    /output_config|output_format|json_schema|structured/i.test(error.message)
  );
}
