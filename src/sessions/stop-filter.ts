/**
 * Cuts text exactly before the first stop sequence, however the text is split. Where several match, the one that is
 * complete first counts (as the model API itself stops), so the cut does not depend on the split.
 */
export interface StopCut {
  /** What may be shown now. */
  text: string;
  /** The stop sequence that ended the text; nothing may be shown after it. */
  hit: string | undefined;
}

export class StopFilter {
  /** Text that could be the beginning of a stop sequence: shorter than the longest of them. */
  private held = "";

  constructor(private readonly stops: readonly string[]) {}

  push(text: string): StopCut {
    const whole = this.held + text;
    let cut: { end: number; stop: string } | undefined;
    for (const stop of this.stops) {
      const at = whole.indexOf(stop);
      if (at < 0) continue;
      const end = at + stop.length;
      if (!cut || end < cut.end || (end === cut.end && stop.length > cut.stop.length)) cut = { end, stop };
    }
    if (cut) {
      this.held = "";
      return { text: whole.slice(0, cut.end - cut.stop.length), hit: cut.stop };
    }
    const hold = this.longestHold(whole);
    this.held = whole.slice(whole.length - hold);
    return { text: whole.slice(0, whole.length - hold), hit: undefined };
  }

  /** The block is over: what was held is text after all. */
  flush(): string {
    const { held } = this;
    this.held = "";
    return held;
  }

  /** Length of the longest end of `text` with which a stop sequence begins. */
  private longestHold(text: string): number {
    let longest = 0;
    for (const stop of this.stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
