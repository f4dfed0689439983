import { expect, test } from "bun:test";
import { renderConfigTable } from "../../src/config/document.ts";

test("docs/configuration.md shows the keys as they are (bun bin/docs.ts rewrites it)", async () => {
  const docs = await Bun.file(new URL("../../docs/configuration.md", import.meta.url)).text();
  const table = /<!-- keys -->\n+([\s\S]*?)\n+<!-- \/keys -->/.exec(docs)?.[1];
  // The formatter pads tables.
  const plain = (text = "") => text.replace(/ +/g, " ").replace(/-{3,}/g, "---");
  expect(plain(table)).toBe(renderConfigTable());
});
