/**
 * File names are bytes. Inside this folder a path is a string with one character per byte (latin1), so that it can be
 * compared, sliced and be a key; it becomes UTF-8 only where a client sees it.
 */
import { join } from "node:path";

/** One character per byte. */
export type RawPath = string;

export const toRaw = (text: string): RawPath => Buffer.from(text, "utf8").toString("latin1");

/** As a client sees it; bytes that are no UTF-8 become U+FFFD. */
export const toShown = (raw: RawPath): string => Buffer.from(raw, "latin1").toString("utf8");

/** The base64 of names that do not survive being shown; undefined for all others. */
function rawOf(raw: RawPath): string | undefined {
  const shown = toShown(raw);
  return toRaw(shown) === raw ? undefined : Buffer.from(raw, "latin1").toString("base64");
}

/** As a record holds it. */
export function asShown(raw: RawPath): { path: string; rawPath?: string } {
  const rawPath = rawOf(raw);
  return { path: toShown(raw), ...(rawPath !== undefined && { rawPath }) };
}

/** For file system calls. */
export function onDisk(directory: string, raw: RawPath): Buffer {
  return Buffer.from(join(toRaw(directory), raw), "latin1");
}

/** NUL-separated lists of git. */
export function splitNul(output: Buffer): RawPath[] {
  const parts = output.toString("latin1").split("\0");
  parts.pop();
  return parts;
}

export const joinNul = (paths: Iterable<RawPath>): Buffer =>
  Buffer.from([...paths].map((path) => `${path}\0`).join(""), "latin1");

/** Whether `path` is `directory` or below. */
export const isBelow = (directory: RawPath, path: RawPath): boolean =>
  path === directory || path.startsWith(`${directory}/`);
