/**
 * Reads a JSON body as clients really send it, whatever its content type (the gate has already refused a browser's other ones),
 * gzip or zstd. The size bound holds for what arrives and for what it inflates to; what is too big is refused while it
 * is read, never kept. A body that does not arrive in time is refused, and its connection closed.
 */
import { gunzip, zstdDecompress } from "node:zlib";
import { DaemonError } from "../../errors.ts";

export interface JsonBody {
  value: Record<string, unknown>;
  /** Digest of path and decoded bytes: two requests with the same digest are the same request. */
  digest: string;
}

/** Deeper than any schema or tool argument in use; keeps every recursive reader of the value off the stack's end. */
export const MAX_DEPTH = 500;
const MIB = 1024 * 1024;
/** The slowest that a large body may come: a second more for each of these. */
const BYTES_PER_SECOND = 64 * 1024;
/** Up to here a body whose length is known is taken in one piece, without counting what has come of it. */
const WHOLE_BYTES = MIB;

/** What an empty body is answered with. */
export const NO_BODY = "The request has no body. Send a JSON object.";

export interface BodyLimits {
  maxBodyBytes: number;
  /** Time for a body to arrive; every 64 KiB of it that have come give a large one a second more. */
  bodyTimeoutMs: number;
}

/**
 * The body as an object. Throws `invalid_request` (empty, not UTF-8, not JSON, not an object, too deep),
 * `payload_too_large`, `unsupported_media_type` or `request_timeout`.
 */
export async function readJsonBody(request: Request, limits: BodyLimits): Promise<JsonBody> {
  const { maxBodyBytes } = limits;
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  const received = await readInTime(request, limits);
  if (received.byteLength === 0) throw new DaemonError("invalid_request", NO_BODY);
  const bytes = await decodeContent(received, encoding, maxBodyBytes);
  const value = parseObject(bytes);
  const digest = new Bun.CryptoHasher("sha256").update(pathOf(request.url)).update(bytes).digest("hex");
  return { value, digest };
}

function pathOf(url: string): string {
  return `${URL.parse(url)?.pathname ?? url}\n`;
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DaemonError("invalid_request", "The request body is not valid UTF-8.", { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    // A syntax error, or the parser's own stack bound.
    throw new DaemonError("invalid_request", "The request body is not valid JSON.", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new DaemonError("invalid_request", "The request body must be a JSON object.");
  }
  if (isDeeperThan(value, MAX_DEPTH)) {
    throw new DaemonError("invalid_request", `The request body nests deeper than ${MAX_DEPTH} levels.`);
  }
  return value as Record<string, unknown>;
}

/** Whether anything in it nests deeper. */
export function isDeeperThan(value: object, levels: number): boolean {
  if (levels === 0) return true;
  if (Array.isArray(value)) {
    for (const item of value) {
      if (typeof item === "object" && item !== null && isDeeperThan(item, levels - 1)) return true;
    }
    return false;
  }
  for (const key in value) {
    const item: unknown = (value as Record<string, unknown>)[key];
    if (typeof item === "object" && item !== null && isDeeperThan(item, levels - 1)) return true;
  }
  return false;
}

function tooLarge(maxBytes: number): DaemonError {
  return new DaemonError(
    "payload_too_large",
    `The request body is larger than ${Math.floor(maxBytes / MIB)} MiB. Send less, or raise the limit in the daemon's config.`,
  );
}

/** What has come of a body so far, in bytes. */
interface Progress {
  received: number;
}

/** Without this a client that stalls in the middle of its body would hold the connection for good. */
async function readInTime(request: Request, { maxBodyBytes, bodyTimeoutMs }: BodyLimits): Promise<Uint8Array> {
  const progress: Progress = { received: 0 };
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const allowedMs = () => bodyTimeoutMs + (progress.received / BYTES_PER_SECOND) * 1000;
  const startedAt = performance.now();
  let timer = setTimeout(check, bodyTimeoutMs);
  function check(): void {
    const leftMs = allowedMs() - (performance.now() - startedAt);
    if (leftMs > 0) {
      timer = setTimeout(check, leftMs);
      return;
    }
    const message = `The request body did not arrive within ${Math.round(allowedMs() / 1000)} seconds. Send it again, all at once.`;
    reject(new DaemonError("request_timeout", message));
  }
  try {
    return await Promise.race([readBytes(request, maxBodyBytes, progress), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

async function readBytes(request: Request, maxBytes: number, progress: Progress): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? Number.NaN);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  if (announced <= WHOLE_BYTES) return new Uint8Array(await request.arrayBuffer());
  if (!request.body) return new Uint8Array();
  const parts: Uint8Array[] = [];
  for await (const part of request.body) {
    progress.received += part.byteLength;
    if (progress.received > maxBytes) throw tooLarge(maxBytes);
    parts.push(part);
  }
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, progress.received);
}

async function decodeContent(bytes: Uint8Array, encoding: string, maxBytes: number): Promise<Uint8Array> {
  if (encoding === "" || encoding === "identity") return bytes;
  if (encoding !== "gzip" && encoding !== "x-gzip" && encoding !== "zstd") {
    throw new DaemonError(
      "unsupported_media_type",
      "This content-encoding is not known. Send the body plain, as gzip or as zstd.",
    );
  }
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: Uint8Array) => {
      if (!error) resolve(result);
      else if ("code" in error && error.code === "ERR_BUFFER_TOO_LARGE") reject(tooLarge(maxBytes));
      else
        reject(new DaemonError("invalid_request", `The request body is not valid ${encoding} data.`, { cause: error }));
    };
    if (encoding === "zstd") zstdDecompress(bytes, { maxOutputLength: maxBytes }, done);
    else gunzip(bytes, { maxOutputLength: maxBytes }, done);
  });
}
