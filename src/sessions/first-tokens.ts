/** The last first tokens, exactly: a histogram's buckets are too coarse for a median that a person reads. */
import { START_KINDS, type StartKind } from "./contracts.ts";

/** Turns that are remembered. */
const WINDOW = 512;

export interface Median {
  turns: number;
  /** Undefined where there were none. */
  medianSeconds: number | undefined;
}

export interface FirstTokens extends Median {
  byStart: Partial<Record<StartKind, Median>>;
}

/** The newest `WINDOW` observations, in a ring. */
export class FirstTokenWindow {
  private readonly seconds = new Float64Array(WINDOW);
  private readonly kinds = new Uint8Array(WINDOW);
  private seen = 0;

  add(kind: StartKind, seconds: number): void {
    const at = this.seen++ % WINDOW;
    this.seconds[at] = seconds;
    this.kinds[at] = START_KINDS.indexOf(kind);
  }

  summary(): FirstTokens {
    const held = Math.min(this.seen, WINDOW);
    const byStart: FirstTokens["byStart"] = {};
    for (const [index, kind] of START_KINDS.entries()) {
      const own = this.seconds.subarray(0, held).filter((_, at) => this.kinds[at] === index);
      if (own.length > 0) byStart[kind] = medianOf(own);
    }
    return { ...medianOf(this.seconds.slice(0, held)), byStart };
  }
}

/** Sorts in place. */
function medianOf(values: Float64Array): Median {
  values.sort();
  const middle = values.length / 2;
  const [low, high] = [values[Math.ceil(middle) - 1], values[Math.floor(middle)]];
  return {
    turns: values.length,
    medianSeconds: low === undefined || high === undefined ? undefined : (low + high) / 2,
  };
}
