/** The signature of a macOS program, on a program of three pages whose every number is known. */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { hasFittingSignature, signAdHoc } from "../../bin/mach-o.ts";

const CODE_BYTES = 2 * 4096 + 1234;
const LINKEDIT_START = 4096;

/** __TEXT, __LINKEDIT and a signature of nothing at its end. */
function program(cpu: number): Uint8Array {
  const bytes = new Uint8Array(CODE_BYTES + 100).fill(7);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 0, 32 + 72 + 72 + 16);
  for (const [index, word] of [0xfeedfacf, cpu, 3, 2, 3, 160, 0, 0].entries()) view.setUint32(index * 4, word, true);
  const segment = (offset: number, name: string, start: number, length: number) => {
    view.setUint32(offset, 0x19, true);
    view.setUint32(offset + 4, 72, true);
    bytes.set(new TextEncoder().encode(name), offset + 8);
    view.setBigUint64(offset + 40, BigInt(start), true);
    view.setBigUint64(offset + 48, BigInt(length), true);
  };
  segment(32, "__TEXT", 0, LINKEDIT_START);
  segment(104, "__LINKEDIT", LINKEDIT_START, CODE_BYTES + 100 - LINKEDIT_START);
  for (const [index, word] of [0x1d, 16, CODE_BYTES, 100].entries()) view.setUint32(176 + index * 4, word, true);
  return bytes;
}

test.each([
  ["x64", 0x01000007, 0x2000n],
  ["arm64", 0x0100000c, 0x4000n],
])("a program for %s whose signature does not fit gets one that does", (_, cpu, memoryBytes) => {
  const unsigned = program(cpu);
  expect(hasFittingSignature(unsigned)).toBe(false);
  const signed = signAdHoc(unsigned, "some.name");
  expect(hasFittingSignature(signed)).toBe(true);

  const view = new DataView(signed.buffer);
  const directory = CODE_BYTES + 20;
  const nameAndHashes = "some.name\0".length + 3 * 32;
  expect(signed.byteLength).toBe(directory + 88 + nameAndHashes);
  expect(view.getUint32(176 + 12, true)).toBe(20 + 88 + nameAndHashes);
  expect(view.getBigUint64(104 + 48, true)).toBe(BigInt(signed.byteLength - LINKEDIT_START));
  expect(view.getBigUint64(104 + 32, true)).toBe(memoryBytes);
  const words = Array.from({ length: 9 }, (_, index) => view.getUint32(directory + 4 * index));
  expect(words).toEqual([0xfade0c02, 88 + nameAndHashes, 0x20400, 0x20002, 88 + 10, 88, 0, 3, CODE_BYTES]);
  expect([...signed.subarray(directory + 36, directory + 40)]).toEqual([32, 2, 0, 12]);
  expect(view.getBigUint64(directory + 72)).toBe(BigInt(LINKEDIT_START));
  expect(view.getBigUint64(directory + 80)).toBe(1n);
  expect(new TextDecoder().decode(signed.subarray(directory + 88, directory + 98))).toBe("some.name\0");
  const last = createHash("sha256").update(signed.subarray(8192, CODE_BYTES)).digest();
  expect(Buffer.from(signed.subarray(-32))).toEqual(last);
});

test("one changed byte, wherever it is, and the signature fits no more", () => {
  const signed = signAdHoc(program(0x01000007), "some.name");
  for (const offset of [40, 5000, CODE_BYTES - 1, signed.byteLength - 1]) {
    const changed = signed.slice();
    changed[offset] = (changed[offset] ?? 0) ^ 1;
    expect({ offset, fits: hasFittingSignature(changed) }).toEqual({ offset, fits: false });
  }
});

test("what is no macOS program is not touched", () => {
  expect(() => signAdHoc(new Uint8Array(100), "some.name")).toThrow("no macOS program");
});
