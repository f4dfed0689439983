/** Rewrites the generated parts of docs/: `bun bin/docs.ts`. A test fails while they are out of date. */
import { renderConfigTable } from "../src/config/document.ts";

const path = new URL("../docs/configuration.md", import.meta.url);
const docs = await Bun.file(path).text();
const table = renderConfigTable();
await Bun.write(
  path,
  docs.replace(/<!-- keys -->[\s\S]*?<!-- \/keys -->/, () => `<!-- keys -->\n\n${table}\n\n<!-- /keys -->`),
);
