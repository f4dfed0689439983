/**
 * Bodies and objects of `/v1/code/session` (docs/sessions.md). Closed: an unknown field is a 400, because a typo in a field
 * that limits an agent must not pass in silence.
 */
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import {
  ContextField,
  closed,
  NameField,
  oneOf,
  PathField,
  PermissionModeField,
  PromptField,
} from "../shared/code-schema.ts";

const MAX_SYSTEM_CHARS = 1024 * 1024;
const MAX_RULES = 200;
const MAX_RULE_CHARS = 1024;

const Rules = Type.Array(Type.String({ minLength: 1, maxLength: MAX_RULE_CHARS }), { maxItems: MAX_RULES });

/** What both a session and a single turn can say about how Claude works. */
const workOptions = {
  append_system_prompt: Type.Optional(Type.String({ maxLength: MAX_SYSTEM_CHARS })),
  allowed_tools: Type.Optional(Rules),
  disallowed_tools: Type.Optional(Rules),
  max_turns: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
};

export const CreateSessionBody = Type.Object(
  {
    workspace: Type.Optional(PathField),
    model: Type.Optional(NameField),
    permission_mode: Type.Optional(PermissionModeField),
    system_prompt: Type.Optional(Type.String({ maxLength: MAX_SYSTEM_CHARS })),
    ...workOptions,
    title: Type.Optional(NameField),
    resume: Type.Optional(Type.String({ description: "must be a claude session id (a UUID)", maxLength: 36 })),
    fork: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type CreateSessionBody = Static<typeof CreateSessionBody>;

export const TurnBody = Type.Object(
  {
    prompt: PromptField,
    context: Type.Optional(ContextField),
    model: Type.Optional(NameField),
    permission_mode: Type.Optional(PermissionModeField),
    ...workOptions,
    expand: Type.Optional(Type.Boolean()),
    stream: Type.Optional(Type.Boolean()),
    background: Type.Optional(Type.Boolean()),
    permissions: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type TurnBody = Static<typeof TurnBody>;

export const InterruptBody = Type.Object({ turn_id: Type.Optional(Type.String({ maxLength: 64 })) }, closed);

export const UndoBody = Type.Object(
  {
    dry_run: Type.Optional(Type.Boolean()),
    force: Type.Optional(Type.Boolean()),
    paths: Type.Optional(Type.Array(PathField, { minItems: 1, maxItems: 10_000 })),
  },
  closed,
);

const Usage = Type.Object({
  input_tokens: Type.Optional(Type.Integer()),
  output_tokens: Type.Optional(Type.Integer()),
  cache_read_input_tokens: Type.Optional(Type.Integer()),
  cache_creation_input_tokens: Type.Optional(Type.Integer()),
});

export const FileChangeObject = Type.Object({
  path: Type.String(),
  status: oneOf(["added", "modified", "deleted", "renamed"]),
  previous_path: Type.Optional(Type.String()),
  additions: Type.Integer(),
  deletions: Type.Integer(),
  binary: Type.Boolean(),
  diff: Type.Optional(Type.String()),
  diff_truncated: Type.Optional(Type.Boolean()),
  ignored: Type.Optional(Type.Boolean()),
  attribution: Type.Optional(oneOf(["own", "during"])),
});

export const SessionObject = Type.Object({
  object: Type.Literal("code.session"),
  id: Type.String(),
  status: oneOf(["idle", "running", "waiting_permission", "waiting_tool", "closed"]),
  workspace: Type.String(),
  model: Type.String(),
  permission_mode: PermissionModeField,
  origin: oneOf(["code", "stateless", "terminal"]),
  claude_session_id: Type.Union([Type.String(), Type.Null()]),
  title: Type.Union([Type.String(), Type.Null()]),
  created_at: Type.Integer({ description: "Unix seconds." }),
  last_active_at: Type.Integer({ description: "Unix seconds." }),
  turns: Type.Integer(),
  usage: Usage,
  cost_usd: Type.Number(),
  process: oneOf(["live", "none"]),
});

export const TurnObject = Type.Object({
  object: Type.Literal("code.turn"),
  id: Type.String(),
  session_id: Type.String(),
  number: Type.Integer(),
  status: oneOf(["queued", "running", "completed", "interrupted", "failed"]),
  prompt: Type.String(),
  content: Type.String(),
  model: Type.Union([Type.String(), Type.Null()]),
  created_at: Type.Integer(),
  started_at: Type.Union([Type.Integer(), Type.Null()]),
  ended_at: Type.Union([Type.Integer(), Type.Null()]),
  stop_reason: Type.Union([Type.String(), Type.Null()]),
  usage: Usage,
  cost_usd: Type.Union([Type.Number(), Type.Null()]),
  num_turns: Type.Union([Type.Integer(), Type.Null()]),
  files_changed: Type.Union([Type.Array(FileChangeObject), Type.Null()]),
  permission_denials: Type.Array(Type.Object({}, { additionalProperties: true })),
  error: Type.Union([Type.Object({ code: Type.String(), message: Type.String() }), Type.Null()]),
});

/** A page: `next` is given back as `before`. */
export const listOf = (item: TSchema) =>
  Type.Object({
    object: Type.Literal("list"),
    data: Type.Array(item),
    has_more: Type.Boolean(),
    next: Type.Union([Type.String(), Type.Null()]),
  });
