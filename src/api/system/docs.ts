/**
 * The OpenAPI document as one page of HTML: no script, nothing from elsewhere, so it reads the same without internet, in
 * the compiled binary and under the strictest content security policy.
 */
import type { OpenApiDocument } from "./openapi.ts";

type Json = Record<string, unknown>;

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } summary code { font-weight: 600; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { background: var(--soft); padding: .6rem; overflow: auto; }
.method { display: inline-block; min-width: 4.5em; } table { border-collapse: collapse; }
td, th { text-align: left; vertical-align: top; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid var(--line); }
`;

function escapeHtml(text: unknown): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return String(text).replace(/[&<>"]/g, (character) => entities[character] ?? character);
}

/** Backquoted words of our own descriptions as code. */
function prose(text: unknown): string {
  return escapeHtml(text ?? "").replace(/`([^`]+)`/g, "<code>$1</code>");
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function content(title: string, holder: unknown): string {
  if (!isObject(holder) || !isObject(holder.content)) return "";
  return Object.entries(holder.content)
    .map(([type, media]) => {
      const { schema, example } = isObject(media) ? media : {};
      const shown = [example, schema]
        .filter((part) => part !== undefined)
        .map((part) => `<pre>${escapeHtml(JSON.stringify(part, undefined, 2))}</pre>`);
      return `<h4>${escapeHtml(title)} <code>${escapeHtml(type)}</code></h4>${shown.join("")}`;
    })
    .join("");
}

function parameterTable(parameters: unknown): string {
  if (!Array.isArray(parameters) || parameters.length === 0) return "";
  const rows = parameters.filter(isObject).map((parameter) => {
    const where = parameter.required === true ? `${parameter.in}, required` : parameter.in;
    return `<tr><td><code>${escapeHtml(parameter.name)}</code></td><td>${escapeHtml(where)}</td><td>${prose(parameter.description)}</td></tr>`;
  });
  return `<h4>Parameters</h4><table>${rows.join("")}</table>`;
}

function responses(all: unknown): string {
  if (!isObject(all)) return "";
  return Object.entries(all)
    .filter(([status]) => status !== "default")
    .map(([status, response]) => {
      const description = isObject(response) ? prose(response.description) : "";
      return `<p><strong>${escapeHtml(status)}</strong> ${description}</p>${content("Answer", response)}`;
    })
    .join("");
}

function operation(method: string, path: string, detail: Json): string {
  return [
    `<details id="${escapeHtml(detail.operationId)}"><summary><code class="method">${escapeHtml(method.toUpperCase())}</code>`,
    ` <code>${escapeHtml(path)}</code> ${prose(detail.summary)}</summary>`,
    detail.description === undefined ? "" : `<p>${prose(detail.description)}</p>`,
    parameterTable(detail.parameters),
    content("Body", detail.requestBody),
    responses(detail.responses),
    "</details>",
  ].join("");
}

/** The page, and the policy under which it works: its one style sheet by digest, nothing else. */
export function renderDocs(document: OpenApiDocument): { html: string; contentSecurityPolicy: string } {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, detail]) => ({ path, method, detail })),
  );
  const sections = document.tags.map(({ name }) => {
    const own = operations.filter(({ detail }) => Array.isArray(detail.tags) && detail.tags[0] === name);
    return `<h2>${escapeHtml(name)}</h2>${own.map((entry) => operation(entry.method, entry.path, entry.detail)).join("")}`;
  });
  const html = [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(document.info.title)}</title>`,
    `<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head><body>`,
    `<h1>${escapeHtml(document.info.title)}</h1><p>${escapeHtml(document.info.version)} · <a href="/docs/json">OpenAPI as JSON</a></p>`,
    `<p>${prose(document.info.description)}</p>${sections.join("")}</body></html>`,
  ].join("");
  const digest = new Bun.CryptoHasher("sha256").update(STYLE).digest("base64");
  const contentSecurityPolicy = `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return { html, contentSecurityPolicy };
}
