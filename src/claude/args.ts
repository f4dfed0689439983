/**
 * `LaunchOptions` to argv, pure. Every value is one token with its flag (`--flag=value`) and matches a strict pattern, so
 * that no value can ever be read as a flag; prompts, system prompts and schemas never come here (stdin carries them).
 */
import { DaemonError } from "../errors.ts";
import type { JsonObject } from "../turn/message.ts";
import type { ClaudeFeatures } from "./features.ts";
import type { LaunchOptions } from "./transport.ts";

/** Server name of the client's tools; allow rules use the long form `mcp__client__x` even where the model sees `x`. */
export const CLIENT_TOOLS_SERVER = "client";

const MODEL = /^[A-Za-z0-9][A-Za-z0-9.[\]_:/@-]{0,199}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const MODE = /^(default|acceptEdits|plan|dontAsk|bypassPermissions)$/;
/** A tool name, or one with a rule in parentheses: `Bash(git log *)`. No nesting, so that the CLI's list splits as ours. */
const TOOL_RULE = /^[A-Za-z][A-Za-z0-9_*-]{0,199}(\([^()\p{C}]{1,500}\))?$/u;
const TRANSCRIPT = /^\/[^\p{C}]{1,4000}\.jsonl$/u;
const SETTINGS_FILE = /^\/[^\p{C}]{1,4000}\.json$/u;
const DENY_PATH = /^\/[^\p{C}]{1,4000}$/u;
/** Rules are patterns, and escaping fails for some characters: `?` stands for any one of them, and denies a little more. */
const PATTERN_CHARACTERS = /[*?[\]{}()!\\]/g;
const MAX_RULES = 200;
const MAX_TURNS = 100_000;

function checked(name: string, value: string, pattern: RegExp): string {
  if (!pattern.test(value))
    throw new DaemonError("invalid_request", `The value of ${name} has a form that Claude Code cannot be given.`, {
      detail: { param: name },
    });
  return value;
}

function rules(name: string, values: readonly string[]): string {
  if (values.length > MAX_RULES)
    throw new DaemonError("invalid_request", `${name} may hold at most ${MAX_RULES} rules.`, {
      detail: { param: name },
    });
  return values.map((value) => checked(name, value, TOOL_RULE)).join(",");
}

/** Settings of our own, which outrank the user's; undefined where there is nothing to say. */
function settingsJson(options: LaunchOptions): string | undefined {
  const settings: JsonObject = {};
  // The agent's tools stay out of the daemon's state.
  const deny = (options.denyPaths ?? []).flatMap((path) => {
    const clean = checked("denyPaths", path, DENY_PATH).replace(/\/+$/, "").replace(PATTERN_CHARACTERS, "?");
    return [`Read(/${clean}/**)`, `Edit(/${clean}/**)`];
  });
  if (deny.length > 0) settings.permissions = { deny };
  return Object.keys(settings).length === 0 ? undefined : JSON.stringify(settings);
}

/** The argv after the binary. Throws `invalid_request` for a value outside its pattern. */
export function toArgs(options: LaunchOptions, features: Partial<ClaudeFeatures> = {}): string[] {
  const args = [
    "-p",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--verbose",
    "--include-partial-messages",
  ];
  if (options.kind === "chat") {
    args.push("--tools=", "--setting-sources=", "--strict-mcp-config", "--disable-slash-commands");
    const login = options.loginSettings;
    if (login !== undefined) args.push(`--settings=${checked("loginSettings", login, SETTINGS_FILE)}`);
  } else {
    if (!options.trusted) args.push("--setting-sources=user", "--strict-mcp-config");
    args.push("--permission-prompt-tool=stdio");
  }
  if (options.model !== undefined) args.push(`--model=${checked("model", options.model, MODEL)}`);
  if (options.permissionMode !== undefined)
    args.push(`--permission-mode=${checked("permission_mode", options.permissionMode, MODE)}`);
  const allowed = rules("allowed_tools", options.allowedTools ?? []);
  const client = options.clientTools ? `mcp__${CLIENT_TOOLS_SERVER}` : "";
  const allow = [allowed, client].filter((part) => part !== "").join(",");
  if (allow !== "") args.push(`--allowed-tools=${allow}`);
  const deny = rules("disallowed_tools", options.disallowedTools ?? []);
  if (deny !== "") args.push(`--disallowed-tools=${deny}`);
  if (options.maxTurns !== undefined) {
    const turns = options.maxTurns;
    if (!Number.isInteger(turns) || turns < 1 || turns > MAX_TURNS)
      throw new DaemonError("invalid_request", `max_turns must be a whole number from 1 to ${MAX_TURNS}.`, {
        detail: { param: "max_turns" },
      });
    args.push(`--max-turns=${turns}`);
  }
  if (options.resume !== undefined) {
    const { from, at, fork } = options.resume;
    args.push(`--resume=${from.startsWith("/") ? checked("resume", from, TRANSCRIPT) : checked("resume", from, UUID)}`);
    if (at !== undefined) args.push(`--resume-session-at=${checked("resume", at, UUID)}`);
    if (fork === true) args.push("--fork-session");
  }
  if (options.freshSystemPrompt === true && features.systemPromptSnapshot === true)
    args.push("--system-prompt-snapshot=off");
  if (options.sessionId !== undefined) args.push(`--session-id=${checked("session_id", options.sessionId, UUID)}`);
  // Otherwise a resumed process answers before it knows its system prompt and tools.
  if (options.answerInterrupted === true && features.awaitInitialize === true) args.push("--await-initialize");
  if (!options.persist) args.push("--no-session-persistence");
  const settings = settingsJson(options);
  if (settings !== undefined) args.push(`--settings=${settings}`);
  return args;
}
