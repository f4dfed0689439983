/**
 * A turn of an agent model for a stateless client. Its conversation is a session like any other; the client's history
 * only says which one. In order: the session that stands at this history goes on; a session that once stood there is
 * branched at that line; a history nobody knows becomes a new session's transcript.
 *
 * What a client resends of an agent's turn is its text alone, so a session knows more than the history says: that is why
 * it is preferred to the transcript, and why it must be this very conversation: a row of the index is used only under the
 * digest of its whole history, and continued only while the session has had no turn since.
 *
 * Over 300 lines: the ways into a session, which are tried one after the other.
 */
import { createToolNames } from "../claude/tool-names.ts";
import type { Transcript } from "../claude/transcript.ts";
import { DaemonError } from "../errors.ts";
import type { SessionOptions } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { ClientResultBlock, Json, Message, UserBlock } from "../turn/message.ts";
import type { TurnRequest } from "../turn/request.ts";
import type { AgentSession, AgentSessions, OpenConversation, SessionTurn } from "./agent-sessions.ts";
import { GO_ON, resumable, type SplitHistory, splitHistory } from "./history.ts";
import { canonicalJson, HistoryDigest } from "./history-hash.ts";
import { isFirstToken, type MetricsRecorder } from "./metrics.ts";
import type { ResolvedModel } from "./models.ts";
import { type OptionPlan, planOptions } from "./options.ts";

export interface AgentDeps {
  sessions: AgentSessions;
  /** Where sessions stood at which history; survives a restart. */
  prefixes: Store["prefixes"];
  /** Settles when what was written is on disk. */
  flush: Store["flush"];
  writeTranscript(messages: readonly Message[], model: string): Promise<Transcript>;
  readonly answersHistory: boolean;
  metrics: MetricsRecorder;
}

/** One point of a session's life: what its history was, and how to come back there. */
interface Standpoint {
  sessionId: string;
  claudeSessionId: string;
  /** Claude's last line there; a branch is cut after it. */
  lineUuid: string | undefined;
  /** The session's turns so far; with more it has gone on. */
  turns: number;
  /** Client calls that it waits for. */
  callIds: string[];
}

/** Longest way back that is looked for: a client edits near the end. */
const MAX_PREFIXES = 50;

/** Throws what the turn throws; returning early interrupts the agent, whose session stays. */
export async function* runAgent(
  request: TurnRequest,
  model: ResolvedModel,
  deps: AgentDeps,
): AsyncGenerator<TurnEvent, void, undefined> {
  const askedAt = performance.now();
  const plan = planOptions(request, {
    kind: "agent",
    efforts: model.efforts,
    forwardSampling: false,
    nativeFormat: false,
    toolName: (name) => createToolNames([name], "agent").toModel(name),
  });
  const history = splitHistory(request.messages);
  const digest = new HistoryDigest({
    kind: "agent",
    scope: [request.claudeCode.workspace ?? "", request.claudeCode.appendSystemPrompt ?? ""],
    system: request.system,
    tools: request.tools,
  });
  const started = await begin(request, model, plan, history, digest, deps);
  try {
    let waiting = true;
    for await (const event of started.events) {
      if (waiting && isFirstToken(event)) {
        waiting = false;
        const kind = started.session.startKind;
        if (kind) deps.metrics.firstTokenAfter(kind, (performance.now() - askedAt) / 1000);
      }
      if (event.type === "model-start") await started.transcript?.remove();
      // Before the client can know that the turn is over: its next request finds the session, whatever becomes of us.
      if (event.type === "turn-end") await keep(started.session, request, digest, deps);
      yield event;
    }
  } finally {
    await started.transcript?.remove();
  }
}

interface Begun {
  session: AgentSession;
  events: AsyncIterable<TurnEvent>;
  transcript?: Transcript;
}

async function begin(
  request: TurnRequest,
  model: ResolvedModel,
  plan: OptionPlan,
  history: SplitHistory,
  digest: HistoryDigest,
  deps: AgentDeps,
): Promise<Begun> {
  const { sessionId } = request.claudeCode;
  if (sessionId !== undefined) {
    const session = await deps.sessions.get(sessionId);
    if (!session) {
      throw new DaemonError("not_found", "There is no session of that id.", { detail: { param: "session_id" } });
    }
    if (history.results.length > 0) {
      assertWaitsFor(session, history);
      return { session, events: goOn(session, history, [...session.waiting], request, plan) };
    }
    return { session, events: session.turn(turnOf(session, request, model, plan, history.more)) };
  }
  const open: OpenConversation = {
    workspace: request.claudeCode.workspace,
    model: modelName(model),
    options: optionsOf(request),
  };
  if (request.claudeCode.permissionMode) open.permissionMode = request.claudeCode.permissionMode;
  if (history.known.length === 0) {
    const session = await deps.sessions.openForConversation(open);
    return { session, events: session.turn(turnOf(session, request, model, plan, history.more)) };
  }
  return (
    (await fromStandpoint(request, model, plan, history, digest, open, deps)) ??
    (await fromTranscript(request, model, plan, history, open, deps))
  );
}

/** The longest part of the history at which a session stood; what follows it must be the user's words alone. */
async function fromStandpoint(
  request: TurnRequest,
  model: ResolvedModel,
  plan: OptionPlan,
  history: SplitHistory,
  digest: HistoryDigest,
  open: OpenConversation,
  deps: AgentDeps,
): Promise<Begun | undefined> {
  const ends: { count: number; key: string }[] = [];
  const chain = digest.copy();
  for (const [index, message] of history.known.entries()) {
    chain.add(message);
    const next = history.known[index + 1];
    if (message.role === "assistant" && next?.role !== "assistant")
      ends.push({ count: index + 1, key: chain.digest() });
  }
  for (const { count, key } of ends.slice(-MAX_PREFIXES).reverse()) {
    const between = history.known.slice(count);
    // Words of an assistant that the session did not say cannot be put into its mouth.
    if (between.some((message) => message.role === "assistant")) return undefined;
    const stood = toStandpoint((await deps.prefixes.get(key))?.data);
    if (!stood) continue;
    const session = await deps.sessions.get(stood.sessionId);
    const there = session !== undefined && session.record.turns === stood.turns && session.status !== "closed";
    const content = [...between.flatMap(({ content }) => content as UserBlock[]), ...history.more];
    if (stood.callIds.length > 0) {
      const waits = there && session.status === "waiting_tool" && session.process === "live";
      if (!waits || history.results.length === 0) return undefined;
      const events = await begun(goOn(session, history, stood.callIds, request, plan));
      return events && { session, events };
    }
    if (history.results.length > 0) return undefined;
    if (there && session.status === "idle") {
      return { session, events: session.turn(turnOf(session, request, model, plan, content)) };
    }
    if (stood.lineUuid === undefined) return undefined;
    const resume = { from: stood.claudeSessionId, at: stood.lineUuid, fork: true };
    const branch = await deps.sessions.openForConversation({ ...open, start: { resume } });
    return { session: branch, events: branch.turn(turnOf(branch, request, model, plan, content)) };
  }
  return undefined;
}

async function fromTranscript(
  request: TurnRequest,
  model: ResolvedModel,
  plan: OptionPlan,
  history: SplitHistory,
  open: OpenConversation,
  deps: AgentDeps,
): Promise<Begun> {
  const results = history.results.length > 0;
  const { transcript: known, news } = resumable(history);
  const messages = results ? request.messages : known;
  if (messages.length === 0) {
    const session = await deps.sessions.openForConversation(open);
    return { session, events: session.turn(turnOf(session, request, model, plan, news)) };
  }
  const transcript = await deps.writeTranscript(messages, model.resolvedModel ?? model.id);
  try {
    const start: NonNullable<OpenConversation["start"]> = { resume: { from: transcript.path, fork: true } };
    const answers = results && deps.answersHistory;
    if (answers) start.answerInterrupted = true;
    const session = await deps.sessions.openForConversation({ ...open, start });
    const content = answers ? undefined : results ? GO_ON : news;
    return { session, transcript, events: session.turn(turnOf(session, request, model, plan, content)) };
  } catch (error) {
    await transcript.remove();
    throw error;
  }
}

/** Undefined where the turn does not wait any more: its process may have been taken just now. */
async function begun(events: AsyncIterable<TurnEvent>): Promise<AsyncIterable<TurnEvent> | undefined> {
  const iterator = events[Symbol.asyncIterator]();
  try {
    const first = await iterator.next();
    return withFirst(first, iterator);
  } catch (error) {
    if (error instanceof DaemonError && error.code === "invalid_request") return undefined;
    throw error;
  }
}

async function* withFirst(
  first: IteratorResult<TurnEvent>,
  rest: AsyncIterator<TurnEvent>,
): AsyncGenerator<TurnEvent, void, undefined> {
  try {
    for (let step = first; !step.done; step = await rest.next()) yield step.value;
  } finally {
    await rest.return?.();
  }
}

/**
 * A session that was named is the history: results of calls it does not wait for have no place in it. Told as words they
 * would mean something else, so the client is asked.
 */
function assertWaitsFor(session: AgentSession, history: SplitHistory): void {
  const { waiting } = session;
  if (waiting.length > 0 && waiting.length === history.calls.length) return;
  const why =
    waiting.length === 0
      ? "no turn of this session waits for tool results (any more)"
      : `this session waits for the results of ${waiting.length} other calls`;
  throw new DaemonError(
    "invalid_request",
    `messages: ${why}. Send the whole history without session_id to go on from these results, or tell the session what came of them in words.`,
    { detail: { param: "messages" } },
  );
}

/** Results are matched by their place: formats without ids count their own. */
function goOn(
  session: AgentSession,
  history: SplitHistory,
  callIds: readonly string[],
  request: TurnRequest,
  plan: OptionPlan,
): AsyncIterable<TurnEvent> {
  const results: ClientResultBlock[] = [];
  for (const result of history.results) {
    const callId = callIds.includes(result.callId) ? result.callId : callIds[history.calls.indexOf(result.callId)];
    if (callId !== undefined) results.push({ ...result, callId });
  }
  return session.continue(results, history.more, partOf(request, plan));
}

async function keep(
  session: AgentSession,
  request: TurnRequest,
  digest: HistoryDigest,
  deps: AgentDeps,
): Promise<void> {
  const { outcome } = session;
  if (outcome?.claudeSessionId === undefined || (outcome.state !== "clean" && outcome.state !== "paused")) return;
  for (const message of request.messages) digest.add(message);
  digest.add({ role: "assistant", content: outcome.answer });
  const data: Json = {
    sessionId: session.id,
    claudeSessionId: outcome.claudeSessionId,
    lineUuid: outcome.lastLineUuid ?? null,
    turns: session.record.turns,
    callIds: outcome.state === "paused" ? [...session.waiting] : [],
  };
  deps.prefixes.put({ hash: digest.digest(), owner: session.id, data, usedAt: Date.now() });
  // A full disk is health's to tell: the turn itself has been carried out.
  await deps.flush().catch(() => undefined);
}

/** A row of the index; one that does not read as such is none. */
function toStandpoint(data: Json | undefined): Standpoint | undefined {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return undefined;
  const { sessionId, claudeSessionId, lineUuid, turns, callIds } = data;
  if (typeof sessionId !== "string" || typeof claudeSessionId !== "string" || typeof turns !== "number")
    return undefined;
  return {
    sessionId,
    claudeSessionId,
    lineUuid: typeof lineUuid === "string" ? lineUuid : undefined,
    turns,
    callIds: Array.isArray(callIds) ? callIds.filter((id) => typeof id === "string") : [],
  };
}

function modelName(model: ResolvedModel): string {
  return model.id;
}

/** An agent keeps Claude Code's own system prompt; the client's is added to it. */
function optionsOf(request: TurnRequest): SessionOptions {
  const { allowedTools, disallowedTools, appendSystemPrompt, maxTurns } = request.claudeCode;
  const options: SessionOptions = {};
  const system = [request.system, appendSystemPrompt].filter((text) => text !== undefined && text !== "").join("\n\n");
  if (system !== "") options.appendSystemPrompt = system;
  if (allowedTools) options.allowedTools = allowedTools;
  if (disallowedTools) options.disallowedTools = disallowedTools;
  if (maxTurns !== undefined) options.maxTurns = maxTurns;
  return options;
}

function partOf(request: TurnRequest, plan: OptionPlan) {
  return {
    ignored: plan.ignored,
    settings: plan.settings,
    stop: plan.stop,
    parallelCalls: plan.parallelCalls,
    signal: request.signal,
  };
}

function turnOf(
  session: AgentSession,
  request: TurnRequest,
  model: ResolvedModel,
  plan: OptionPlan,
  content: UserBlock[] | undefined,
): SessionTurn {
  const turn: SessionTurn = {
    ...partOf(request, plan),
    content,
    verbatim: request.claudeCode.expand !== true,
    model: modelName(model),
  };
  if (request.claudeCode.permissionMode) turn.permissionMode = request.claudeCode.permissionMode;
  // A session keeps what it was opened with; a request that says otherwise gets it for its turn.
  const options = optionsOf(request);
  if (canonicalJson(options as never) !== canonicalJson(session.record.options as never)) turn.options = options;
  if (request.tools.length > 0) turn.clientTools = request.tools;
  if (plan.jsonSchema) turn.jsonSchema = plan.jsonSchema;
  return turn;
}
