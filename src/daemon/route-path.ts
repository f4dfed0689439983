/** Paths as clients really write them, brought to the one form that is routed (wire-format habits of base URLs). */

/** Clients whose base URL lacks `/v1` call these directly. */
const WITHOUT_VERSION = /^\/(chat\/completions|completions|models|responses|embeddings|messages)(\/|$)/;
const NEEDS_WORK = /\/\/|.\/$|^\/v1\/(v1|api)(\/|$)|^\/(chat|completions|models|responses|embeddings|messages)(\/|$)/;

/**
 * Collapses repeated slashes, drops a trailing one, mends a doubled or missing `/v1` and `/v1/api`. Decodes nothing, and
 * returns the same string where there is nothing to do. `path` is without query.
 */
export function routePath(path: string): string {
  if (!NEEDS_WORK.test(path)) return path;
  let clean = path.replace(/\/{2,}/g, "/");
  if (clean.length > 1 && clean.endsWith("/")) clean = clean.slice(0, -1);
  while (clean.startsWith("/v1/v1/") || clean === "/v1/v1") clean = clean.slice(3);
  if (clean.startsWith("/v1/api/") || clean === "/v1/api") clean = clean.slice(3);
  return WITHOUT_VERSION.test(clean) ? `/v1${clean}` : clean;
}

/** Splits an absolute-form URL whose authority is exactly `host`; undefined for anything else. */
export function splitUrl(url: string, host: string): { path: string; query: string } | undefined {
  const start = "http://".length + host.length;
  if (url.slice(0, start).toLowerCase() !== `http://${host}` || url[start] !== "/") return undefined;
  const end = url.search(/[?#]/);
  return end < 0 ? { path: url.slice(start), query: "" } : { path: url.slice(start, end), query: url.slice(end) };
}
