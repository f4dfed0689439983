import { describe, expect, test } from "bun:test";
import { toDocumentBlock, toImageBlock, toImageFromUrl } from "../../../src/api/shared/media.ts";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 74, 70, 73, 70]).toString("base64");
const GIF = Buffer.from("GIF89a\u0001\u0000", "latin1").toString("base64");
const WEBP = Buffer.from("RIFF\u0000\u0000\u0000\u0000WEBPVP8 ", "latin1").toString("base64");

describe("images", () => {
  const spellings: Record<string, string> = {
    plain: `data:image/png;base64,${PNG}`,
    "upper case": `DATA:IMAGE/PNG;BASE64,${PNG}`,
    "extra parameters": `data:image/png;name=a.png;charset=utf-8;base64,${PNG}`,
    "no type": `data:;base64,${PNG}`,
    "wrong type": `data:image/jpeg;base64,${PNG}`,
    "no padding": `data:image/png;base64,${PNG.replace(/=+$/, "")}`,
    "line breaks": `data:image/png;base64,${PNG.replace(/.{20}/g, "$&\r\n")}`,
    "URL-safe alphabet": `data:image/png;base64,${PNG.replaceAll("+", "-").replaceAll("/", "_")}`,
    "bare base64": PNG,
  };
  for (const [title, url] of Object.entries(spellings)) {
    test(`are read: ${title}`, () => {
      expect(toImageFromUrl(url, "image")).toEqual({
        type: "image",
        source: { kind: "base64", mediaType: "image/png", data: PNG },
      });
    });
  }

  test("have the type that their bytes show", () => {
    const types = [JPEG, GIF, WEBP].map((data) => {
      const { source } = toImageBlock(data, "image");
      return source.kind === "base64" ? source.mediaType : "none";
    });
    expect(types).toEqual(["image/jpeg", "image/gif", "image/webp"]);
  });

  const refused: Record<string, [string, RegExp]> = {
    "a remote address": ["https://example.com/a.png", /not fetched/],
    "a file": ["file:///etc/passwd", /not fetched/],
    "no base64": ["data:image/png;base64,???", /base64/],
    nothing: ["data:image/png;base64,", /base64/],
    "another kind of file": [`data:image/png;base64,${btoa("<svg></svg>!")}`, /png, jpeg, gif or webp/],
  };
  for (const [title, [url, reason]] of Object.entries(refused)) {
    test(`are refused, naming the field: ${title}`, () => {
      expect(() => toImageFromUrl(url, "messages[0].content[1].image_url.url")).toThrow(reason);
      expect(() => toImageFromUrl(url, "messages[0].content[1].image_url.url")).toThrow(/messages\[0\]/);
    });
  }

  test("of many megabytes are read in a moment's work", () => {
    const data = Buffer.concat([Buffer.from(PNG, "base64"), Buffer.alloc(9 * 1024 * 1024)]).toString("base64");
    const block = toImageFromUrl(`data:image/png;base64,${data}`, "image");
    expect(block.source.kind === "base64" && block.source.data.length).toBe(data.length);
  });
});

describe("documents", () => {
  test("are pdf by their bytes, text by their type", () => {
    const pdf = btoa("%PDF-1.7 …".replace("…", "x"));
    expect(toDocumentBlock(`data:application/pdf;base64,${pdf}`, "file", "a.pdf")).toEqual({
      type: "document",
      mediaType: "application/pdf",
      data: pdf,
      title: "a.pdf",
    });
    const text = Buffer.from("grüße").toString("base64");
    expect(toDocumentBlock(`data:text/markdown;base64,${text}`, "file", undefined)).toEqual({
      type: "document",
      mediaType: "text/plain",
      data: "grüße",
    });
    expect(() => toDocumentBlock(`data:application/zip;base64,${btoa("PK..")}`, "file", undefined)).toThrow(
      /pdf and text/,
    );
  });
});
