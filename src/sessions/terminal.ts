/**
 * Sessions that `claude` itself keeps (`projects/<directory>/<session>.jsonl` of its config directory): those begun in a
 * terminal can be listed and continued here. Read only, and only the beginning and the end of each file.
 */
import { constants } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

export interface TerminalSession {
  /** Claude's own session id. */
  id: string;
  /** Where it was begun; undefined where the file does not say. */
  cwd: string | undefined;
  title: string | undefined;
  /** Unix milliseconds. */
  lastActiveAt: number;
}

export interface TerminalSessions {
  /** Newest first, at most `limit` (and `MAX_LISTED`). Files that cannot be read are left out. */
  list(limit: number): Promise<TerminalSession[]>;
  find(id: string): Promise<TerminalSession | undefined>;
  /** Whether its transcript is there. `workspace` is where to look first. */
  exists(id: string, workspace: string): Promise<boolean>;
}

const MAX_PROJECTS = 2000;
const MAX_FILES = 20_000;
export const MAX_LISTED = 200;
/** Read of a file at either end. */
const EDGE_BYTES = 64 * 1024;
const MAX_TITLE_CHARS = 200;

const SESSION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Claude's name for a project's directory; long ones carry a hash that we do not rebuild. */
function encodeProject(path: string): string {
  return path.replace(/[^A-Za-z0-9]/g, "-");
}

interface Line {
  type?: unknown;
  cwd?: unknown;
  isMeta?: unknown;
  isSidechain?: unknown;
  summary?: unknown;
  customTitle?: unknown;
  aiTitle?: unknown;
  message?: { content?: unknown };
}

function parseLines(text: string): Line[] {
  return text.split("\n").flatMap((line) => {
    // The cut line at either end is no JSON; that is expected.
    try {
      const value: unknown = JSON.parse(line);
      return typeof value === "object" && value !== null ? [value as Line] : [];
    } catch {
      return [];
    }
  });
}

function clean(text: string): string | undefined {
  const line = Bun.stripANSI(text)
    .replace(/\p{Cc}+/gu, " ")
    .trim();
  return line === "" ? undefined : line.slice(0, MAX_TITLE_CHARS);
}

/** The person's first own words; what a command wraps in tags is not them. */
function firstPrompt(lines: Line[]): string | undefined {
  for (const line of lines) {
    if (line.type !== "user" || line.isMeta === true || line.isSidechain === true) continue;
    const content = line.message?.content;
    const texts = Array.isArray(content)
      ? content.flatMap((block: { type?: unknown; text?: unknown }) => (block?.type === "text" ? [block.text] : []))
      : [content];
    const text = texts.find((one) => typeof one === "string" && !one.trimStart().startsWith("<"));
    if (typeof text === "string") return clean(text.trim().split("\n", 1)[0] ?? "");
  }
  return undefined;
}

function namedTitle(lines: Line[]): string | undefined {
  for (const key of ["customTitle", "aiTitle", "summary"] as const) {
    const value = lines.findLast((line) => typeof line[key] === "string")?.[key];
    if (typeof value === "string") return clean(value);
  }
  return undefined;
}

async function readEdges(path: string): Promise<{ first: Line[]; last: Line[] } | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (!file) return undefined;
  try {
    const facts = await file.stat();
    if (!facts.isFile()) return undefined;
    const buffer = Buffer.alloc(EDGE_BYTES);
    const head = await file.read(buffer, 0, EDGE_BYTES, 0);
    const first = parseLines(buffer.toString("utf8", 0, head.bytesRead));
    if (facts.size <= EDGE_BYTES) return { first, last: first };
    const tail = await file.read(buffer, 0, EDGE_BYTES, facts.size - EDGE_BYTES);
    return { first, last: parseLines(buffer.toString("utf8", 0, tail.bytesRead)) };
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

async function describe(path: string, id: string, lastActiveAt: number): Promise<TerminalSession | undefined> {
  const edges = await readEdges(path);
  if (!edges) return undefined;
  const cwd = [...edges.last.toReversed(), ...edges.first].find((line) => typeof line.cwd === "string")?.cwd;
  const title = namedTitle(edges.last) ?? namedTitle(edges.first) ?? firstPrompt(edges.first);
  // Without a single line of a conversation (a title alone, an empty start) there is nothing to continue.
  if (cwd === undefined && title === undefined) return undefined;
  return { id, cwd: typeof cwd === "string" ? cwd : undefined, title, lastActiveAt };
}

/** Reads claude's own store. `configDirectory` is `CLAUDE_CONFIG_DIR` or `~/.claude`; it need not exist. */
export function createTerminalSessions(configDirectory: string): TerminalSessions {
  const root = join(configDirectory, "projects");
  const list = async (directory: string) => readdir(directory).catch(() => []);
  const projects = async () => (await list(root)).slice(0, MAX_PROJECTS);

  const pathOf = async (id: string, workspace?: string): Promise<string | undefined> => {
    if (!SESSION_ID.test(id)) return undefined;
    const first = workspace === undefined ? [] : [encodeProject(workspace)];
    for (const project of first) {
      const path = join(root, project, `${id}.jsonl`);
      if (await Bun.file(path).exists()) return path;
    }
    for (const project of await projects()) {
      const path = join(root, project, `${id}.jsonl`);
      if (await Bun.file(path).exists()) return path;
    }
    return undefined;
  };

  return {
    list: async (limit) => {
      const files: { path: string; id: string; at: number }[] = [];
      for (const project of await projects()) {
        for (const name of await list(join(root, project))) {
          const id = name.slice(0, -".jsonl".length);
          if (!name.endsWith(".jsonl") || !SESSION_ID.test(id) || files.length >= MAX_FILES) continue;
          const path = join(root, project, name);
          const facts = await stat(path).catch(() => undefined);
          if (facts && facts.size > 0) files.push({ path, id, at: Math.trunc(facts.mtimeMs) });
        }
      }
      files.sort((one, other) => other.at - one.at);
      const newest = files.slice(0, Math.max(0, Math.min(limit, MAX_LISTED)));
      const found = await Promise.all(newest.map(({ path, id, at }) => describe(path, id, at)));
      return found.filter((session) => session !== undefined);
    },
    find: async (id) => {
      const path = await pathOf(id);
      if (path === undefined) return undefined;
      const facts = await stat(path).catch(() => undefined);
      return (await describe(path, id, Math.trunc(facts?.mtimeMs ?? 0))) ?? undefined;
    },
    exists: async (id, workspace) => (await pathOf(id, workspace)) !== undefined,
  };
}
