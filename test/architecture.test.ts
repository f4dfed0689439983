/** The shape of src/ (docs/architecture.md) as a test: who may import whom, and where the dangerous things may stand. */
import { expect, test } from "bun:test";
import { Glob } from "bun";

const RINGS: Record<string, number> = {
  turn: 0,
  config: 1,
  claude: 1,
  workspace: 1,
  exec: 1,
  store: 1,
  security: 1,
  service: 1,
  sessions: 2,
  "api/shared": 2,
  "api/openai": 3,
  "api/responses": 3,
  "api/anthropic": 3,
  "api/ollama": 3,
  "api/sessions": 3,
  "api/code": 3,
  "api/ws": 3,
  "api/system": 3,
  "api/app.ts": 4,
  daemon: 5,
  cli: 6,
  client: 6,
  demo: 3,
};
/** Formats know the vocabulary only: they cannot know that sessions or processes exist. */
const FORMATS = ["api/openai", "api/responses", "api/anthropic", "api/ollama"];
const MAX_LINES = 300;

const source = new URL("../src/", import.meta.url).pathname;
const files = [...new Glob("**/*.{ts,tsx}").scanSync(source)].sort();

function folderOf(path: string): string {
  if (path === "api/app.ts") return path;
  const parts = path.split("/");
  if (parts.length === 1) return "";
  return parts[0] === "api" ? parts.slice(0, 2).join("/") : (parts[0] ?? "");
}

/** Files at the top of src/ are ring 0, but for the entry point. */
function ringOf(path: string): number {
  if (path === "main.ts") return 7;
  const folder = folderOf(path);
  const ring = folder === "" ? 0 : RINGS[folder];
  if (ring === undefined)
    throw new Error(`${path}: folder ${folder} has no ring; add it here and in docs/architecture.md`);
  return ring;
}

const texts = new Map<string, string>();
for (const file of files) texts.set(file, await Bun.file(source + file).text());

/** A regex, because Bun's transpiler drops `import type` from its scan. */
function importsOf(file: string): string[] {
  return [...(texts.get(file) ?? "").matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
}

test("a folder imports ring 0, its own files, or a lower ring", () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const specifier of importsOf(file)) {
      if (!specifier.startsWith(".")) continue;
      const target = new URL(specifier, `file:///${file}`).pathname.slice(1);
      const [from, to] = [folderOf(file), folderOf(target)];
      if (from === to || ringOf(target) === 0 || ringOf(target) < ringOf(file)) {
        if (FORMATS.includes(from) && from !== to && ringOf(target) !== 0 && to !== "api/shared")
          wrong.push(`${file} -> ${target}`);
        continue;
      }
      wrong.push(`${file} -> ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

function filesWith(pattern: RegExp, allowed: (file: string) => boolean): string[] {
  return files.filter((file) => pattern.test(texts.get(file) ?? "") && !allowed(file));
}

test("frameworks stay at the edge", () => {
  const edge = /^api\/(.+\/(routes|schema)|app)\.ts$/;
  expect(filesWith(/from "(@elysiajs\/\w+|elysia)"/, (file) => edge.test(file))).toEqual([]);
  expect(filesWith(/from "commander"/, (file) => file.startsWith("cli/"))).toEqual([]);
});

test("processes are started in few places", () => {
  const allowed = /^(claude\/(reaper|locate|login|descendants|spawn)|exec\/.+|service\/.+|workspace\/git)\.ts$/;
  expect(filesWith(/Bun\.spawn(Sync)?\(|from "node:child_process"/, (file) => allowed.test(file))).toEqual([]);
});

test("the environment is read in config/ alone", () => {
  expect(filesWith(/process\.env|Bun\.env|import\.meta\.env/, (file) => file.startsWith("config/"))).toEqual([]);
});

test("a file over 300 lines says why in its header", () => {
  const long = files.filter((file) => {
    const text = texts.get(file) ?? "";
    return text.split("\n").length > MAX_LINES + 1 && !/^\/\*\*[\s\S]{0,1200}?Over 300 lines:/.test(text);
  });
  expect(long).toEqual([]);
});

test("no `any`, no silenced compiler", () => {
  expect(filesWith(/(:|as|<)\s*any\b(?!-)|@ts-(ignore|nocheck|expect-error)/, () => false)).toEqual([]);
});
