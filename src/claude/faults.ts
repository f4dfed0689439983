/**
 * From the CLI's account of a failed turn to a `DaemonError`. The CLI reports API errors as a synthetic assistant line
 * and a `result` that is "success" with `is_error`; its texts name gateways and slash commands of the terminal, so the
 * messages here are our own. Only what the API itself said about a request (a 400) is passed on.
 */
import { DaemonError, type ErrorCode, type ErrorDetail } from "../errors.ts";
import type { Json, JsonObject } from "../turn/message.ts";
import { isObject } from "./json.ts";
import type { AssistantLine, OtherLine, ResultLine, SystemLine } from "./messages.ts";

/** What a turn's lines said about its failure, as far as they came. */
export interface FaultEvidence {
  result?: ResultLine;
  /** The last assistant line with `is_api_error_message`. */
  assistant?: AssistantLine;
  /** The last `system/api_retry`. */
  retry?: SystemLine;
  /** The last `rate_limit_event`. */
  rateLimit?: OtherLine;
  /** Claude's own tools ran in this turn: a retry could repeat their effects. */
  agentStarted: boolean;
}

/** Longest text of the API that goes into a message. */
const MAX_TEXT_CHARS = 500;

interface Facts {
  status: number | undefined;
  /** The CLI's class: authentication_failed, rate_limit, server_error, invalid_request, billing_error … */
  kind: string;
  /** The CLI's finer word where it has one: usage_limit_reached, connection_failed, media_removed … */
  cause: string;
  terminal: string;
  subtype: string;
  text: string;
}

/** Never throws; what cannot be told apart is `claude_failed`. */
export function faultOf(evidence: FaultEvidence): DaemonError {
  const facts = factsOf(evidence);
  const [code, message, detail] = classify(facts, evidence);
  const whole: ErrorDetail = evidence.agentStarted ? { ...detail, agentStarted: true } : detail;
  const cause = new Error(`${facts.subtype} ${facts.terminal} ${facts.status ?? "-"} ${facts.kind}: ${facts.text}`);
  return new DaemonError(code, message, { detail: whole, cause });
}

/** What stands behind a retry that nobody should wait for. */
export function retryFault(evidence: FaultEvidence): DaemonError {
  const status = evidence.retry?.error_status;
  const result: ResultLine = { type: "result", subtype: "api_retry", is_error: true };
  if (typeof status === "number") result.api_error_status = status;
  return faultOf({ ...evidence, result });
}

function factsOf({ result, assistant }: FaultEvidence): Facts {
  const line = (assistant ?? {}) as { [key: string]: Json | undefined };
  const status = result?.api_error_status ?? line.api_error_status;
  const errors = Array.isArray(result?.errors) ? result.errors.filter((entry) => typeof entry === "string") : [];
  return {
    status: typeof status === "number" ? status : undefined,
    kind: assistant?.error ?? "",
    cause: typeof line.api_error === "string" ? line.api_error : "",
    terminal: result?.terminal_reason ?? "",
    subtype: result?.subtype ?? "",
    text: (result?.result ?? (firstText(assistant?.message) || errors.join("; "))).slice(0, MAX_TEXT_CHARS * 2),
  };
}

type Verdict = [code: ErrorCode, message: string, detail: ErrorDetail];

function classify(facts: Facts, evidence: FaultEvidence): Verdict {
  const { status, kind, cause, terminal, subtype, text } = facts;
  if (terminal === "prompt_too_long" || terminal === "blocking_limit" || /prompt is too long/i.test(text)) {
    return contextExceeded(text);
  }
  if (subtype === "error_max_structured_output_retries") {
    return [
      "claude_failed",
      "The model did not produce JSON that matches the schema, in several attempts. Simplify the schema or the request.",
      { reason: "structured_output" },
    ];
  }
  if (kind === "billing_error" || status === 402 || /credit balance is too low/i.test(text)) {
    return ["usage_limit", "The account that claude uses has no credit left. Add credit, then try again.", {}];
  }
  if (kind === "rate_limit" || status === 429) return rateLimit(facts, evidence);
  if (kind === "authentication_failed" || status === 401 || status === 403 || /not logged in/i.test(text)) {
    return loggedOut(facts);
  }
  if (kind === "model_not_found" || status === 404) {
    return ["model_not_found", "The model API does not know this model, or this account may not use it.", {}];
  }
  if (status === 413) {
    return ["payload_too_large", "The conversation with its attachments is too large for the model API.", {}];
  }
  if (cause.startsWith("media_") || terminal === "image_error") {
    return ["invalid_request", "The model API could not process an image or document of the conversation.", {}];
  }
  if (status === 529 || status === 503 || kind === "overloaded") {
    return ["overloaded", "The model API is overloaded. Try again in a moment.", retryDetail(evidence)];
  }
  if (status === 408 || status === 504) return ["timed_out", "The model API did not answer in time. Try again.", {}];
  if (status !== undefined && status >= 400 && status < 500) {
    return ["invalid_request", `The model API refused the request: ${apiWords(text, status)}`, {}];
  }
  if (status !== undefined) {
    return ["claude_failed", `The model API failed on its own side (${status}). Try again in a moment.`, {}];
  }
  if (cause === "connection_failed" || kind === "server_error" || /connect|ECONN|network|fetch failed/i.test(text)) {
    const message = "claude could not reach the model API, or the connection broke. Check the network, then try again.";
    return ["claude_failed", message, { reason: "connection" }];
  }
  return ["claude_failed", "claude ended the turn with an error. The daemon's log says more; try again.", {}];
}

/** The CLI says only "Prompt is too long"; the numbers stand there where it (or an older one) passes the API's text. */
function contextExceeded(text: string): Verdict {
  const numbers = /(\d+) tokens > (\d+)/.exec(text);
  const size = numbers ? `: ${numbers[1]} tokens > ${numbers[2]} maximum` : "";
  const message = `prompt is too long${size}. Shorten the conversation, or start a new one.`;
  return ["context_length_exceeded", message, {}];
}

function loggedOut({ status, text }: Facts): Verdict {
  if (/invalid api key|external api key/i.test(text)) {
    const message = "The API key that claude uses was refused. Correct ANTHROPIC_API_KEY where the daemon is started.";
    return ["claude_logged_out", message, {}];
  }
  // A 403 about the login itself reads "revoked" or "log in"; any other is about what the account may do.
  if (status === 403 && !/revoked|log ?in|expired/i.test(text)) {
    return ["forbidden", "The model API does not allow this account to do that. Check the account's permissions.", {}];
  }
  const message = "claude is not logged in. Run `claude` in a terminal on the daemon's machine and log in with /login.";
  return ["claude_logged_out", message, {}];
}

function rateLimit({ cause, text }: Facts, evidence: FaultEvidence): Verdict {
  const info = evidence.rateLimit?.rate_limit_info;
  const resetsAt = isObject(info) && typeof info.resetsAt === "number" ? info.resetsAt : undefined;
  // Without an OAuth login the CLI does not read the plan headers: then it is an ordinary 429.
  const plan = cause === "usage_limit_reached" || /(hit|reached) your [a-z ]*limit|limit reached/i.test(text);
  if (plan && !/not your usage limit/i.test(text)) {
    const when = resetsAt === undefined ? "" : ` It resets at ${new Date(resetsAt * 1000).toISOString()}.`;
    return [
      "usage_limit",
      `The usage limit of the plan that claude uses is reached.${when}`,
      resetsAt === undefined ? {} : { resetsAt },
    ];
  }
  const detail = retryDetail(evidence);
  const after = detail.retryAfterSeconds;
  const when = after === undefined ? "in a moment" : `in ${after} s`;
  return ["rate_limited", `The model API limits the rate of requests. Try again ${when}.`, detail];
}

/** The CLI does not pass `retry-after` on, but the pause it announced before its last retry is made from it. */
function retryDetail({ retry }: FaultEvidence): ErrorDetail {
  const delayMs = retry?.retry_delay_ms;
  return typeof delayMs === "number" && delayMs >= 1000 ? { retryAfterSeconds: Math.ceil(delayMs / 1000) } : {};
}

/** What the API said, without the CLI's prefix. Older CLIs pass the whole body of its answer on. */
function apiWords(text: string, status: number): string {
  const words = text.replace(/^API Error: ?/, "").replace(new RegExp(`^\\(?${status}\\)?[ ·:]*`), "");
  return (bodyWords(words) ?? words).slice(0, MAX_TEXT_CHARS) || `status ${status}`;
}

/** `factsOf` may have cut the text, so it is not parsed whole. */
function bodyWords(text: string): string | undefined {
  const quoted = text.startsWith("{") ? /"message":("(?:[^"\\]|\\.)*")/.exec(text)?.[1] : undefined;
  if (quoted === undefined) return undefined;
  try {
    return String(JSON.parse(quoted));
  } catch {
    return undefined;
  }
}

function firstText(message: JsonObject | undefined): string {
  const content = message?.content;
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  for (const block of content) if (isObject(block) && typeof block.text === "string") return block.text;
  return "";
}
