/** Content blocks as clients send them, one to one into the vocabulary's. */
import type { DocumentBlock, ImageBlock, TextBlock } from "../../turn/message.ts";
import { toDocumentBlock, toImageFromUrl } from "../shared/media.ts";
import { invalidField } from "../shared/validation.ts";

export type Fields = Record<string, unknown>;
export type Part = TextBlock | ImageBlock | DocumentBlock;

export function stringOf(value: unknown, path: string): string {
  if (typeof value === "string") return value;
  throw invalidField(path, "must be a string.");
}

/** A nested object; throws naming `path`. */
export function objectOf(value: unknown, path: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalidField(path, "must be an object.");
}

/** What a user says or a tool gives back. Throws `invalid_request` for a type that is none of these. */
export function toPart(block: Fields, path: string): Part {
  switch (block.type) {
    case "text":
      return { type: "text", text: stringOf(block.text, `${path}.text`) };
    case "image":
      return toImage(objectOf(block.source, `${path}.source`), `${path}.source`);
    case "document":
      return toDocument(block, path);
    case "search_result":
      return toSearchResult(block, path);
    default:
      throw invalidField(`${path}.type`, "must be one of text, image, document, search_result, tool_result.");
  }
}

/** A string, or blocks; blocks of empty text are left out, because the model API refuses them. */
export function toParts(content: unknown, path: string): Part[] {
  if (content === undefined || content === null) return [];
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  if (!Array.isArray(content)) throw invalidField(path, "must be a string or an array of content blocks.");
  return content
    .map((block, index) => toPart(objectOf(block, `${path}[${index}]`), `${path}[${index}]`))
    .filter((part) => part.type !== "text" || part.text !== "");
}

function toImage(source: Fields, path: string): ImageBlock {
  if (source.type === "base64") return toImageFromUrl(stringOf(source.data, `${path}.data`), `${path}.data`);
  // The model API fetches it, not the daemon.
  if (source.type === "url") {
    const url = stringOf(source.url, `${path}.url`);
    if (/^https?:\/\/\S+$/i.test(url)) return { type: "image", source: { kind: "url", url } };
    return toImageFromUrl(url, `${path}.url`);
  }
  if (source.type === "file") throw noFiles(path);
  throw invalidField(`${path}.type`, "must be base64 or url.");
}

function toDocument(block: Fields, path: string): DocumentBlock {
  const where = `${path}.source`;
  const source = objectOf(block.source, where);
  const title = typeof block.title === "string" && block.title !== "" ? block.title : undefined;
  const named = title === undefined ? {} : { title };
  const plain = (data: string): DocumentBlock => ({ type: "document", mediaType: "text/plain", data, ...named });
  switch (source.type) {
    case "base64":
      return toDocumentBlock(stringOf(source.data, `${where}.data`), `${where}.data`, title);
    case "text":
      return plain(stringOf(source.data, `${where}.data`));
    case "content":
      return plain(textOf(source.content, `${where}.content`));
    case "url":
      throw invalidField(where, "documents are not fetched. Send them as base64 or text.");
    case "file":
      throw noFiles(where);
    default:
      throw invalidField(`${where}.type`, "must be base64, text or content.");
  }
}

/** A search result is a text with a name and an address. */
function toSearchResult(block: Fields, path: string): DocumentBlock {
  const title = stringOf(block.title, `${path}.title`);
  const source = stringOf(block.source, `${path}.source`);
  const data = textOf(block.content, `${path}.content`);
  return { type: "document", mediaType: "text/plain", data, title: `${title} (${source})` };
}

function textOf(content: unknown, path: string): string {
  return toParts(content, path)
    .map((part, index) => {
      if (part.type === "text") return part.text;
      throw invalidField(`${path}[${index}]`, "only text is possible here.");
    })
    .join("\n");
}

function noFiles(path: string) {
  return invalidField(path, "no files are stored here. Send the content itself, as base64.");
}
