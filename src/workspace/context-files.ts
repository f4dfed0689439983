/**
 * Reading `context.files` of a request: only regular text files within the workspace, bounded, and
 * never opened in a way that could hang or follow a link out.
 */
import { constants } from "node:fs";
import { type FileHandle, lstat, open, realpath } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { DaemonError } from "../errors.ts";
import type { TextBlock } from "../turn/message.ts";
import { isWithin, MAX_PATH_BYTES } from "./resolve.ts";

export const MAX_CONTEXT_FILES = 100;
export const MAX_CONTEXT_FILE_BYTES = 1024 * 1024;
export const MAX_CONTEXT_TOTAL_BYTES = 4 * 1024 * 1024;

/** A path to read, or a file whose content the client sends along. */
export type ContextFile = string | { path: string; content?: string };

export interface ContextOptions {
  /** Real path (`resolveWorkspace`). */
  workspace: string;
  /** Real directories that are never read (the daemon's state). */
  denied?: readonly string[];
}

function refuse(
  index: number,
  message: string,
  code: "invalid_request" | "forbidden" | "payload_too_large",
): DaemonError {
  return new DaemonError(code, message, { detail: { param: `context.files[${index}]` } });
}

/** As a person reads it, quoted: a name may hold newlines, quotes or what looks like our own wrapper (P6). */
const quote = (path: string) => JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);

/** Reads at most `limit` bytes; undefined where there is more, however small the file said it was (it may grow). */
async function readBounded(file: FileHandle, limit: number): Promise<Buffer | undefined> {
  const buffer = Buffer.allocUnsafe(limit + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
  }
  return undefined;
}

async function readWithin(path: string, index: number, options: ContextOptions): Promise<string> {
  const named = quote(path);
  if (path === "" || path.includes("\0") || Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw refuse(index, `The path ${named} cannot be a file.`, "invalid_request");
  }
  const asked = resolve(options.workspace, path);
  const outside = () =>
    refuse(index, `The file ${named} lies outside the workspace. Send its content along instead.`, "forbidden");
  const permitted = (real: string) =>
    isWithin(options.workspace, real) && !options.denied?.some((directory) => isWithin(directory, real));
  const missing = () => refuse(index, `The file ${named} does not exist or cannot be read.`, "invalid_request");
  const real = await realpath(asked).catch(() => undefined);
  if (real === undefined) throw isWithin(options.workspace, asked) ? missing() : outside();
  if (!permitted(real)) throw outside();
  // O_NONBLOCK: opening a FIFO or a device would wait for its other end.
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (file === undefined) throw missing();
  try {
    const opened = await file.stat();
    // A directory on the way may have become a link since: what we hold must be what the checked name leads to.
    const again = await realpath(asked).catch(() => undefined);
    const now = again === undefined ? undefined : await lstat(again).catch(() => undefined);
    if (again === undefined || !permitted(again) || now?.ino !== opened.ino || now.dev !== opened.dev) throw outside();
    if (!opened.isFile()) throw refuse(index, `${named} is not a regular file.`, "invalid_request");
    const tooLarge = () =>
      refuse(index, `The file ${named} is larger than ${MAX_CONTEXT_FILE_BYTES} bytes.`, "payload_too_large");
    if (opened.size > MAX_CONTEXT_FILE_BYTES) throw tooLarge();
    const bytes = await readBounded(file, MAX_CONTEXT_FILE_BYTES);
    if (bytes === undefined) throw tooLarge();
    if (bytes.includes(0))
      throw refuse(index, `The file ${named} is binary; only text can be sent.`, "invalid_request");
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw refuse(index, `The file ${named} is not UTF-8 text.`, "invalid_request");
    }
  } finally {
    await file.close();
  }
}

/**
 * The files as text blocks, one each, to stand before the client's own text. Each names its path quoted and fences the
 * content with a line that the content cannot contain. Throws `invalid_request`, `forbidden`, `payload_too_large`.
 */
export async function readContextFiles(files: readonly ContextFile[], options: ContextOptions): Promise<TextBlock[]> {
  if (files.length > MAX_CONTEXT_FILES) {
    throw new DaemonError("payload_too_large", `At most ${MAX_CONTEXT_FILES} context files are taken at once.`, {
      detail: { param: "context.files" },
    });
  }
  const blocks: TextBlock[] = [];
  let totalBytes = 0;
  for (const [index, file] of files.entries()) {
    const path = typeof file === "string" ? file : file.path;
    const inline = typeof file === "string" ? undefined : file.content;
    const content = inline ?? (await readWithin(path, index, options));
    totalBytes += Buffer.byteLength(content);
    if (totalBytes > MAX_CONTEXT_TOTAL_BYTES) {
      throw refuse(
        index,
        `The context files are larger than ${MAX_CONTEXT_TOTAL_BYTES} bytes together.`,
        "payload_too_large",
      );
    }
    const absolute = resolve(options.workspace, path);
    const shown = isWithin(options.workspace, absolute) ? relative(options.workspace, absolute) : path;
    const fence = `----- ${crypto.randomUUID()} -----`;
    blocks.push({
      type: "text",
      text: `File ${JSON.stringify(shown)}, between the two fences:\n${fence}\n${content}\n${fence}`,
    });
  }
  return blocks;
}
