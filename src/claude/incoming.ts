/**
 * What the CLI asks of us: permission prompts, calls of client tools, hook callbacks. Every request is answered exactly
 * once, also where nobody listens; a request that the CLI takes back is forgotten.
 */
import type { Logger } from "../log.ts";
import type { Json, JsonObject } from "../turn/message.ts";
import { CLIENT_TOOLS_SERVER } from "./args.ts";
import type { ClientToolServer } from "./client-tools.ts";
import { ControlAnswers } from "./control.ts";
import { isObject } from "./json.ts";
import type { ClientCallResult, PermissionAnswer, ProcessListener } from "./transport.ts";

const EDIT_CALLBACK = "edits";
/** The CLI goes on without our answer after this; a before-state has half of it (`workspace/turn-changes.ts`). */
const EDIT_HOOK_TIMEOUT_SECONDS = 60;
/** Requests of the CLI that may wait for people and clients at once. */
const MAX_WAITING = 1000;

/**
 * `initialize.hooks`, for every tool: Bash and MCP servers change files too, and none may before the before-state of the
 * turn is taken. A failed callback does not block the tool: undo then lacks a file.
 */
export function editHooks(): JsonObject {
  return {
    PreToolUse: [{ matcher: "*", hookCallbackIds: [EDIT_CALLBACK], timeout: EDIT_HOOK_TIMEOUT_SECONDS }],
  };
}

interface WaitingCall {
  requestId: string;
  rpcId: string;
  answer(result: ClientCallResult): JsonObject;
  cancelled: JsonObject;
}

export interface IncomingDeps {
  write(line: JsonObject): void;
  listener(): ProcessListener | undefined;
  logger: Logger;
}

export class IncomingRequests {
  readonly #deps: IncomingDeps;
  readonly #answers: ControlAnswers;
  /** By the id that the owner knows. */
  readonly #calls = new Map<string, WaitingCall>();
  readonly #prompts = new Map<string, JsonObject>();
  #server: ClientToolServer | undefined;

  constructor(deps: IncomingDeps) {
    this.#deps = deps;
    this.#answers = new ControlAnswers(deps.write);
  }

  offer(server: ClientToolServer): void {
    this.#server = server;
  }

  handle(id: string, request: JsonObject & { subtype: string }): void {
    if (!this.#answers.open(id)) {
      this.#deps.logger.warn("claude repeated the id of an open request", { subtype: request.subtype });
      return;
    }
    switch (request.subtype) {
      case "can_use_tool":
        this.#permission(id, request);
        return;
      case "mcp_message":
        this.#toolMessage(id, request);
        return;
      case "hook_callback":
        this.#hook(id, request);
        return;
      default:
        this.#deps.logger.debug("claude asked for something unknown", { subtype: request.subtype });
        this.#answers.fail(id, `This client does not answer ${request.subtype}.`);
    }
  }

  /** The CLI took one of its requests back. */
  cancel(id: string): void {
    if (!this.#answers.cancel(id)) return;
    if (this.#prompts.delete(id)) this.#deps.listener()?.cancelled(id);
    for (const [callId, call] of this.#calls) {
      if (call.requestId !== id) continue;
      this.#calls.delete(callId);
      this.#deps.listener()?.cancelled(callId);
    }
  }

  answerClientCall(callId: string, result: ClientCallResult): boolean {
    const call = this.#calls.get(callId);
    if (!call) return false;
    this.#calls.delete(callId);
    return this.#answers.succeed(call.requestId, call.answer(result));
  }

  answerPermission(requestId: string, answer: PermissionAnswer): boolean {
    const input = this.#prompts.get(requestId);
    if (!input) return false;
    this.#prompts.delete(requestId);
    if (answer.behavior === "deny") {
      const { message, interrupt } = answer;
      return this.#answers.succeed(requestId, {
        behavior: "deny",
        message,
        ...(interrupt === undefined ? {} : { interrupt }),
      });
    }
    const response: JsonObject = { behavior: "allow", updatedInput: answer.updatedInput ?? input };
    if (answer.updatedPermissions !== undefined)
      response.updatedPermissions = answer.updatedPermissions.map(forThisSession);
    return this.#answers.succeed(requestId, response);
  }

  #permission(id: string, request: JsonObject): void {
    const tool = typeof request.tool_name === "string" ? request.tool_name : "";
    const input = isObject(request.input) ? request.input : {};
    const listener = this.#deps.listener();
    // The client's own tools are its own to run or not: asking about them would ask the same person twice.
    if (tool.startsWith(`mcp__${CLIENT_TOOLS_SERVER}__`)) {
      this.#answers.succeed(id, { behavior: "allow", updatedInput: input });
      return;
    }
    if (!listener || this.#prompts.size >= MAX_WAITING) {
      this.#answers.succeed(id, { behavior: "deny", message: "Nobody is there to allow this." });
      return;
    }
    this.#prompts.set(id, input);
    listener.permission({
      requestId: id,
      tool,
      input,
      toolUseId: text(request.tool_use_id),
      description: text(request.description) ?? text(request.decision_reason),
      suggestions: Array.isArray(request.permission_suggestions) ? request.permission_suggestions.filter(isObject) : [],
    });
  }

  #toolMessage(id: string, request: JsonObject): void {
    const server = this.#server;
    if (!server || request.server_name !== server.name) {
      this.#answers.fail(id, "There is no such server here.");
      return;
    }
    const step = server.step(request.message);
    if (step.kind === "answer") {
      this.#answers.succeed(id, step.response);
      return;
    }
    if (step.kind === "cancelled") {
      for (const [callId, call] of this.#calls) {
        if (call.rpcId !== step.rpcId) continue;
        this.#calls.delete(callId);
        this.#answers.succeed(call.requestId, call.cancelled);
        this.#deps.listener()?.cancelled(callId);
      }
      this.#answers.succeed(id, step.response);
      return;
    }
    const listener = this.#deps.listener();
    const { call, rpcId, answer, cancelled } = step;
    if (!listener || this.#calls.has(call.callId) || this.#calls.size >= MAX_WAITING) {
      this.#answers.succeed(id, cancelled);
      return;
    }
    this.#calls.set(call.callId, { requestId: id, rpcId, answer, cancelled });
    listener.clientCall(call);
  }

  #hook(id: string, request: JsonObject): void {
    const input = isObject(request.input) ? request.input : {};
    const listener = this.#deps.listener();
    const done = () => void this.#answers.succeed(id, {});
    if (!listener || request.callback_id !== EDIT_CALLBACK) {
      done();
      return;
    }
    listener
      .beforeEdit(text(input.tool_name) ?? "", isObject(input.tool_input) ? input.tool_input : {})
      .then(done, (error: unknown) => {
        this.#deps.logger.warn("the state before an edit could not be kept", { error: String(error) });
        done();
      });
  }
}

function text(value: Json | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Some suggestions would write the user's settings files; an answer through the daemon is for this session. */
function forThisSession(update: JsonObject): JsonObject {
  return { ...update, destination: "session" };
}
