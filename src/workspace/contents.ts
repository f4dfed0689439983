/** What is on disk at a path, and the before-contents that undo needs, kept privately per turn. */
import { constants, existsSync, lstatSync, type Stats } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readlink, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deflateRawSync, deflateSync, inflateRawSync } from "node:zlib";
import { onDisk, type RawPath } from "./paths.ts";
import type { FileState } from "./records.ts";

/** Files over this size are listed without diff, told by size and time, and not restored. */
export const MAX_FILE_BYTES = 8 * 1024 * 1024;
/** Before-contents of one turn; what goes beyond is listed but not restored. */
export const MAX_KEPT_BYTES_PER_TURN = 256 * 1024 * 1024;
/** Retention of a workspace's before-contents: whichever bound is met first ends the oldest turns' undo. */
export const MAX_KEPT_TURNS = 200;
export const MAX_KEPT_BYTES = 1024 * 1024 * 1024;
export const MAX_KEPT_AGE_MS = 30 * 24 * 60 * 60 * 1000;

/** git's name for a content. */
export function blobId(content: Uint8Array): string {
  return new Bun.CryptoHasher("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

/** Puts a content into a git directory of ours, as git would. */
export async function writeObject(gitDir: string, content: Uint8Array): Promise<void> {
  const blob = blobId(content);
  const directory = join(gitDir, "objects", blob.slice(0, 2));
  const path = join(directory, blob.slice(2));
  if (existsSync(path)) return;
  const temporary = join(directory, `tmp_obj_${crypto.randomUUID()}`);
  await mkdir(directory, { recursive: true });
  const object = deflateSync(Buffer.concat([Buffer.from(`blob ${content.length}\0`), content]), { level: 1 });
  await writeFile(temporary, object, { flag: "wx", mode: 0o400 });
  await rename(temporary, path);
}

export interface DiskState {
  state: FileState;
  /** Of files and links. */
  content?: Buffer;
}

const stampOf = (found: { size: bigint; mtimeNs: bigint; ctimeNs: bigint; ino: bigint }) =>
  `${found.size}:${found.mtimeNs}:${found.ctimeNs}:${found.ino}`;

/** Nothing, a file or a link; directories and special files count as nothing. Never follows a link at the end. */
export async function readState(path: Buffer): Promise<DiskState> {
  let found: ReturnType<typeof lstatBig>;
  try {
    found = lstatBig(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return { state: { kind: "absent" } };
    return { state: { kind: "unknown", reason: "it cannot be reached" } };
  }
  if (found === undefined) return { state: { kind: "absent" } };
  if (found.isSymbolicLink()) {
    const target = await readlink(path, { encoding: "buffer" }).catch(() => undefined);
    return target === undefined ? readState(path) : { state: { kind: "link", blob: blobId(target) }, content: target };
  }
  if (!found.isFile()) return { state: { kind: "absent" } };
  const executable = (found.mode & 0o100n) !== 0n;
  if (found.size > BigInt(MAX_FILE_BYTES)) {
    return { state: { kind: "large", bytes: Number(found.size), stamp: stampOf(found), executable } };
  }
  const content = await readContent(path);
  if (content === undefined) {
    return { state: { kind: "unknown", reason: "it could not be read", stamp: stampOf(found) } };
  }
  return { state: { kind: "file", blob: blobId(content), executable }, content };
}

function lstatBig(path: Buffer) {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

/** The bytes of a regular file, bounded; never waits for the other end of a FIFO that has taken its place. */
async function readContent(path: Buffer): Promise<Buffer | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const opened = await file.stat();
    if (!opened.isFile() || opened.size > MAX_FILE_BYTES) return undefined;
    const content = await file.readFile();
    return content.length > MAX_FILE_BYTES ? undefined : content;
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

/** The link or file that stands where a directory of `path` would have to be, if there is one. */
export function findObstacle(directory: string, path: RawPath): RawPath | undefined {
  for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
    const at = path.slice(0, end);
    const found = statOf(onDisk(directory, at));
    if (found === undefined) return undefined;
    if (!found.isDirectory()) return at;
  }
  return undefined;
}

export function statOf(path: Buffer): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

export function sameState(one: FileState, other: FileState): boolean {
  switch (one.kind) {
    case "absent":
      return other.kind === "absent";
    case "file":
      return other.kind === "file" && one.blob === other.blob && one.executable === other.executable;
    case "link":
      return other.kind === "link" && one.blob === other.blob;
    case "large":
      return other.kind === "large" && one.stamp === other.stamp && one.executable === other.executable;
    case "unknown":
      return other.kind === "unknown" && one.stamp !== undefined && one.stamp === other.stamp;
  }
}

/** Blob name, compressed length, flag: what stands before each content in a turn's file. */
const HEADER_BYTES = 40 + 4 + 1;
/** Shorter contents are stored as they are. */
const MIN_COMPRESSED_BYTES = 128;

/**
 * One turn's before-contents, appended to one file in the order they come. A record that was cut by a crash is
 * recognised by its length, and every content by its name.
 */
export class KeptContents {
  readonly #directory: string;
  readonly #turnId: string;
  readonly #path: string;
  readonly #names = new Set<string>();
  #file: FileHandle | undefined;
  #bytes = 0;

  constructor(directory: string, turnId: string) {
    this.#directory = directory;
    this.#turnId = turnId;
    this.#path = keptPath(directory, turnId);
  }

  /** Reads back what was put. */
  async read(blobs: readonly string[]): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>();
    const contents = await openKeptContents(this.#directory, this.#turnId);
    for (const blob of new Set(blobs)) {
      const content = await contents.get(blob);
      if (content !== undefined) found.set(blob, content);
    }
    await contents.close();
    return found;
  }

  has(blob: string): boolean {
    return this.#names.has(blob);
  }

  /** False: the turn's bound is reached, the content is not kept. */
  async put(blob: string, content: Uint8Array): Promise<boolean> {
    if (this.#names.has(blob)) return true;
    const deflated = content.length >= MIN_COMPRESSED_BYTES ? deflateRawSync(content, { level: 1 }) : undefined;
    const stored = deflated !== undefined && deflated.length < content.length ? deflated : content;
    if (this.#bytes + stored.length > MAX_KEPT_BYTES_PER_TURN) return false;
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(blob, "latin1");
    header.writeUInt32BE(stored.length, 40);
    header.writeUInt8(stored === content ? 0 : 1, 44);
    this.#file ??= await openKept(this.#path);
    await this.#file.appendFile(Buffer.concat([header, stored]));
    this.#bytes += HEADER_BYTES + stored.length;
    this.#names.add(blob);
    return true;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

/** Turn ids are ours, but a record comes back through a database: nothing in it becomes a path. */
function keptPath(directory: string, turnId: string): string {
  return join(directory, `${new Bun.CryptoHasher("sha256").update(turnId).digest("hex").slice(0, 32)}.kept`);
}

async function openKept(path: string): Promise<FileHandle> {
  await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
  return open(path, "a", 0o600);
}

/** Reads contents by name: `get` is undefined for what was not kept, or is gone by retention. Close it. */
export async function openKeptContents(directory: string, turnId: string) {
  const file = await open(keptPath(directory, turnId), "r").catch(() => undefined);
  const places = new Map<string, { offset: number; length: number; deflated: boolean }>();
  if (file !== undefined) {
    const { size } = await file.stat();
    const header = Buffer.alloc(HEADER_BYTES);
    for (let offset = 0; offset + HEADER_BYTES <= size; ) {
      await file.read(header, 0, HEADER_BYTES, offset);
      const length = header.readUInt32BE(40);
      offset += HEADER_BYTES;
      if (offset + length > size) break;
      places.set(header.toString("latin1", 0, 40), { offset, length, deflated: header[44] === 1 });
      offset += length;
    }
  }
  return {
    has: (blob: string) => places.has(blob),
    async get(blob: string): Promise<Buffer | undefined> {
      const place = places.get(blob);
      if (place === undefined || file === undefined) return undefined;
      const stored = Buffer.alloc(place.length);
      await file.read(stored, 0, place.length, place.offset);
      try {
        const content = place.deflated ? inflateRawSync(stored, { maxOutputLength: MAX_FILE_BYTES }) : stored;
        return blobId(content) === blob ? content : undefined;
      } catch {
        return undefined;
      }
    },
    close: async () => void (await file?.close()),
  };
}

/** Applies the retention bounds to a workspace's kept contents, oldest first. */
export async function sweepKept(directory: string, now: number): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  const files = await Promise.all(
    names.map(async (name) => {
      const found = await stat(join(directory, name)).catch(() => undefined);
      return { name, mtimeMs: found?.mtimeMs ?? 0, bytes: found?.size ?? 0 };
    }),
  );
  files.sort((one, other) => other.mtimeMs - one.mtimeMs);
  let bytes = 0;
  for (const [index, file] of files.entries()) {
    bytes += file.bytes;
    const expired = index >= MAX_KEPT_TURNS || bytes > MAX_KEPT_BYTES || now - file.mtimeMs > MAX_KEPT_AGE_MS;
    if (expired) await rm(join(directory, file.name), { force: true });
  }
}
