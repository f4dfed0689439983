/**
 * A turn of a chat model: the bare model behind a history that the client resends. In order: the process that stands
 * exactly at this history goes on with what is new; else one that has stood there is taken back to it (an edited or repeated
 * message, a turn that did not end well); else a spare begins a new conversation, or a new process resumes the history as
 * a transcript. All of them show the model the same messages.
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
import type { Conversations, Trail } from "./conversations.ts";
import { canGoBack, conclude, type Followed, goBack, isSpentBy, noteStandpoint } from "./going-back.ts";
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

/** Throws what the turn throws. */
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
  const running = canGoBack(begun) ? deps.conversations.run(begun.before) : undefined;
  let kept = false;
  let spent = begun.singleUse;
  let waiting = true;
  try {
    for await (const event of begun.turn) {
      if (waiting && isFirstToken(event)) {
        waiting = false;
        deps.metrics.firstTokenAfter(begun.start, (performance.now() - askedAt) / 1000);
      }
      // Before the client can know that the turn is over: its next request must find the process.
      if (event.type === "turn-end") {
        kept = !spent && keep(begun, digest, deps);
        spent ||= event.reason.unified === "stalled";
        if (event.reason.unified !== "tool-calls") deps.metrics.turnFinished(event.costUsd);
      }
      yield event;
    }
  } catch (error) {
    spent ||= isSpentBy(error);
    throw error;
  } finally {
    void conclude(begun, kept ? "kept" : spent ? "spent" : "left", running, deps.conversations);
  }
}

interface Begun extends Followed {
  start: StartKind;
  /** Its memory is never the client's history: the CLI's own structured output asks through a tool. */
  singleUse: boolean;
}

/** What a process is to be prompted with, and after which history. */
interface Start {
  lease: Lease;
  turn: Turn;
  before: string | undefined;
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

  const singleUse = plan.jsonSchema !== undefined;
  const known = history.known.length > 0 && !singleUse ? digest.digest() : undefined;
  const prompt = (lease: Lease) => runTurn(lease.process, { content: history.news, verbatim: true }, options);
  if (known !== undefined) {
    const going = goOn(known, history, part, deps);
    // A paused turn goes on after results: what it follows is not a prompt of ours.
    if (going?.turn) return { ...going, turn: going.turn, start: "live", before: undefined, singleUse };
    if (going) return { trail: going.trail, turn: prompt(going.trail.lease), start: "live", before: known, singleUse };
    const trail = await goBack(known, history, deps.conversations);
    if (trail) return { trail, turn: prompt(trail.lease), start: "rewound", before: known, singleUse };
  }
  const need = { launch, initialize };
  const { lease, turn, before } =
    history.results.length > 0
      ? await resumeWithResults(request, model, need, plan, options, deps)
      : await resume(request, model, need, history, known, options, deps);
  return { trail: deps.conversations.follow(lease), turn, start: lease.start, before, singleUse };
}

/** A history that ends in the user's words: what came before is a transcript (or nothing), they are the prompt. */
async function resume(
  request: TurnRequest,
  model: ResolvedModel,
  need: ProcessNeed,
  history: SplitHistory,
  key: string | undefined,
  options: TurnOptions,
  deps: ChatDeps,
): Promise<Start> {
  const { transcript: known, news } = resumable(history);
  // Where some of the history is prompted too, the process has never stood at all of it.
  const before = known.length === history.known.length ? key : undefined;
  const prompt = (lease: Lease) => runTurn(lease.process, { content: news, verbatim: true }, options);
  if (known.length === 0) {
    const lease = await deps.pool.acquire(need, request.signal);
    return { lease, turn: prompt(lease), before };
  }
  // The CLI has read it when it answers `initialize`.
  await using transcript = await deps.writeTranscript(known, model.resolvedModel ?? model.id);
  const launch = { ...need.launch, resume: { from: transcript.path } };
  const lease = await deps.pool.acquire({ ...need, launch }, request.signal);
  return { lease, turn: prompt(lease), before };
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
): Promise<Start> {
  await using transcript = await deps.writeTranscript(request.messages, model.resolvedModel ?? model.id);
  const launch: LaunchOptions = { ...need.launch, resume: { from: transcript.path } };
  // Once: an update of claude may come while this waits.
  const { answersHistory } = deps;
  if (answersHistory) launch.answerInterrupted = true;
  if (answersHistory && plan.settings) launch.settings = plan.settings;
  const lease = await deps.pool.acquire({ ...need, launch }, request.signal);
  const input = { content: answersHistory ? undefined : GO_ON, verbatim: true, early: lease.early };
  return { lease, turn: runTurn(lease.process, input, options), before: undefined };
}

/** The process that stands at this history, if what is new can reach it exactly as the client wrote it. */
function goOn(
  key: string,
  history: SplitHistory,
  part: PartOptions,
  deps: ChatDeps,
): { trail: Trail; turn: Turn | undefined } | undefined {
  const trail = deps.conversations.take(key, ({ paused }) =>
    paused ? canContinue(history) : history.calls.length === 0,
  );
  if (!trail) return undefined;
  const { lease, paused } = trail;
  if (!paused) return { trail, turn: undefined };
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
  return { trail, turn: paused.turn };
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
function keep({ turn, trail, before }: Begun, digest: HistoryDigest, deps: ChatDeps): boolean {
  const { outcome, waiting } = turn;
  if (!outcome || (outcome.state !== "clean" && outcome.state !== "paused")) return false;
  // An empty answer is none in the client's history.
  if (outcome.answer.length === 0) return false;
  noteStandpoint({ turn, trail, before }, outcome, deps.conversations);
  digest.add({ role: "assistant", content: outcome.answer });
  const paused = outcome.state === "paused" ? { turn, callIds: [...waiting] } : undefined;
  deps.conversations.put(trail, digest.digest(), paused);
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
