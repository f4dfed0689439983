/**
 * The one error taxonomy. Everything that can fail toward a caller throws a `DaemonError`; each wire format renders
 * every code (`satisfies Record<ErrorCode, …>`), the CLI exits with `exit`.
 */

interface ErrorTraits {
  /** HTTP status before the first byte of a response. Formats may differ where their contract says so. */
  http: number;
  /** Whether sending the same request again may succeed. */
  retryable: boolean;
  /** Exit code of the CLI (sysexits where one fits; 78 tells systemd not to restart). */
  exit: number;
}

export const ERRORS = {
  invalid_request: { http: 400, retryable: false, exit: 64 },
  context_length_exceeded: { http: 400, retryable: false, exit: 1 },
  unauthenticated: { http: 401, retryable: false, exit: 77 },
  claude_logged_out: { http: 401, retryable: false, exit: 77 },
  forbidden: { http: 403, retryable: false, exit: 77 },
  not_found: { http: 404, retryable: false, exit: 1 },
  model_not_found: { http: 404, retryable: false, exit: 1 },
  method_not_allowed: { http: 405, retryable: false, exit: 64 },
  request_timeout: { http: 408, retryable: true, exit: 75 },
  session_busy: { http: 409, retryable: false, exit: 75 },
  payload_too_large: { http: 413, retryable: false, exit: 65 },
  unsupported_media_type: { http: 415, retryable: false, exit: 65 },
  misdirected: { http: 421, retryable: false, exit: 64 },
  queue_full: { http: 429, retryable: true, exit: 75 },
  rate_limited: { http: 429, retryable: true, exit: 75 },
  usage_limit: { http: 429, retryable: false, exit: 75 },
  interrupted: { http: 499, retryable: false, exit: 130 },
  internal: { http: 500, retryable: true, exit: 70 },
  unsupported: { http: 501, retryable: false, exit: 64 },
  claude_failed: { http: 502, retryable: true, exit: 69 },
  claude_crashed: { http: 502, retryable: true, exit: 69 },
  claude_missing: { http: 503, retryable: false, exit: 78 },
  overloaded: { http: 503, retryable: true, exit: 75 },
  timed_out: { http: 504, retryable: true, exit: 75 },
} as const satisfies Record<string, ErrorTraits>;

export type ErrorCode = keyof typeof ERRORS;

/** Facts a format may put into its own shape. Everything here is safe for a client. */
export interface ErrorDetail {
  /** The offending field in the client's own words, e.g. `messages[2].content`. */
  param?: string;
  /** Seconds after which the same request may succeed (Retry-After). */
  retryAfterSeconds?: number;
  /** When a usage limit resets, as Unix seconds. */
  resetsAt?: number;
  /** True once the agent began to work: a retry could run its side effects twice. */
  agentStarted?: boolean;
  /** Methods that are allowed, for `method_not_allowed`. */
  allow?: readonly string[];
  /** A sub-code that a format's clients branch on (e.g. `unknown_url`, `thread_unsupported_request`). */
  reason?: string;
  /** Exit code of the CLI where it differs from the table's: 78 for a configuration that a person must correct. */
  exit?: number;
}

/**
 * A failure that a caller is told about. `message` is safe for a client and says what to do next; `cause`, stderr and
 * paths go to the log only.
 */
export class DaemonError extends Error {
  override readonly name = "DaemonError";
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, message: string, options: { detail?: ErrorDetail; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail ?? {};
  }

  get traits(): ErrorTraits {
    return ERRORS[this.code];
  }

  /** Whether an SDK should be told to retry: never once an agent has begun to work. */
  get shouldRetry(): boolean {
    return this.traits.retryable && this.detail.agentStarted !== true;
  }
}

/** Turns anything thrown into a `DaemonError`; what we did not foresee is `internal`, never the client's fault. */
export function toDaemonError(error: unknown): DaemonError {
  if (error instanceof DaemonError) return error;
  return new DaemonError("internal", "The daemon failed on its own side. Its log says more; please report it.", {
    cause: error,
  });
}

/** For exhaustive switches: a new variant must not compile until every switch has decided. */
export function assertNever(value: never): never {
  throw new Error(`unreachable variant: ${JSON.stringify(value)}`);
}
