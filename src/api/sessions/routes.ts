/** `/v1/code/session` on HTTP. Glue only; sessions themselves are `sessions/`. */
import { Elysia } from "elysia";
import { DaemonError } from "../../errors.ts";
import { assertNoMoreRights } from "../../sessions/code-request.ts";
import { readJsonBody } from "../shared/body.ts";
import { PermissionBody } from "../shared/code-schema.ts";
import { renderError } from "../shared/errors.ts";
import { answer, jsonResponse } from "../shared/exchange.ts";
import { documented } from "../shared/openapi.ts";
import { answerTurn, type Call, eventResponse, type SessionsApiDeps } from "./answer.ts";
import { toAfter, toAnswer, toFlag, toListOptions, toOpenSession, validateInterrupt, validateUndo } from "./request.ts";
import {
  toChangesObject,
  toList,
  toPendingObject,
  toSessionObject,
  toTerminalObject,
  toTurnObject,
  toUndoObject,
} from "./response.ts";
import { CreateSessionBody, InterruptBody, listOf, SessionObject, TurnBody, TurnObject, UndoBody } from "./schema.ts";

const ROOT = "/v1/code/session";
const tags = ["Sessions"];
const json = (schema: Parameters<typeof documented>[0]) => ({ "application/json": { schema: documented(schema) } });
const taking = (schema: Parameters<typeof documented>[0], required = true) => ({
  requestBody: { required, content: json(schema) },
});
const giving = (schema: Parameters<typeof documented>[0]) => ({
  responses: { 200: { description: "OK", content: json(schema) } },
});

export function createSessionRoutes(deps: SessionsApiDeps) {
  const serve =
    (work: (call: Call) => Promise<Response>) =>
    (context: { request: Request; params: Record<string, string> }): Promise<Response> =>
      answer(deps.log, context.request, renderError, async (exchange) =>
        work({
          exchange,
          registry: await deps.registry(),
          query: URL.parse(context.request.url)?.searchParams ?? new URLSearchParams(),
          params: context.params,
        }),
      );
  const body = async ({ exchange }: Call) => (await readJsonBody(exchange.request, deps)).value;
  /** For bodies that may be left out. */
  const optionalBody = async (call: Call) => (call.exchange.request.body === null ? {} : body(call));
  const sessionOf = ({ registry, params }: Call) => registry.require(params.id ?? "");
  const assertMayAnswer = async ({ exchange }: Call) => {
    if (await deps.mayAnswer(exchange.request)) return;
    throw new DaemonError(
      "forbidden",
      "A program that runs inside a session cannot answer its own permission prompts.",
    );
  };

  return new Elysia({ name: "sessions" })
    .post(
      ROOT,
      serve(async (call) => {
        const asked = toOpenSession(await body(call));
        if (!(await deps.mayAnswer(call.exchange.request))) assertNoMoreRights(asked);
        const session = await call.registry.create(asked);
        return jsonResponse(call.exchange, toSessionObject(session), { status: 201 });
      }),
      {
        parse: "none",
        detail: {
          tags,
          summary: "Create a session, or resume one of claude's own.",
          ...taking(CreateSessionBody),
          ...giving(SessionObject),
        },
      },
    )
    .get(
      ROOT,
      serve(async ({ exchange, registry, query }) => {
        const options = toListOptions(query);
        if (query.get("origin") === "terminal") {
          const items = await registry.listTerminal(options.limit);
          return jsonResponse(exchange, toList({ items, next: undefined }, toTerminalObject));
        }
        const workspace = query.get("workspace");
        const page = await registry.list({
          ...options,
          closed: toFlag(query, "closed"),
          ...(workspace === null ? {} : { workspace }),
        });
        return jsonResponse(exchange, toList(page, toSessionObject));
      }),
      {
        detail: {
          tags,
          summary:
            "Sessions, most recently active first. `origin=terminal`: those begun with `claude` that can be resumed.",
          ...giving(listOf(SessionObject)),
        },
      },
    )
    .get(
      `${ROOT}/:id`,
      serve(async (call) => jsonResponse(call.exchange, toSessionObject(await sessionOf(call)))),
      { detail: { tags, summary: "One session.", ...giving(SessionObject) } },
    )
    .delete(
      `${ROOT}/:id`,
      serve(async ({ exchange, registry, params }) =>
        jsonResponse(exchange, toSessionObject(await registry.closeSession(params.id ?? ""))),
      ),
      {
        parse: "none",
        detail: {
          tags,
          summary: "Close a session: what runs is interrupted, its past stays.",
          ...giving(SessionObject),
        },
      },
    )
    .post(
      `${ROOT}/:id/turns`,
      serve(async (call) => answerTurn(deps, call, await sessionOf(call), await body(call), assertMayAnswer)),
      {
        parse: "none",
        detail: {
          tags,
          summary: "Ask Claude. Answers with the whole turn, with `stream` its events, with `background` at once.",
          ...taking(TurnBody),
          ...giving(TurnObject),
        },
      },
    )
    .get(
      `${ROOT}/:id/turns`,
      serve(async ({ exchange, registry, params, query }) => {
        const page = await registry.turns(params.id ?? "", toListOptions(query));
        return jsonResponse(exchange, toList(page, toTurnObject));
      }),
      { detail: { tags, summary: "The turns of a session, newest first.", ...giving(listOf(TurnObject)) } },
    )
    .get(
      `${ROOT}/:id/turns/:turn`,
      serve(async ({ exchange, registry, params }) => {
        const turn = await registry.turn(params.id ?? "", params.turn ?? "");
        return jsonResponse(exchange, toTurnObject(turn));
      }),
      { detail: { tags, summary: "One turn.", ...giving(TurnObject) } },
    )
    .post(
      `${ROOT}/:id/turns/:turn/undo`,
      serve(async (call) => {
        const { dry_run: dryRun, force, paths } = validateUndo(await optionalBody(call));
        const { params } = call;
        const result = await call.registry.undo(params.id ?? "", params.turn ?? "", {
          ...(paths === undefined ? {} : { paths }),
          ...(force === undefined ? {} : { force }),
          ...(dryRun === undefined ? {} : { dryRun }),
        });
        return jsonResponse(call.exchange, toUndoObject(result));
      }),
      {
        parse: "none",
        detail: { tags, summary: "Take back what a turn (or an undo) changed.", ...taking(UndoBody, false) },
      },
    )
    .post(
      `${ROOT}/:id/interrupt`,
      serve(async (call) => {
        const session = await sessionOf(call);
        const { turn_id: turnId } = validateInterrupt(await optionalBody(call));
        const interrupted = await session.interrupt(turnId);
        return jsonResponse(call.exchange, { ...toSessionObject(session), interrupted });
      }),
      {
        parse: "none",
        detail: { tags, summary: "End the running turn, or the one that is named.", ...taking(InterruptBody, false) },
      },
    )
    .get(
      `${ROOT}/:id/events`,
      serve(async (call) => {
        const session = await sessionOf(call);
        const permissions = toFlag(call.query, "permissions");
        if (permissions) await assertMayAnswer(call);
        const after = toAfter(call.exchange.request, call.query);
        const stopAnswering = permissions ? session.permissions.addAnswerer() : undefined;
        return eventResponse(deps, call.exchange, {
          hub: session.hub,
          after,
          select: () => true,
          isLast: () => false,
          closed: () => stopAnswering?.(),
        });
      }),
      {
        detail: {
          tags,
          summary:
            "The session's events (SSE). `Last-Event-ID` or `after` goes on behind one; `permissions=1` says that you answer prompts.",
          responses: {
            200: { description: "Events.", content: { "text/event-stream": { schema: { type: "string" } } } },
          },
        },
      },
    )
    .get(
      `${ROOT}/:id/permissions`,
      serve(async (call) => {
        const session = await sessionOf(call);
        const items = session.permissions.pending;
        return jsonResponse(call.exchange, toList({ items, next: undefined }, toPendingObject));
      }),
      { detail: { tags, summary: "Permission prompts that wait." } },
    )
    .post(
      `${ROOT}/:id/permissions/:request`,
      serve(async (call) => {
        await assertMayAnswer(call);
        const session = await sessionOf(call);
        const decision = toAnswer(await body(call));
        session.permissions.answer(call.params.request ?? "", decision);
        return jsonResponse(call.exchange, { permission_id: call.params.request ?? "", behavior: decision.behavior });
      }),
      { parse: "none", detail: { tags, summary: "Answer a permission prompt.", ...taking(PermissionBody) } },
    )
    .get(
      `${ROOT}/:id/changes`,
      serve(async ({ exchange, registry, params, query }) => {
        const page = await registry.changes(params.id ?? "", toListOptions(query));
        return jsonResponse(exchange, toList(page, toChangesObject));
      }),
      { detail: { tags, summary: "What each turn changed, newest first." } },
    );
}
