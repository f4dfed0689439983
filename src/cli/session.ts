/** `session list|show|stop`: the running daemon's sessions, through its own API. */
import { type Command, InvalidArgumentError } from "commander";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";
import { callDaemon, findDaemon, toFailure } from "./daemon-client.ts";

interface SessionObject {
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

interface TurnObject {
  number: number;
  status: string;
  prompt: string;
  stop_reason: string | null;
  files_changed: { path: string; status: string }[] | null;
  error: { code: string; message: string } | null;
}

interface TerminalObject {
  claude_session_id: string;
  workspace: string | null;
  title: string | null;
  last_active_at: number;
}

const ANSWER_TIMEOUT_MS = 15_000;
const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;
const SHOWN_TURNS = 10;
const TITLE_CHARS = 60;

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const when = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");

function firstLine(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS - 1)}…` : line;
}

function toLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_LIMIT}.`);
}

/** Asks the daemon; throws what it answers as an error. */
async function ask<T>(context: CliContext, path: string, init: RequestInit = {}): Promise<T> {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  const response = await callDaemon(findDaemon(context), path, { ...init, signal });
  if (!response.ok) throw await toFailure(response);
  return (await response.json()) as T;
}

const pathOf = (id: string) => `/v1/code/session/${encodeURIComponent(id)}`;

function describe(session: SessionObject): string {
  const live = session.process === "live" ? ", process live" : "";
  return `${session.id}  ${session.status}${live}  ${when(session.last_active_at)}  ${counted(session.turns, "turn")}  ${session.workspace}  ${firstLine(session.title ?? "")}`;
}

function details(session: SessionObject): string[] {
  return [
    `${session.id}: ${session.title ?? "(no title)"}`,
    `status:     ${session.status}, process ${session.process}`,
    `workspace:  ${session.workspace}`,
    `model:      ${session.model}, permission mode ${session.permission_mode}`,
    `begun:      ${when(session.created_at)} UTC (${session.origin}), last active ${when(session.last_active_at)} UTC`,
    `turns:      ${session.turns}, ${session.cost_usd.toFixed(4)} USD as claude reports it`,
    `continue:   ${session.claude_session_id === null ? "nothing was asked yet" : `claude --resume ${session.claude_session_id}`}`,
  ];
}

function describeTurn(turn: TurnObject): string[] {
  const files = turn.files_changed ?? [];
  const end = turn.error === null ? (turn.stop_reason ?? turn.status) : `${turn.status}: ${turn.error.message}`;
  return [
    `#${turn.number}  ${firstLine(turn.prompt)}  (${end})`,
    ...files.map((file) => `      ${file.status} ${file.path}`),
  ];
}

interface ListFlags {
  all?: boolean;
  terminal?: boolean;
  limit: number;
  json?: boolean;
}

export function addSession(program: Command, context: CliContext): void {
  const { stdout } = context;
  const print = (lines: readonly string[]) => {
    for (const line of lines) printLine(stdout, toTerminalText(line, stdout));
  };
  const session = program.command("session").description("coding sessions of the running daemon");
  session
    .command("list")
    .description("sessions, most recently active first")
    .option("-a, --all", "closed ones too")
    .option("--terminal", "those begun with claude itself that can be resumed")
    .option("-n, --limit <count>", "how many", toLimit, DEFAULT_LIMIT)
    .option("--json", "the answer of GET /v1/code/session")
    .action(async ({ all, terminal, limit, json }: ListFlags) => {
      const query = new URLSearchParams({ limit: String(limit) });
      if (all) query.set("closed", "true");
      if (terminal) query.set("origin", "terminal");
      const page = await ask<{ data: unknown[] }>(context, `/v1/code/session?${query}`);
      if (json) printJson(stdout, page);
      else if (page.data.length === 0) print([`No sessions${all || terminal ? "" : " are open"}.`]);
      else if (terminal) {
        const found = page.data as TerminalObject[];
        print(
          found.map(
            (one) =>
              `${one.claude_session_id}  ${when(one.last_active_at)}  ${one.workspace ?? "?"}  ${firstLine(one.title ?? "")}`,
          ),
        );
      } else print((page.data as SessionObject[]).map(describe));
    });
  session
    .command("show <session>")
    .description("one session and its last turns")
    .option("--json", "session and turns as the API gives them")
    .action(async (id: string, { json }: { json?: boolean }) => {
      const found = await ask<SessionObject>(context, pathOf(id));
      const turns = await ask<{ data: TurnObject[] }>(context, `${pathOf(id)}/turns?limit=${SHOWN_TURNS}`);
      if (json) printJson(stdout, { ...found, last_turns: turns.data });
      else print([...details(found), ...turns.data.toReversed().flatMap(describeTurn)]);
    });
  session
    .command("stop <session>")
    .description("end what runs in a session; with --close the session as well")
    .option("--close", "close it for good: its past stays, it takes no more turns")
    .option("--json", "the session as the API gives it")
    .action(async (id: string, { close, json }: { close?: boolean; json?: boolean }) => {
      const stopped = close
        ? await ask<SessionObject>(context, pathOf(id), { method: "DELETE" })
        : await ask<SessionObject & { interrupted: boolean }>(context, `${pathOf(id)}/interrupt`, { method: "POST" });
      if (json) printJson(stdout, stopped);
      else if (close) print([`${id} is closed.`]);
      else print(["interrupted" in stopped && stopped.interrupted ? `${id}: stopped.` : `${id}: nothing ran.`]);
    });
}
