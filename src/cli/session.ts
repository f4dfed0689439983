/** `session list|show|stop`: the running daemon's sessions, through its own API. */
import { type Command, InvalidArgumentError } from "commander";
import { type CliContext, printJson, printLine, toTerminalText } from "./context.ts";
import { addPort, callDaemon, findDaemon, type PortFlag, toFailure } from "./daemon-client.ts";
import { withInterrupt } from "./interrupt.ts";
import { followEvents } from "./session-follow.ts";
import {
  describeSession,
  describeTerminalSession,
  describeTurn,
  details,
  type SessionObject,
  type TerminalObject,
  type TurnObject,
} from "./session-text.ts";

const ANSWER_TIMEOUT_MS = 15_000;
const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;
const SHOWN_TURNS = 10;
const ID = "its id: ses_… (session list)";

function toLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_LIMIT}.`);
}

/** Calls the daemon; throws what it answers as an error. */
async function call(context: CliContext, flags: PortFlag, path: string, init: RequestInit): Promise<Response> {
  const response = await callDaemon(findDaemon(context, flags), path, init);
  if (!response.ok) throw await toFailure(response);
  return response;
}

async function ask<T>(context: CliContext, flags: PortFlag, path: string, init: RequestInit = {}): Promise<T> {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  return (await (await call(context, flags, path, { ...init, signal })).json()) as T;
}

const pathOf = (id: string) => `/v1/code/session/${encodeURIComponent(id)}`;

interface ListFlags extends PortFlag {
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
  const session = program.command("session").description("list, watch and stop coding sessions of the running daemon");
  addPort(session.command("list"))
    .description("list sessions, most recently active first")
    .option("-a, --all", "closed ones too")
    .option("--terminal", "those begun with claude itself that can be resumed")
    .option("-n, --limit <number>", "how many at most, up to 100", toLimit, DEFAULT_LIMIT)
    .option("--json", "the answer of GET /v1/code/session")
    .action(async ({ all, terminal, limit, json, ...flags }: ListFlags) => {
      const query = new URLSearchParams({ limit: String(limit) });
      if (all) query.set("closed", "true");
      if (terminal) query.set("origin", "terminal");
      const page = await ask<{ data: unknown[] }>(context, flags, `/v1/code/session?${query}`);
      if (json) printJson(stdout, page);
      else if (page.data.length === 0) print([`No sessions${all || terminal ? "" : " are open"}.`]);
      else if (terminal) print((page.data as TerminalObject[]).map(describeTerminalSession));
      else print((page.data as SessionObject[]).map(describeSession));
    });
  addPort(session.command("show").argument("<session>", ID))
    .description("show one session and its last turns")
    .option("-f, --follow", "go on with what happens in it, until Ctrl-C or its end")
    .option("--json", "session and turns as the API gives them; with --follow also each event, one a line")
    .action(async (id: string, { json = false, follow, ...flags }: PortFlag & { json?: boolean; follow?: boolean }) => {
      const show = async () => {
        const found = await ask<SessionObject>(context, flags, pathOf(id));
        const turns = await ask<{ data: TurnObject[] }>(context, flags, `${pathOf(id)}/turns?limit=${SHOWN_TURNS}`);
        const whole = { ...found, last_turns: turns.data };
        if (json && follow) printLine(stdout, JSON.stringify(whole));
        else if (json) printJson(stdout, whole);
        else print([...details(found), ...turns.data.toReversed().flatMap(describeTurn)]);
        return found.status !== "closed";
      };
      if (!follow) {
        await show();
        return;
      }
      await withInterrupt(async (signal) => {
        try {
          // Before the turns are shown: what happens in between is not missed.
          const { body } = await call(context, flags, `${pathOf(id)}/events`, { signal });
          if ((await show()) && body) await followEvents(body, context, json);
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      });
    });
  addPort(session.command("stop").argument("<session>", ID))
    .description("end what runs in a session; with --close the session as well")
    .option("--close", "close it for good: its past stays, it takes no more turns")
    .option("--json", "the session as the API gives it")
    .action(async (id: string, { close, json, ...flags }: PortFlag & { close?: boolean; json?: boolean }) => {
      const stopped = close
        ? await ask<SessionObject>(context, flags, pathOf(id), { method: "DELETE" })
        : await ask<SessionObject & { interrupted: boolean }>(context, flags, `${pathOf(id)}/interrupt`, {
            method: "POST",
          });
      if (json) printJson(stdout, stopped);
      else if (close) print([`${id} is closed.`]);
      else print(["interrupted" in stopped && stopped.interrupted ? `${id}: stopped.` : `${id}: nothing ran.`]);
    });
}
