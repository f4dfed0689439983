import { ROUND_SEPARATOR } from "../../turn/collect.ts";

/** Streams the texts of an answer so that they read as `joinText` gives them whole. One for text, one for thinking. */
export interface RoundJoiner {
  /** Any text so far. */
  readonly any: boolean;
  /** `tool-start`, `tool-run` or `notice`: Claude's own work. */
  work(): void;
  /** A block begins. */
  begin(): void;
  /** A delta that is not empty, as it is to be shown. */
  join(delta: string): string;
}

export function createRoundJoiner(): RoundJoiner {
  let round = 0;
  let blockRound = 0;
  let shownRound = -1;
  return {
    get any() {
      return shownRound >= 0;
    },
    work() {
      round++;
    },
    begin() {
      blockRound = round;
    },
    join(delta) {
      if (shownRound === blockRound) return delta;
      const shown = shownRound < 0 ? delta : ROUND_SEPARATOR + delta;
      shownRound = blockRound;
      return shown;
    },
  };
}
