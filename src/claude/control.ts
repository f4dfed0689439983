/**
 * Control requests, both ways. Ours: correlated, each with its own time limit (older CLIs never answer a subtype they do
 * not know). The CLI's: answered exactly once, in the shapes below and no other.
 */
import { DaemonError } from "../errors.ts";
import type { Json, JsonObject } from "../turn/message.ts";

/** Time for a control request that has no limit of its own. */
export const CONTROL_TIMEOUT_MS = 30_000;
/** Requests of ours that may be unanswered at once; more means that the CLI has stopped listening. */
const MAX_OPEN_REQUESTS = 256;

type WriteLine = (line: JsonObject) => void;

interface Waiting {
  subtype: string;
  timer: ReturnType<typeof setTimeout>;
  resolve(response: JsonObject): void;
  reject(error: DaemonError): void;
}

/** Our requests to one process. */
export class ControlRequests {
  readonly #write: WriteLine;
  readonly #waiting = new Map<string, Waiting>();
  #next = 1;
  #closed: DaemonError | undefined;

  constructor(write: WriteLine) {
    this.#write = write;
  }

  /**
   * Settles with the answer's payload. Throws `unsupported` where the CLI refuses the request, `timed_out` where it does
   * not answer in time (a late answer is dropped), and what `close` was given when the process goes.
   */
  send(subtype: string, payload: JsonObject, timeoutMs: number = CONTROL_TIMEOUT_MS): Promise<JsonObject> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#waiting.size >= MAX_OPEN_REQUESTS)
      return Promise.reject(new DaemonError("claude_failed", "Claude Code has stopped answering. Try again."));
    const id = `daemon-${this.#next++}`;
    const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
    const timer = setTimeout(() => {
      this.#waiting.delete(id);
      reject(
        new DaemonError("timed_out", `Claude Code did not answer "${subtype}" within ${timeoutMs} ms. Try again.`),
      );
    }, timeoutMs);
    this.#waiting.set(id, { subtype, timer, resolve, reject });
    this.#write({ type: "control_request", request_id: id, request: { ...payload, subtype } });
    return promise;
  }

  /** Takes an answer; false for an id that is not ours or no longer waits (late, repeated, forged). */
  settle(id: string, result: { response: JsonObject } | { error: string }): boolean {
    const waiting = this.#waiting.get(id);
    if (!waiting) return false;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if ("response" in result) waiting.resolve(result.response);
    else
      waiting.reject(
        new DaemonError("unsupported", `Claude Code refused "${waiting.subtype}". A newer version may know it.`, {
          cause: new Error(result.error),
        }),
      );
    return true;
  }

  /** Fails whatever still waits, and everything sent later. */
  close(error: DaemonError): void {
    this.#closed = error;
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(error);
    }
    this.#waiting.clear();
  }
}

/** The CLI's requests that wait for us. Each can be answered once; what was cancelled or answered is gone. */
export class ControlAnswers {
  readonly #write: WriteLine;
  readonly #open = new Set<string>();

  constructor(write: WriteLine) {
    this.#write = write;
  }

  /** False where the id is already open: a second request under one id could draw an answer meant for the first. */
  open(id: string): boolean {
    if (this.#open.has(id)) return false;
    this.#open.add(id);
    return true;
  }

  succeed(id: string, response: Json): boolean {
    if (!this.#open.delete(id)) return false;
    this.#write({ type: "control_response", response: { subtype: "success", request_id: id, response } });
    return true;
  }

  fail(id: string, error: string): boolean {
    if (!this.#open.delete(id)) return false;
    this.#write({ type: "control_response", response: { subtype: "error", request_id: id, error } });
    return true;
  }

  /** The CLI took it back: there is nothing to answer any more. */
  cancel(id: string): boolean {
    return this.#open.delete(id);
  }
}
