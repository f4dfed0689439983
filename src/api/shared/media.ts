/** Images and files as clients send them, made into the vocabulary's blocks. */
import type { DocumentBlock, ImageBlock } from "../../turn/message.ts";
import { invalidField } from "./validation.ts";

const DATA_URI = /^data:([^,]*),/i;
const NOT_BASE64 = /[^A-Za-z0-9+/]/;

/** Standard base64 without line breaks, whatever alphabet, padding or white space it came with; undefined if it is none. */
export function normaliseBase64(text: string): string | undefined {
  let data = text;
  if (NOT_BASE64.test(data)) {
    data = data.replace(/[\s]+/g, "").replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, "");
    if (NOT_BASE64.test(data)) return undefined;
  }
  if (data.length === 0 || data.length % 4 === 1) return undefined;
  return data.length % 4 === 0 ? data : data + "=".repeat(4 - (data.length % 4));
}

/** The media type that the first bytes show; undefined for anything but png, jpeg, gif and webp. */
export function sniffImage(base64: string): string | undefined {
  const head = Buffer.from(base64.slice(0, 16), "base64");
  const text = head.toString("latin1");
  if (text.startsWith("\x89PNG")) return "image/png";
  if (text.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (text.startsWith("GIF8")) return "image/gif";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "image/webp";
  return undefined;
}

/** An image from bare base64. What the bytes show wins over what the client says. Throws naming `param`. */
export function toImageBlock(text: string, param: string): ImageBlock {
  const data = normaliseBase64(text);
  if (data === undefined) throw invalidField(param, "is not valid base64.", "invalid_value");
  const mediaType = sniffImage(data);
  if (!mediaType) throw invalidField(param, "is not a png, jpeg, gif or webp image.", "invalid_value");
  return { type: "image", source: { kind: "base64", mediaType, data } };
}

/** Splits a data URI, or returns undefined. */
function splitDataUri(url: string): { meta: string; data: string } | undefined {
  const match = DATA_URI.exec(url.length > 1000 ? url.slice(0, 1000) : url);
  return match ? { meta: (match[1] ?? "").toLowerCase(), data: url.slice(match[0].length) } : undefined;
}

/**
 * An image from a data URI: scheme and type in any case, extra parameters, URL-safe alphabet, line breaks. A remote
 * address is refused: the daemon fetches nothing on a request's word.
 */
export function toImageFromUrl(url: string, param: string): ImageBlock {
  const uri = splitDataUri(url.trimStart());
  if (uri) return toImageBlock(uri.data, param);
  if (/^[a-z][a-z0-9+.-]*:/i.test(url.trimStart())) {
    throw invalidField(param, "remote images are not fetched. Send a data: URI with base64.", "invalid_value");
  }
  return toImageBlock(url, param);
}

/** A pdf or text file from a data URI or bare base64. Throws naming `param`. */
export function toDocumentBlock(url: string, param: string, title: string | undefined): DocumentBlock {
  const uri = splitDataUri(url.trimStart());
  const data = normaliseBase64(uri ? uri.data : url);
  if (data === undefined) throw invalidField(param, "is not valid base64.", "invalid_value");
  const named = title === undefined ? {} : { title };
  if (Buffer.from(data.slice(0, 8), "base64").toString("latin1").startsWith("%PDF")) {
    return { type: "document", mediaType: "application/pdf", data, ...named };
  }
  if (uri?.meta.startsWith("text/") || uri?.meta.startsWith("application/json")) {
    return { type: "document", mediaType: "text/plain", data: Buffer.from(data, "base64").toString("utf8"), ...named };
  }
  throw invalidField(param, "only pdf and text files can be read.", "invalid_value");
}
