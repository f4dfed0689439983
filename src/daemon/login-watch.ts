/** Whether claude is logged in, as it said last; asked again where that may no longer be true. */
import { toDaemonError } from "../errors.ts";

export interface LoginWatchDeps {
  /** Starts a claude and asks it: half a second of a core. */
  ask(): Promise<boolean>;
  /** Turns that have failed so far because claude was logged out. */
  failures(): number;
  /** Milliseconds of a clock that never jumps. */
  now(): number;
}

export interface LoginWatch {
  /** Undefined until claude has been asked. */
  loggedIn(): boolean | undefined;
  /** Why it could not be asked, or what to do about its login. */
  problem(): string | undefined;
  /** What claude said to somebody else. */
  learn(loggedIn: boolean): void;
  /** Asks again where the last answer was bad news or a turn has met a missing login since. Never rejects. */
  look(): Promise<void>;
}

/** Least time between two questions: somebody may poll health while logged out. */
const MIN_INTERVAL_MS = 10_000;

export function createLoginWatch(deps: LoginWatchDeps): LoginWatch {
  let loggedIn: boolean | undefined;
  let failure: string | undefined;
  let failuresThen = 0;
  let askedAt = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;

  const learn = (answer: boolean) => {
    loggedIn = answer;
    failure = undefined;
    failuresThen = deps.failures();
  };
  const ask = async () => {
    askedAt = deps.now();
    try {
      learn(await deps.ask());
    } catch (error) {
      failure = `claude could not be asked: ${toDaemonError(error).message}`;
    } finally {
      asking = undefined;
    }
  };
  return {
    loggedIn: () => loggedIn,
    problem: () =>
      failure ?? (loggedIn === false ? "claude is not logged in. Run `claude` once and log in." : undefined),
    learn,
    look: () => {
      if (asking) return asking;
      const believable = loggedIn === true && failure === undefined && deps.failures() === failuresThen;
      if (believable || deps.now() - askedAt < MIN_INTERVAL_MS) return Promise.resolve();
      asking = ask();
      return asking;
    },
  };
}
