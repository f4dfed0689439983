/**
 * What the gate refused: counted, and told in the log once for each cause. A page that asks again and again, or with ever
 * new origins, cannot fill a disk with it.
 */
import type { RefusalFacts } from "../api/system/health.ts";
import type { DaemonError } from "../errors.ts";
import type { Logger } from "../log.ts";

/** A cause is told again after this long, and at most so many causes are told in that time. */
const WINDOW_MS = 10 * 60_000;
const MAX_LINES = 20;

export interface Refusals {
  /** Takes note of one refusal. Never throws. */
  add(request: Request, error: DaemonError): void;
  facts(): RefusalFacts;
}

/** `now` is monotonic, in milliseconds. */
export function createRefusals({ log, now }: { log: Logger; now(): number }): Refusals {
  const byReason = new Map<string, number>();
  const told = new Set<string>();
  let windowStart = now();
  let untold = 0;
  let last: { reason: string; message: string; at: number } | undefined;

  const tell = (reason: string, request: Request, error: DaemonError) => {
    if (now() - windowStart >= WINDOW_MS) {
      told.clear();
      windowStart = now();
    }
    const origin = request.headers.get("origin") ?? undefined;
    const host = request.headers.get("host") ?? undefined;
    const cause = `${reason} ${origin} ${host}`;
    if (told.has(cause) || told.size >= MAX_LINES) {
      untold += 1;
      return;
    }
    told.add(cause);
    const { message } = error;
    log.warn("request refused", { reason, method: request.method, origin, host, untold: untold || undefined, message });
    untold = 0;
  };

  return {
    add: (request, error) => {
      // Closed sets both: a caller cannot make up reasons.
      const reason = error.detail.reason ?? error.code;
      byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
      last = { reason, message: error.message, at: now() };
      tell(reason, request, error);
    },
    facts: () => ({
      byReason: Object.fromEntries(byReason),
      last: last && { reason: last.reason, message: last.message, secondsAgo: (now() - last.at) / 1000 },
    }),
  };
}
