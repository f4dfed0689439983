/** The engine's front: a request to its model, its options to a plan, a plan to a turn (docs/architecture.md). */
import { createToolNames } from "../claude/tool-names.ts";
import { DaemonError, toDaemonError } from "../errors.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { TurnRequest } from "../turn/request.ts";
import type { TurnRunner } from "../turn/runner.ts";
import { type AgentDeps, runAgent } from "./agent.ts";
import { type ChatDeps, isFormatRefusal, runChat } from "./chat.ts";
import type { MetricsRecorder } from "./metrics.ts";
import type { LearningCatalog, ResolvedModel } from "./models.ts";
import { planOptions } from "./options.ts";
import { RetryJoiner } from "./retries.ts";

export interface TurnRunnerDeps {
  models: LearningCatalog;
  chat: ChatDeps;
  agent: AgentDeps;
  /** `[models] sampling = "forward"`. */
  forwardSampling: boolean;
  metrics: MetricsRecorder;
}

/** Full ids of models that refused the API's native structured output; forgotten at a restart. */
type Refusals = Set<string>;

export function createTurnRunner(deps: TurnRunnerDeps): TurnRunner {
  const refusals: Refusals = new Set();
  const retries = new RetryJoiner(() => {
    deps.metrics.retriesJoined += 1;
  });
  return (request) => counted(run(request, deps, refusals, retries), deps.metrics);
}

async function* counted(
  events: AsyncIterable<TurnEvent>,
  metrics: MetricsRecorder,
): AsyncGenerator<TurnEvent, void, undefined> {
  let how = "abandoned";
  metrics.turnStarted();
  try {
    for await (const event of events) {
      if (event.type === "turn-end") how = event.reason.unified;
      yield event;
    }
  } catch (error) {
    how = toDaemonError(error).code;
    throw error;
  } finally {
    metrics.turnEnded(how);
  }
}

async function* run(
  request: TurnRequest,
  deps: TurnRunnerDeps,
  refusals: Refusals,
  retries: RetryJoiner,
): AsyncGenerator<TurnEvent, void, undefined> {
  if (request.messages.length === 0) {
    throw new DaemonError("invalid_request", "messages: at least one is needed.", { detail: { param: "messages" } });
  }
  const model = await deps.models.get(request.model);
  if (model.kind === "agent") yield* retries.run(request, (shared) => runAgent(shared, model, deps.agent));
  else yield* runChatModel(request, model, deps, refusals);
}

async function* runChatModel(
  request: TurnRequest,
  model: ResolvedModel,
  deps: TurnRunnerDeps,
  refusals: Refusals,
): AsyncGenerator<TurnEvent, void, undefined> {
  const names = createToolNames(
    request.tools.map((tool) => tool.name),
    "chat",
  );
  const plan = (nativeFormat: boolean) =>
    planOptions(request, {
      kind: "chat",
      efforts: model.efforts,
      forwardSampling: deps.forwardSampling,
      nativeFormat,
      toolName: (name) => names.toModel(name),
    });
  const id = model.resolvedModel ?? model.id;
  const first = plan(!refusals.has(id));
  if (!first.nativeFormat) {
    yield* runChat(request, model, first, deps.chat);
    return;
  }
  let started: TurnEvent | undefined;
  let shown = false;
  try {
    for await (const event of runChat(request, model, first, deps.chat)) {
      if (event.type === "turn-start") started = event;
      else shown = true;
      yield event;
    }
    return;
  } catch (error) {
    if (shown || !isFormatRefusal(error)) throw error;
    refusals.add(id);
  }
  for await (const event of runChat(request, model, plan(false), deps.chat)) {
    if (event.type === "turn-start" && started) continue;
    yield event;
  }
}
