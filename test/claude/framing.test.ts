import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { createLineFramer } from "../../src/claude/framing.ts";

const encode = (text: string) => new TextEncoder().encode(text);

test("any text cut anywhere comes back as its lines", () => {
  const line = fc
    .string({ unit: "binary", maxLength: 30 })
    .map((text) => text.replaceAll("\n", "\u2028").toWellFormed());
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.array(fc.nat({ max: 9 }), { minLength: 1 }), (lines, sizes) => {
      const bytes = encode(lines.map((text) => `${text}\n`).join(""));
      const framer = createLineFramer();
      const got: string[] = [];
      let position = 0;
      for (let turn = 0; position < bytes.length; turn++) {
        const size = (sizes[turn % sizes.length] ?? 0) + 1;
        got.push(...framer.push(bytes.slice(position, position + size)));
        position += size;
      }
      expect(got).toEqual(lines);
      expect(framer.pendingBytes).toBe(0);
    }),
  );
});

test("a line at the bound passes, one byte more throws, however it arrives", () => {
  for (const step of [1, 7, 100]) {
    const framer = createLineFramer(20);
    const feed = (text: string) => {
      const out: string[] = [];
      for (let at = 0; at < text.length; at += step) out.push(...framer.push(encode(text.slice(at, at + step))));
      return out;
    };
    expect(feed(`${"a".repeat(20)}\nb\n`)).toEqual(["a".repeat(20), "b"]);
    expect(() => feed("a".repeat(21))).toThrow(/line without end/);
  }
});

test("what is left of an unfinished line is counted", () => {
  const framer = createLineFramer();
  expect(framer.push(encode('{"a":1}\n{"b'))).toEqual(['{"a":1}']);
  expect(framer.pendingBytes).toBe(3);
});

test("bytes that are no UTF-8 do not stop it", () => {
  expect(createLineFramer().push(new Uint8Array([0xff, 0xfe, 10, 65, 10]))).toEqual(["\ufffd\ufffd", "A"]);
});
