/** What a turn of a session is answered with: the whole of it, its events, or its name; and any stream of events. */
import { DaemonError, ERRORS, type ErrorCode } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { assertNoMoreRights, toSessionTurn } from "../../sessions/code-request.ts";
import type { SessionRegistry } from "../../sessions/registry.ts";
import type { Session } from "../../sessions/session.ts";
import type { TurnRecord } from "../../store/records.ts";
import { baseHeaders, type Exchange, jsonResponse } from "../shared/exchange.ts";
import { SSE_CONTENT_TYPE } from "../shared/sse.ts";
import { toTurnCall } from "./request.ts";
import { toTurnObject } from "./response.ts";
import { type EventStreamOptions, streamEvents } from "./stream.ts";

export interface SessionsApiDeps {
  /** Settles once claude has been found; rejects with what prevented it. */
  registry(): Promise<SessionRegistry>;
  /**
   * Whether this caller may answer permission prompts and choose rights: false for one that comes from inside a session
   * (an agent must not approve itself).
   */
  mayAnswer(request: Request): boolean | Promise<boolean>;
  /** Real paths that `context.files` never reads. */
  deniedPaths: readonly string[];
  keepAliveMs: number;
  maxBodyBytes: number;
  bodyTimeoutMs: number;
  /** Called when a stream is out: only then may the server close its connection for silence again. */
  streamEnded(request: Request): void;
  log: Logger;
}

export interface Call {
  exchange: Exchange;
  registry: SessionRegistry;
  query: URLSearchParams;
  params: Record<string, string>;
}

export async function answerTurn(
  deps: SessionsApiDeps,
  call: Call,
  session: Session,
  value: unknown,
  assertMayAnswer: (call: Call) => Promise<void>,
): Promise<Response> {
  const { exchange } = call;
  const { request, mode, permissions } = toTurnCall(value);
  if (permissions) await assertMayAnswer(call);
  if (!(await deps.mayAnswer(exchange.request))) assertNoMoreRights(request);
  // In the background the turn is its session's; else it ends with whoever asked.
  const signal = mode === "background" ? new AbortController().signal : exchange.abort.signal;
  const place = { workspace: session.record.workspace, deniedPaths: deps.deniedPaths };
  const turn = await toSessionTurn(request, place, signal);
  const after = session.hub.lastSeq;
  const stopAnswering = permissions ? session.permissions.addAnswerer() : undefined;
  try {
    const { turnId, done } = session.submit(turn);
    void done.then(() => stopAnswering?.());
    if (mode === "background") {
      return jsonResponse(exchange, toTurnObject(await call.registry.turn(session.id, turnId)), { status: 202 });
    }
    if (mode === "whole") return jsonResponse(exchange, toTurnObject(throwFailure(await done)));
    return eventResponse(deps, exchange, {
      hub: session.hub,
      after,
      select: (frame) => frame.turnId === turnId,
      isLast: (frame) => frame.turnId === turnId && (frame.type === "code_response" || frame.type === "error"),
      closed: (gone) => gone && exchange.abort.abort(),
    });
  } catch (error) {
    stopAnswering?.();
    throw error;
  }
}

/** A turn that failed is an error of its request; one that was interrupted is what was asked for. */
function throwFailure(turn: TurnRecord): TurnRecord {
  if (turn.status !== "failed" || turn.error === undefined) return turn;
  const code: ErrorCode = Object.hasOwn(ERRORS, turn.error.code) ? (turn.error.code as ErrorCode) : "internal";
  const agentStarted = turn.startedAt !== undefined;
  throw new DaemonError(code, turn.error.message, { detail: agentStarted ? { agentStarted } : {} });
}

export function eventResponse(
  deps: SessionsApiDeps,
  exchange: Exchange,
  options: Omit<EventStreamOptions, "keepAliveMs" | "ended">,
): Response {
  return new Response(
    streamEvents({ ...options, keepAliveMs: deps.keepAliveMs, ended: () => deps.streamEnded(exchange.request) }),
    {
      headers: {
        "content-type": SSE_CONTENT_TYPE,
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
        ...baseHeaders(exchange),
      },
    },
  );
}
