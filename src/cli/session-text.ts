/** Sessions, turns and their events as a person reads them. Pure; every text of others is made safe by who prints it. */
import type { Style } from "./style.ts";
import { counted, dollars } from "./words.ts";

export interface SessionObject {
  id: string;
  status: string;
  process: string;
  workspace: string;
  model: string;
  permission_mode: string;
  origin: string;
  claude_session_id: string | null;
  title: string | null;
  created_at: number;
  last_active_at: number;
  turns: number;
  cost_usd: number;
}

export interface TurnObject {
  number: number;
  status: string;
  prompt: string;
  stop_reason: string | null;
  files_changed: FileObject[] | null;
  error: { code: string; message: string } | null;
}

export interface FileObject {
  path: string;
  status: string;
  additions?: number;
  deletions?: number;
}

export interface TerminalObject {
  claude_session_id: string;
  workspace: string | null;
  title: string | null;
  last_active_at: number;
}

const TITLE_CHARS = 60;
/** Of what a tool is asked to do. */
const INPUT_CHARS = 100;

/** Local time, to the minute. */
export function when(seconds: number): string {
  const at = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export function firstLine(text: string, maxChars = TITLE_CHARS): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > maxChars ? `${line.slice(0, maxChars - 1)}…` : line;
}

/** Two blanks after the id: completion scripts read it. */
export function describeSession(session: SessionObject): string {
  const live = session.process === "live" ? ", process live" : "";
  const { id, status, workspace, turns } = session;
  return `${id}  ${status}${live}  ${when(session.last_active_at)}  ${counted(turns, "turn")}  ${workspace}  ${firstLine(session.title ?? "")}`;
}

export function describeTerminalSession(one: TerminalObject): string {
  return `${one.claude_session_id}  ${when(one.last_active_at)}  ${one.workspace ?? "?"}  ${firstLine(one.title ?? "")}`;
}

export function details(session: SessionObject): string[] {
  const resume = session.claude_session_id;
  return [
    `${session.id}: ${session.title ?? "(no title)"}`,
    `status:     ${session.status}, process ${session.process}`,
    `workspace:  ${session.workspace}`,
    `model:      ${session.model}, permission mode ${session.permission_mode}`,
    `begun:      ${when(session.created_at)} (${session.origin}), last active ${when(session.last_active_at)}`,
    `turns:      ${session.turns}, ${dollars(session.cost_usd)} as claude reports it`,
    `continue:   ${resume === null ? "nothing was asked yet" : `claude --resume ${resume}`}`,
  ];
}

function describeFile({ path, status, additions, deletions }: FileObject): string {
  const lines = additions === undefined || deletions === undefined ? "" : ` (+${additions} -${deletions})`;
  return `${status}: ${path}${lines}`;
}

export function describeTurn(turn: TurnObject): string[] {
  const end = turn.error === null ? (turn.stop_reason ?? turn.status) : `${turn.status}: ${turn.error.message}`;
  return [
    `#${turn.number}  ${firstLine(turn.prompt)}  (${end})`,
    ...(turn.files_changed ?? []).map((file) => `      ${describeFile(file)}`),
  ];
}

/** An event of the session's stream; fields beside `type` depend on it (docs/websocket.md). */
export type EventObject = { type: string; text?: string } & Readonly<Record<string, unknown>>;

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const listOf = <T>(value: unknown): T[] => (Array.isArray(value) ? (value as T[]) : []);

/** What a tool works on: its command, path or pattern, else its input as JSON. */
function subject(input: unknown): string {
  if (typeof input !== "object" || input === null) return "";
  const fields = input as Record<string, unknown>;
  const named = ["command", "file_path", "path", "pattern", "url", "query", "description", "prompt"];
  const found = named.map((name) => fields[name]).find((value) => typeof value === "string" && value !== "");
  return firstLine(typeof found === "string" ? found : JSON.stringify(input), INPUT_CHARS);
}

type Painted = { text: string; paint?: keyof Style };

/** Lines for every event but deltas, which are text of their own. Unknown events are none: newer daemons have more. */
export function describeEvent(event: EventObject): Painted[] {
  const tool = `${textOf(event.tool)}  ${subject(event.input)}`.trimEnd();
  switch (event.type) {
    case "turn_queued":
      return [{ text: `· a turn waits (place ${Number(event.position)})`, paint: "faint" }];
    case "turn_start":
      return [{ text: `#${Number(event.number)}  ${textOf(event.prompt).trim()}`, paint: "bold" }];
    case "tool_start":
      return [{ text: `· ${tool}`, paint: "faint" }];
    case "tool_end":
      return event.is_error === true
        ? [{ text: `  failed: ${firstLine(textOf(event.output), INPUT_CHARS)}`, paint: "warning" }]
        : [];
    case "client_call":
      return [{ text: `· waits for the client: ${textOf(event.name)}`, paint: "faint" }];
    case "permission_request":
      return [{ text: `? may it: ${tool}`, paint: "warning" }];
    case "permission_resolved":
      return [{ text: event.behavior === "allow" ? "  allowed" : "  denied", paint: "warning" }];
    case "notice":
      return [{ text: `· ${textOf(event.text)}`, paint: "faint" }];
    case "code_response":
      return describeEnd(event);
    case "error":
      return [{ text: `error: ${textOf(event.message)}`, paint: "bad" }];
    case "session_closed":
      return [{ text: "The session was closed.", paint: "faint" }];
    default:
      return [];
  }
}

function describeEnd(event: EventObject): Painted[] {
  const files = listOf<FileObject>(event.files_changed).map((file) => describeFile(file));
  const denied = listOf<{ tool?: unknown }>(event.permission_denials).map(({ tool }) => `denied: ${textOf(tool)}`);
  const cost = typeof event.cost_usd === "number" ? `, ${dollars(event.cost_usd)}` : "";
  return [...files, ...denied, `(${textOf(event.stop_reason)}${cost})`].map((text) => ({ text, paint: "faint" }));
}
