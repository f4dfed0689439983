/** Bodies and queries of the code API, translated. Pure; throws `invalid_request` naming the field. */
import type { OpenSession } from "../../sessions/agent-sessions.ts";
import { type CodeRequest, toAgentModel, toDecision, toFiles } from "../../sessions/code-request.ts";
import type { PermissionDecision } from "../../sessions/permissions.ts";
import type { SessionOptions } from "../../store/records.ts";
import type { ListOptions } from "../../store/store.ts";
import { PermissionBody } from "../shared/code-schema.ts";
import { createValidator, invalidField } from "../shared/validation.ts";
import { CreateSessionBody, InterruptBody, TurnBody, UndoBody } from "./schema.ts";

const DEFAULT_PAGE = 20;
const MAX_PAGE = 100;
const MAX_CURSOR_CHARS = 64;

const validateCreate = createValidator(CreateSessionBody);
const validateTurn = createValidator(TurnBody);
const validateAnswer = createValidator(PermissionBody);
export const validateInterrupt = createValidator(InterruptBody);
export const validateUndo = createValidator(UndoBody);

type WorkFields = Pick<TurnBody, "append_system_prompt" | "allowed_tools" | "disallowed_tools" | "max_turns">;

function toOptions(body: WorkFields & { system_prompt?: string }): SessionOptions {
  return {
    ...(body.system_prompt === undefined ? {} : { systemPrompt: body.system_prompt }),
    ...(body.append_system_prompt === undefined ? {} : { appendSystemPrompt: body.append_system_prompt }),
    ...(body.allowed_tools === undefined ? {} : { allowedTools: body.allowed_tools }),
    ...(body.disallowed_tools === undefined ? {} : { disallowedTools: body.disallowed_tools }),
    ...(body.max_turns === undefined ? {} : { maxTurns: body.max_turns }),
  };
}

export function toOpenSession(value: unknown): OpenSession & { resume?: string; fork?: boolean } {
  const body = validateCreate(value);
  if (body.fork === true && body.resume === undefined)
    throw invalidField("fork", "there is nothing to fork: give resume too.");
  return {
    workspace: body.workspace,
    model: toAgentModel(body.model),
    options: toOptions(body),
    ...(body.permission_mode === undefined ? {} : { permissionMode: body.permission_mode }),
    ...(body.title === undefined ? {} : { title: body.title }),
    ...(body.resume === undefined ? {} : { resume: body.resume.toLowerCase() }),
    ...(body.fork === undefined ? {} : { fork: body.fork }),
  };
}

export interface TurnCall {
  request: CodeRequest;
  mode: "whole" | "stream" | "background";
  /** Whoever asks says that they answer permission prompts. */
  permissions: boolean;
}

export function toTurnCall(value: unknown): TurnCall {
  const body = validateTurn(value);
  if (body.stream === true && body.background === true) {
    throw invalidField("background", "a turn in the background has no stream of its own; read the session's events.");
  }
  return {
    request: {
      text: body.prompt,
      options: toOptions(body),
      ...(body.context?.files === undefined ? {} : { files: toFiles(body.context.files) }),
      ...(body.model === undefined ? {} : { model: toAgentModel(body.model) }),
      ...(body.permission_mode === undefined ? {} : { permissionMode: body.permission_mode }),
      ...(body.expand === undefined ? {} : { expand: body.expand }),
    },
    mode: body.stream === true ? "stream" : body.background === true ? "background" : "whole",
    permissions: body.permissions ?? false,
  };
}

export function toAnswer(value: unknown): PermissionDecision {
  return toDecision(validateAnswer(value));
}

export function toListOptions(query: URLSearchParams): ListOptions {
  const limit = query.get("limit");
  const before = query.get("before");
  const number = limit === null ? DEFAULT_PAGE : Number(limit);
  if (!Number.isInteger(number) || number < 1 || number > MAX_PAGE) {
    throw invalidField("limit", `must be a whole number from 1 to ${MAX_PAGE}.`);
  }
  if (before !== null && (before.length > MAX_CURSOR_CHARS || !/^[\d.]+$/.test(before))) {
    throw invalidField("before", "must be the `next` of an earlier page.");
  }
  return { limit: number, ...(before === null ? {} : { before }) };
}

export function toFlag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === "0" || value === "false") return false;
  if (value === "" || value === "1" || value === "true") return true;
  throw invalidField(name, "must be true or false.");
}

/** Where a reader of events goes on: `Last-Event-ID` (what a browser sends by itself), or `after`. */
export function toAfter(request: Request, query: URLSearchParams): number | undefined {
  const value = request.headers.get("last-event-id") ?? query.get("after");
  if (value === null || value === "") return undefined;
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) {
    throw invalidField("after", "must be the seq of an event of this session.");
  }
  return number;
}
