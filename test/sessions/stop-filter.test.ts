import { expect, test } from "bun:test";
import fc from "fast-check";
import { StopFilter } from "../../src/sessions/stop-filter.ts";

/** The same cut by looking at the whole text at once: the prefix after which the first stop sequence is complete. */
function cutWhole(text: string, stops: string[]): { text: string; hit: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const hits = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const hit = hits.sort((left, right) => right.length - left.length)[0];
    if (hit !== undefined) return { text: text.slice(0, end - hit.length), hit };
  }
  return { text, hit: undefined };
}

function cutStreamed(parts: string[], stops: string[]): { text: string; hit: string | undefined } {
  const filter = new StopFilter(stops);
  let shown = "";
  for (const part of parts) {
    const cut = filter.push(part);
    shown += cut.text;
    if (cut.hit !== undefined) return { text: shown, hit: cut.hit };
  }
  return { text: shown + filter.flush(), hit: undefined };
}

test("the cut is the same however the text is split", () => {
  const letters = fc.constantFrom("a", "b", "c", "\n");
  const text = fc.array(letters, { maxLength: 30 }).map((list) => list.join(""));
  const stops = fc.array(fc.array(letters, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 8 }), stops, (parts, lists) => {
      const words = lists.map((list) => list.join(""));
      expect(cutStreamed(parts, words)).toEqual(cutWhole(parts.join(""), words));
    }),
    { numRuns: 2000 },
  );
});

test("text that cannot begin a stop sequence is shown at once", () => {
  const filter = new StopFilter(["END"]);
  expect(filter.push("hello E")).toEqual({ text: "hello ", hit: undefined });
  expect(filter.push("x")).toEqual({ text: "Ex", hit: undefined });
});
