import { DaemonError } from "../errors.ts";

/** Turns of one session that wait for the running one. */
export const MAX_WAITING_TURNS = 16;

interface Place {
  enter(): void;
  refuse(error: DaemonError): void;
}

export interface Entry {
  /** How many are before it; 0: its turn may begin. */
  position: number;
  /** Settles when it is its turn; rejects with `interrupted` when the signal fires first, or as `refuseAll` says. */
  entered: Promise<void>;
  /** Lets the next one in. To be called once, also after `entered` has rejected. */
  leave(): void;
}

/** First come, first served, one at a time. */
export class TurnLine {
  private readonly waiting: Place[] = [];
  private taken = false;

  get length(): number {
    return this.waiting.length;
  }

  get busy(): boolean {
    return this.taken;
  }

  /** Throws `session_busy` where too many wait. */
  join(signal: AbortSignal): Entry {
    if (this.waiting.length >= MAX_WAITING_TURNS) {
      throw new DaemonError(
        "session_busy",
        `${MAX_WAITING_TURNS} turns already wait for this session. Wait for them, or interrupt the running one.`,
      );
    }
    if (!this.taken) {
      this.taken = true;
      return { position: 0, entered: Promise.resolve(), leave: () => this.next() };
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let state: "waiting" | "in" | "out" = "waiting";
    const place: Place = {
      enter: () => {
        state = "in";
        signal.removeEventListener("abort", giveUp);
        resolve();
      },
      refuse: (error) => {
        state = "out";
        signal.removeEventListener("abort", giveUp);
        reject(error);
      },
    };
    const giveUp = () => {
      this.waiting.splice(this.waiting.indexOf(place), 1);
      place.refuse(new DaemonError("interrupted", "The turn was interrupted before it began."));
    };
    const position = this.waiting.push(place);
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
    const leave = () => {
      if (state === "in") this.next();
      state = "out";
    };
    return { position, entered: promise, leave };
  }

  refuseAll(error: DaemonError): void {
    for (const place of this.waiting.splice(0)) place.refuse(error);
  }

  private next(): void {
    const place = this.waiting.shift();
    if (place) place.enter();
    else this.taken = false;
  }
}
