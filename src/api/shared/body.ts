/**
 * Reads a JSON body as clients really send it, whatever its content type (the gate has already refused a browser's other ones),
 * gzip or zstd. The size bound holds for what arrives and for what it inflates to; what is too big is refused while it
 * is read, never kept.
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

/** What an empty body is answered with. */
export const NO_BODY = "The request has no body. Send a JSON object.";

/**
 * The body as an object. Throws `invalid_request` (empty, not UTF-8, not JSON, not an object, too deep),
 * `payload_too_large` or `unsupported_media_type`.
 */
export async function readJsonBody(request: Request, options: { maxBodyBytes: number }): Promise<JsonBody> {
  const { maxBodyBytes } = options;
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  const received = await readBytes(request, maxBodyBytes);
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

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const announced = request.headers.get("content-length");
  if (announced !== null) {
    if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
    return new Uint8Array(await request.arrayBuffer());
  }
  if (!request.body) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request.body) {
    length += part.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    parts.push(part);
  }
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length);
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
