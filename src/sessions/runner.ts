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
import { type OptionPlan, planOptions } from "./options.ts";
import { RetryJoiner } from "./retries.ts";

export interface TurnRunnerDeps {
  models: LearningCatalog;
  chat: ChatDeps;
  agent: AgentDeps;
  /** `[models] sampling = "forward"`. */
  forwardSampling: boolean;
  metrics: MetricsRecorder;
  /** Throws while chats cannot be logged in. */
  requireChatLogin: () => void;
}

/** Full ids of models that refused the API's native structured output; forgotten at a restart. */
type Refusals = Set<string>;

export function createTurnRunner(deps: TurnRunnerDeps): TurnRunner {
  const refusals: Refusals = new Set();
  const retries = new RetryJoiner(() => {
    deps.metrics.retriesJoined += 1;
  });
  return (request) => new CountedTurn(() => begin(request, deps, refusals, retries), deps.metrics);
}

/** Not generators all the way down: each would cost every delta a few turns of the event loop's queue. */
class CountedTurn implements AsyncIterableIterator<TurnEvent> {
  private events: AsyncIterator<TurnEvent> | undefined;
  private started = false;
  private over = false;
  private how = "abandoned";

  constructor(
    private readonly begin: () => Promise<AsyncIterable<TurnEvent>>,
    private readonly metrics: MetricsRecorder,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<TurnEvent, undefined>> {
    if (this.over) return { done: true, value: undefined };
    try {
      if (!this.events) await this.start();
      const step = await this.events?.next();
      if (!step || step.done) {
        this.end();
        return { done: true, value: undefined };
      }
      if (step.value.type === "turn-end") this.how = step.value.reason.unified;
      return step;
    } catch (error) {
      this.how = toDaemonError(error).code;
      this.end();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<TurnEvent, undefined>> {
    this.end();
    await this.events?.return?.();
    return { done: true, value: undefined };
  }

  private async start(): Promise<void> {
    if (!this.started) this.metrics.turnStarted();
    this.started = true;
    const events = (await this.begin())[Symbol.asyncIterator]();
    // Left while it began: nothing of it may run on.
    if (this.over) await events.return?.();
    else this.events = events;
  }

  private end(): void {
    if (this.started && !this.over) this.metrics.turnEnded(this.how);
    this.over = true;
  }
}

async function begin(
  request: TurnRequest,
  deps: TurnRunnerDeps,
  refusals: Refusals,
  retries: RetryJoiner,
): Promise<AsyncIterable<TurnEvent>> {
  if (request.messages.length === 0) {
    throw new DaemonError("invalid_request", "messages: at least one is needed.", { detail: { param: "messages" } });
  }
  const model = await deps.models.get(request.model);
  if (model.kind === "agent") return retries.run(request, (shared) => runAgent(shared, model, deps.agent));
  deps.requireChatLogin();
  return runChatModel(request, model, deps, refusals);
}

function runChatModel(
  request: TurnRequest,
  model: ResolvedModel,
  deps: TurnRunnerDeps,
  refusals: Refusals,
): AsyncIterable<TurnEvent> {
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
  if (!first.nativeFormat) return runChat(request, model, first, deps.chat);
  const refused = () => {
    refusals.add(id);
    return plan(false);
  };
  return withNativeFormat(request, model, first, refused, deps.chat);
}

/** The native structured output, and where the model refuses it before a word is out, the CLI's own. */
async function* withNativeFormat(
  request: TurnRequest,
  model: ResolvedModel,
  first: OptionPlan,
  refused: () => OptionPlan,
  deps: ChatDeps,
): AsyncGenerator<TurnEvent, void, undefined> {
  let started: TurnEvent | undefined;
  let shown = false;
  try {
    for await (const event of runChat(request, model, first, deps)) {
      if (event.type === "turn-start") started = event;
      else shown = true;
      yield event;
    }
    return;
  } catch (error) {
    if (shown || !isFormatRefusal(error)) throw error;
  }
  for await (const event of runChat(request, model, refused(), deps)) {
    if (event.type === "turn-start" && started) continue;
    yield event;
  }
}
