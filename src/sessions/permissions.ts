/**
 * Who decides when Claude asks (docs/sessions.md): those who said that they answer prompts, within a time limit. Where nobody
 * did, the answer is no at once: a prompt that no one will ever see must not hold a turn.
 *
 * What is remembered is remembered for this session: a suggestion that would write a settings file is turned into one
 * that lives with the process.
 */
import type { PermissionAnswer, PermissionPrompt } from "../claude/transport.ts";
import { DaemonError } from "../errors.ts";
import type { JsonObject } from "../turn/message.ts";
import { PERMISSION_MODES, type PermissionMode } from "../turn/request.ts";
import type { PermissionBroker, PermissionContext } from "./contracts.ts";

/** What an approved plan is carried out in, unless the answer says otherwise: the default of agents. */
const MODE_AFTER_PLAN: PermissionMode = "acceptEdits";

/** How long a prompt waits for a person, unless the config says otherwise. */
export const DEFAULT_PERMISSION_WAIT_MS = 5 * 60_000;
/** Whoever answers prompts may be away this long (a page that reloads) before nobody is there. */
const ANSWERER_GRACE_MS = 10_000;
/** Prompts that wait at once in one session (parallel tools); one more is denied. */
const MAX_PENDING = 32;

/** Claude asks the person something, rather than for leave to do something. */
const QUESTION_TOOL = "AskUserQuestion";
/** Claude presents its plan; yes leaves plan mode. */
const PLAN_TOOL = "ExitPlanMode";

/** A person's answer, as REST and WebSocket bring it. */
export interface PermissionDecision {
  behavior: "allow" | "deny";
  /** Deny: told to Claude. */
  message?: string;
  /** Deny: the turn ends as well. */
  interrupt?: boolean;
  /** Allow: what the prompt suggested counts for the rest of the session. */
  remember?: boolean;
  /** Allow: run with this input instead. */
  updatedInput?: JsonObject;
  /** AskUserQuestion: the chosen label (or own words) for each question; several labels for a multiple choice. */
  answers?: Record<string, string | string[]>;
  /** ExitPlanMode: the mode to go on in. */
  permissionMode?: PermissionMode;
}

export interface PendingPermission {
  id: string;
  turnId: string;
  prompt: PermissionPrompt;
  /** Unix milliseconds. */
  expiresAt: number;
}

export interface PermissionsDeps {
  waitMs: number;
  graceMs?: number;
  /** The config allows bypassPermissions. */
  bypassAllowed: boolean;
  now(): number;
  /** A person's answer has changed the mode that the session goes on in. */
  modeChanged(mode: PermissionMode): void;
}

/** Throws `forbidden`: no request switches on what the config has not. */
export function assertBypassAllowed(allowed: boolean): void {
  if (allowed) return;
  throw new DaemonError("forbidden", "bypassPermissions is switched off. The daemon's config can allow it.", {
    detail: { param: "permission_mode" },
  });
}

interface Waiting extends PendingPermission {
  settle(answer: PermissionAnswer): void;
}

function denyForNobody(prompt: PermissionPrompt): string {
  if (prompt.tool === QUESTION_TOOL) {
    return "Nobody is here to answer questions. Decide by yourself, or end your turn with the question.";
  }
  if (prompt.tool === PLAN_TOOL)
    return "Nobody is here to approve the plan. End your turn with the plan as your answer.";
  return `${prompt.tool} needs permission and nobody is here to give it.`;
}

/** The questions that an AskUserQuestion prompt asks. */
function questionsOf(input: JsonObject): string[] {
  const { questions } = input;
  if (!Array.isArray(questions)) return [];
  return questions.flatMap((question) =>
    question !== null &&
    typeof question === "object" &&
    !Array.isArray(question) &&
    typeof question.question === "string"
      ? [question.question]
      : [],
  );
}

function invalid(param: string, message: string): DaemonError {
  return new DaemonError("invalid_request", message, { detail: { param } });
}

function answerQuestions(prompt: PermissionPrompt, decision: PermissionDecision): JsonObject {
  const questions = questionsOf(prompt.input);
  const given = decision.answers;
  if (given === undefined) {
    throw invalid("answers", `Claude asks a question: give an answer for each in "answers", or deny.`);
  }
  const answers: Record<string, string> = {};
  for (const question of questions) {
    const answer = Object.hasOwn(given, question) ? given[question] : undefined;
    if (answer === undefined) throw invalid("answers", `There is no answer for ${JSON.stringify(question)}.`);
    answers[question] = Array.isArray(answer) ? answer.join(", ") : answer;
  }
  return { ...prompt.input, answers };
}

/** The prompts of one session. Lives as long as it does; holds nothing but what waits. */
export class SessionPermissions implements PermissionBroker {
  private readonly waiting = new Map<string, Waiting>();
  private answerers = 0;

  constructor(private readonly deps: PermissionsDeps) {}

  /** Somebody says that they answer prompts, until a moment after the returned function is called. */
  addAnswerer(): () => void {
    this.answerers++;
    let active = true;
    return () => {
      if (!active) return;
      active = false;
      setTimeout(() => this.answerers--, this.deps.graceMs ?? ANSWERER_GRACE_MS).unref();
    };
  }

  get pending(): PendingPermission[] {
    return [...this.waiting.values()].map(({ id, turnId, prompt, expiresAt }) => ({ id, turnId, prompt, expiresAt }));
  }

  async ask(prompt: PermissionPrompt, context: PermissionContext): Promise<PermissionAnswer> {
    if (context.signal.aborted || this.answerers === 0) return { behavior: "deny", message: denyForNobody(prompt) };
    if (this.waiting.size >= MAX_PENDING) {
      return { behavior: "deny", message: "Too many permission prompts wait at once. Ask for fewer things at a time." };
    }
    const { promise, resolve } = Promise.withResolvers<PermissionAnswer>();
    const { requestId: id } = prompt;
    const expiresAt = this.deps.now() + this.deps.waitMs;
    this.waiting.set(id, { id, turnId: context.turnId, prompt, expiresAt, settle: resolve });
    const timer = setTimeout(() => resolve({ behavior: "deny", message: this.expired() }), this.deps.waitMs);
    const takenBack = () => resolve({ behavior: "deny", message: "The turn has ended." });
    context.signal.addEventListener("abort", takenBack, { once: true });
    context.emit({
      type: "permission-request",
      requestId: id,
      tool: prompt.tool,
      input: prompt.input,
      reason: prompt.description,
      suggestions: prompt.suggestions,
      toolUseId: prompt.toolUseId,
      expiresAt,
    });
    const answer = await promise;
    clearTimeout(timer);
    context.signal.removeEventListener("abort", takenBack);
    this.waiting.delete(id);
    const message = answer.behavior === "deny" ? answer.message : undefined;
    context.emit({ type: "permission-resolved", requestId: id, behavior: answer.behavior, message });
    return answer;
  }

  /**
   * A person's decision. Throws `not_found` where nothing of that id waits (answered, expired, its turn ended) and
   * `invalid_request` where the decision does not fit the prompt; the prompt then waits on.
   */
  answer(id: string, decision: PermissionDecision): PendingPermission {
    const waiting = this.waiting.get(id);
    if (!waiting) {
      throw new DaemonError(
        "not_found",
        "No permission prompt of that id waits: it was answered, it expired, or its turn has ended.",
      );
    }
    const answer = this.toAnswer(waiting.prompt, decision);
    // At once, so that a second answer finds nothing.
    this.waiting.delete(id);
    waiting.settle(answer);
    return waiting;
  }

  private expired(): string {
    const minutes = Math.round(this.deps.waitMs / 60_000);
    const time = minutes >= 1 ? `${minutes} minute${minutes === 1 ? "" : "s"}` : "time";
    return `Nobody answered the permission prompt within ${time}.`;
  }

  private toAnswer(prompt: PermissionPrompt, decision: PermissionDecision): PermissionAnswer {
    if (decision.behavior === "deny") {
      return {
        behavior: "deny",
        message: decision.message ?? "The user said no.",
        ...(decision.interrupt === true ? { interrupt: true } : {}),
      };
    }
    if (decision.permissionMode === "bypassPermissions") assertBypassAllowed(this.deps.bypassAllowed);
    const updatedInput =
      prompt.tool === QUESTION_TOOL ? answerQuestions(prompt, decision) : (decision.updatedInput ?? prompt.input);
    const updatedPermissions = this.remembered(prompt, decision);
    return {
      behavior: "allow",
      updatedInput,
      ...(updatedPermissions.length === 0 ? {} : { updatedPermissions }),
    };
  }

  /** What the CLI is to change with this answer: rules for this session, the mode to go on in. */
  private remembered(prompt: PermissionPrompt, decision: PermissionDecision): JsonObject[] {
    const updates: JsonObject[] = [];
    if (decision.remember === true) {
      for (const suggestion of prompt.suggestions) updates.push({ ...suggestion, destination: "session" });
    }
    const mode = decision.permissionMode ?? (prompt.tool === PLAN_TOOL ? MODE_AFTER_PLAN : undefined);
    if (mode !== undefined) updates.push({ type: "setMode", mode, destination: "session" });
    const allowed = updates.filter((update) => update.mode !== "bypassPermissions" || this.deps.bypassAllowed);
    const last = allowed.findLast((update) => update.type === "setMode")?.mode;
    const known = PERMISSION_MODES.find((candidate) => candidate === last);
    if (known) this.deps.modeChanged(known);
    return allowed;
  }
}
