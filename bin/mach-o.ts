/**
 * The code signature of a macOS program. Bun 1.4.5 leaves an x64 program that it compiled with the signature of its own
 * Bun, which no longer fits (oven-sh/bun#39837), and macOS may kill such a program when it starts. An ad-hoc signature
 * says nothing about who made it, as none does that was built at home; it only fits.
 */

const MAGIC_64 = 0xfeedfacf;
const CPU_ARM64 = 0x0100000c;
const SEGMENT_64 = 0x19;
const CODE_SIGNATURE = 0x1d;
const EMBEDDED_SIGNATURE = 0xfade0cc0;
const CODE_DIRECTORY = 0xfade0c02;
const HEADER_BYTES = 32;
/** With the fields on the executable segment, which macOS wants since 10.15. */
const DIRECTORY_VERSION = 0x20400;
const DIRECTORY_BYTES = 88;
/** Ad hoc, and made by a linker: what macOS accepts from a build without an identity. */
const FLAGS = 0x20002;
const MAIN_BINARY = 1;
const SHA256 = 2;
const HASH_BYTES = 32;
const PAGE_BITS = 12;
const PAGE_BYTES = 1 << PAGE_BITS;
/** A Bun has about 30. */
const MAX_COMMANDS = 1000;

interface Layout {
  view: DataView;
  /** Offsets of load commands. */
  signatureCommand: number;
  linkedit: number;
  textBytes: number;
  /** Where the signature begins, and so where what is signed ends. */
  codeBytes: number;
}

function layoutOf(bytes: Uint8Array): Layout {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC_64) throw new Error("this is no macOS program");
  const commands = view.getUint32(16, true);
  if (commands > MAX_COMMANDS) throw new Error("this macOS program has too many load commands");
  let signatureCommand = 0;
  let linkedit = 0;
  let textBytes = 0;
  let offset = HEADER_BYTES;
  for (let index = 0; index < commands; index++) {
    const command = view.getUint32(offset, true);
    if (command === CODE_SIGNATURE) signatureCommand = offset;
    if (command === SEGMENT_64) {
      const name = new TextDecoder().decode(bytes.subarray(offset + 8, offset + 24)).replace(/\0.*$/s, "");
      if (name === "__LINKEDIT") linkedit = offset;
      if (name === "__TEXT") textBytes = Number(view.getBigUint64(offset + 48, true));
    }
    offset += view.getUint32(offset + 4, true);
  }
  if (signatureCommand === 0 || linkedit === 0) throw new Error("this macOS program has no place for a signature");
  return { view, signatureCommand, linkedit, textBytes, codeBytes: view.getUint32(signatureCommand + 8, true) };
}

function pageHashes(bytes: Uint8Array, codeBytes: number): Uint8Array[] {
  const pages: Uint8Array[] = [];
  // The last page is hashed as far as it goes, not filled up.
  for (let start = 0; start < codeBytes; start += PAGE_BYTES) {
    const page = bytes.subarray(start, Math.min(start + PAGE_BYTES, codeBytes));
    pages.push(new Bun.CryptoHasher("sha256").update(page).digest());
  }
  return pages;
}

/** Whether the program's code directory covers all of it, and every page's hash fits. */
export function hasFittingSignature(bytes: Uint8Array): boolean {
  const { view, codeBytes } = layoutOf(bytes);
  if (codeBytes + 20 > bytes.byteLength || view.getUint32(codeBytes) !== EMBEDDED_SIGNATURE) return false;
  // Its first blob is the code directory.
  const directory = codeBytes + view.getUint32(codeBytes + 16);
  if (view.getUint32(directory) !== CODE_DIRECTORY || view.getUint32(directory + 32) !== codeBytes) return false;
  if (view.getUint8(directory + 37) !== SHA256 || view.getUint8(directory + 39) !== PAGE_BITS) return false;
  const hashes = directory + view.getUint32(directory + 16);
  const pages = pageHashes(bytes, codeBytes);
  if (view.getUint32(directory + 28) !== pages.length) return false;
  return pages.every((hash, index) => {
    const start = hashes + index * HASH_BYTES;
    return Buffer.compare(hash, bytes.subarray(start, start + HASH_BYTES)) === 0;
  });
}

/** The program with an ad-hoc signature in place of the one that it has. */
export function signAdHoc(program: Uint8Array, identifier: string): Uint8Array {
  const { codeBytes } = layoutOf(program);
  const name = new TextEncoder().encode(`${identifier}\0`);
  const pages = Math.ceil(codeBytes / PAGE_BYTES);
  const hashOffset = DIRECTORY_BYTES + name.byteLength;
  const directoryBytes = hashOffset + pages * HASH_BYTES;
  const blobBytes = 20 + directoryBytes;
  const signed = new Uint8Array(codeBytes + blobBytes);
  signed.set(program.subarray(0, codeBytes));
  const { view, signatureCommand, linkedit, textBytes } = layoutOf(signed);

  // The load commands are part of what is signed: they come first.
  view.setUint32(signatureCommand + 12, blobBytes, true);
  const linkeditBytes = BigInt(codeBytes + blobBytes) - view.getBigUint64(linkedit + 40, true);
  const memoryPage = view.getUint32(4, true) === CPU_ARM64 ? 0x4000n : 0x1000n;
  view.setBigUint64(linkedit + 32, ((linkeditBytes + memoryPage - 1n) / memoryPage) * memoryPage, true);
  view.setBigUint64(linkedit + 48, linkeditBytes, true);

  const words = [EMBEDDED_SIGNATURE, blobBytes, 1, 0, 20];
  words.push(
    CODE_DIRECTORY,
    directoryBytes,
    DIRECTORY_VERSION,
    FLAGS,
    hashOffset,
    DIRECTORY_BYTES,
    0,
    pages,
    codeBytes,
  );
  for (const [index, word] of words.entries()) view.setUint32(codeBytes + 4 * index, word);
  const directory = codeBytes + 20;
  signed.set([HASH_BYTES, SHA256, 0, PAGE_BITS], directory + 36);
  // From here: spare2, scatterOffset, teamOffset, spare3, codeLimit64, execSegBase are nothing.
  view.setBigUint64(directory + 72, BigInt(textBytes));
  view.setBigUint64(directory + 80, BigInt(MAIN_BINARY));
  signed.set(name, directory + DIRECTORY_BYTES);
  for (const [index, hash] of pageHashes(signed, codeBytes).entries()) {
    signed.set(hash, directory + hashOffset + index * HASH_BYTES);
  }
  return signed;
}
