/** `/v1/code/execute` on HTTP. Glue only. */
import { Elysia } from "elysia";
import { DaemonError, toDaemonError } from "../../errors.ts";
import type { ExecutionEvent } from "../../exec/contract.ts";
import type { Executor } from "../../exec/runner.ts";
import type { Logger } from "../../log.ts";
import { readJsonBody } from "../shared/body.ts";
import { renderError } from "../shared/errors.ts";
import { answer, baseHeaders, type Exchange, jsonResponse } from "../shared/exchange.ts";
import { documented } from "../shared/openapi.ts";
import { SSE_CONTENT_TYPE, sseEvent } from "../shared/sse.ts";
import { type ExecuteRules, toExecution } from "./request.ts";
import { toEventFrame, toExecutionObject, toLanguageList } from "./response.ts";
import { ExecuteBody, Execution } from "./schema.ts";

export interface CodeDeps {
  /** Undefined where the config turns execution off. */
  executor: Executor | undefined;
  rules: ExecuteRules;
  /** The confined real directory of a request; undefined: a scratch directory. Throws what confinement throws. */
  resolveDirectory(place: { workspace?: string; sessionId?: string }): Promise<string | undefined>;
  log: Logger;
  maxBodyBytes: number;
  bodyTimeoutMs: number;
  /** Called when a stream is out: only then may the server close its connection for silence again. */
  streamEnded(request: Request): void;
}

/** A comment line after this long without output keeps proxies from closing the stream. */
const KEEP_ALIVE_MS = 12_000;
const PATH = "/v1/code/execute";
const tags = ["Code"];

export function createCodeRoutes(deps: CodeDeps) {
  const serve = (work: (exchange: Exchange) => Promise<Response>) => (context: { request: Request }) =>
    answer(deps.log, context.request, renderError, work);
  return new Elysia({ name: "code" })
    .get(
      PATH,
      serve(async (exchange) => {
        const executor = executorOf(deps);
        const [languages, state] = await Promise.all([executor.languages(), executor.state()]);
        return jsonResponse(exchange, toLanguageList(languages, state));
      }),
      { detail: { tags, summary: "Languages that run here, and whether in a sandbox." } },
    )
    .post(
      PATH,
      serve((exchange) => execute(deps, exchange)),
      {
        parse: "none",
        detail: {
          tags,
          summary: "Run code in a sandbox: no network, no secrets, bounded time, memory, processes and output.",
          requestBody: { required: true, content: { "application/json": { schema: documented(ExecuteBody) } } },
          responses: {
            200: {
              description: "The run has ended; its own failure is `exit_code` or `signal`. With `stream`: events.",
              content: {
                "application/json": { schema: documented(Execution) },
                "text/event-stream": { schema: { type: "string" } },
              },
            },
          },
        },
      },
    )
    .all(
      PATH,
      serve(async () => {
        throw new DaemonError("method_not_allowed", "This address answers GET and POST only.", {
          detail: { allow: ["GET", "POST"] },
        });
      }),
      { parse: "none" },
    );
}

function executorOf(deps: CodeDeps): Executor {
  if (deps.executor) return deps.executor;
  throw new DaemonError("unsupported", "Running code is turned off here (exec.enabled in the daemon's config).");
}

async function execute(deps: CodeDeps, exchange: Exchange): Promise<Response> {
  const executor = executorOf(deps);
  const { value } = await readJsonBody(exchange.request, deps);
  const { place, stream, ...execution } = toExecution(value, deps.rules);
  const workspace = await deps.resolveDirectory(place);
  const events = executor.run({ ...execution, workspace, signal: exchange.abort.signal });
  // What prevents a run is thrown here, before any status is sent.
  const first = await events.next();
  if (first.done || first.value.type !== "start") throw new Error("a run began without start");
  const { sandboxed } = first.value;
  if (stream) return streamRun(deps, exchange, events, first.value, sandboxed);
  for await (const event of events) {
    if (event.type === "end") return jsonResponse(exchange, toExecutionObject(event.result, sandboxed));
  }
  throw new Error("a run ended without a result");
}

type Events = AsyncGenerator<ExecutionEvent, void, undefined>;

/** Events at the pace of the reader: the run's output waits, bounded by what is kept of it. */
function streamRun(
  deps: CodeDeps,
  exchange: Exchange,
  events: Events,
  start: ExecutionEvent,
  sandboxed: boolean,
): Response {
  const bytes = new TextEncoder();
  let ticker: ReturnType<typeof setInterval>;
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(bytes.encode(toEventFrame(start, sandboxed)));
        ticker = setInterval(() => controller.enqueue(bytes.encode(":\n\n")), KEEP_ALIVE_MS);
      },
      async pull(controller) {
        try {
          const step = await events.next();
          if (!step.done) {
            controller.enqueue(bytes.encode(toEventFrame(step.value, sandboxed)));
            return;
          }
        } catch (thrown) {
          const { body: error } = renderError(toDaemonError(thrown));
          controller.enqueue(bytes.encode(sseEvent("error", JSON.stringify(error))));
        }
        clearInterval(ticker);
        controller.close();
        deps.streamEnded(exchange.request);
      },
      async cancel() {
        clearInterval(ticker);
        exchange.abort.abort();
        await events.return();
      },
    },
    { highWaterMark: 1 },
  );
  const headers = { "content-type": SSE_CONTENT_TYPE, "cache-control": "no-cache", "x-accel-buffering": "no" };
  return new Response(body, { headers: { ...headers, ...baseHeaders(exchange) } });
}
