/** Every relative link in a Markdown file leads to a file, and to a heading where it names one. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Glob } from "bun";

const ROOT = resolve(import.meta.dir, "..");
const FENCE = /^(```|~~~)[^\n]*\n[\s\S]*?^\1/gm;
const CODE_SPAN = /`[^`\n]*`/g;
const LINK = /\]\(([^()\s]+)(?:\s+"[^"]*")?\)/g;

/** As GitHub does: lower case, punctuation away, spaces to hyphens, `-1` for the second of a name. */
function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of markdown.replace(FENCE, "").matchAll(/^#{1,6} +(.+)$/gm)) {
    const name = heading
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
    let anchor = name;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${name}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** The links of `markdown`, a file at `path`, that lead nowhere. */
function brokenLinks(path: string, markdown: string): string[] {
  const prose = markdown.replace(FENCE, "").replace(CODE_SPAN, "");
  return [...prose.matchAll(LINK)].flatMap(([, target = ""]) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return [];
    const [file = "", anchor] = target.split("#");
    const destination = file === "" ? path : resolve(dirname(path), decodeURIComponent(file));
    if (file !== "" && !existsSync(destination)) return [target];
    if (anchor === undefined || !destination.endsWith(".md")) return [];
    const text = file === "" ? markdown : readFileSync(destination, "utf8");
    return anchorsOf(text).has(anchor) ? [] : [target];
  });
}

const files = ["*.md", "bench/**/*.md", "docs/**/*.md", "src/**/*.md", "test/**/*.md"]
  .flatMap((pattern) => [...new Glob(pattern).scanSync({ cwd: ROOT })])
  .sort();

test("the documents are found", () => {
  expect(files).toContain("README.md");
  expect(files).toContain("docs/architecture.md");
});

for (const file of files) {
  test(`every relative link in ${file} resolves`, () => {
    const path = resolve(ROOT, file);
    expect(brokenLinks(path, readFileSync(path, "utf8"))).toEqual([]);
  });
}

test("every document that a comment in the code names is there", () => {
  const sources = ["src", "bin", "bench", "test"].flatMap((folder) => [
    ...new Glob(`${folder}/**/*.{ts,sh}`).scanSync({ cwd: ROOT }),
  ]);
  const missing = sources.flatMap((file) =>
    [...readFileSync(resolve(ROOT, file), "utf8").matchAll(/^\s*(?:\/?\*+|\/\/|#).*$/gm)]
      .flatMap(([comment]) => [...comment.matchAll(/(?<![\w/.-])(?:docs\/|test\/)?[a-z][a-z-]*\.md\b/g)])
      .map(([document]) => document)
      .filter((document) => !existsSync(resolve(ROOT, document)))
      .map((document) => `${file}: ${document}`),
  );
  expect(sources.length).toBeGreaterThan(0);
  expect(missing).toEqual([]);
});

test("every file that the map names is there", () => {
  const map = readFileSync(resolve(ROOT, "docs/architecture.md"), "utf8");
  const named = [...map.matchAll(/`([\w./-]+\.(?:ts|sh))`/g)].map(([, path = ""]) => path);
  const known = ["src", "bin", "test", ".ci"].flatMap((folder) => [
    ...new Glob(`${folder}/**/*.{ts,sh}`).scanSync({ cwd: ROOT, dot: true }),
  ]);
  const isThere = (path: string) => existsSync(resolve(ROOT, path)) || known.some((file) => file.endsWith(`/${path}`));
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((path) => !isThere(path))).toEqual([]);
});

test("every page of docs/ is linked from another document", () => {
  const texts = files.map((file) => ({ file, text: readFileSync(resolve(ROOT, file), "utf8") }));
  const isLinked = (page: string) =>
    texts.some(({ file, text }) => {
      const targets = [...text.matchAll(LINK)].map(([, target = ""]) => target.split("#")[0] ?? "");
      return file !== page && targets.some((target) => resolve(ROOT, dirname(file), target) === resolve(ROOT, page));
    });
  expect(files.filter((file) => file.startsWith("docs/") && !isLinked(file))).toEqual([]);
});

test("a link to a missing file or heading is found, one in code or elsewhere on the web is none", () => {
  const path = resolve(ROOT, "README.md");
  const markdown = "# Here\n[a](missing.md) [b](#there) [c](#here) `[d](x.md)` [e](https://example.com/x.md)\n";
  expect(brokenLinks(path, markdown)).toEqual(["missing.md", "#there"]);
});
