/**
 * The frames of the WebSocket (docs/websocket.md), published under /docs. Clients' frames are closed: an
 * unknown field is answered with an error, because a typo in a field that limits an agent must not pass in silence.
 */
import { type Static, Type } from "@sinclair/typebox";
import {
  answerFields,
  ContextField,
  closed,
  NameField as Id,
  NameField,
  PathField,
  PermissionModeField,
  PromptField,
} from "../shared/code-schema.ts";

export const CodeRequestFrame = Type.Object(
  {
    type: Type.Literal("code_request"),
    code: PromptField,
    context: Type.Optional(ContextField),
    id: Type.Optional(Id),
    session_id: Type.Optional(Id),
    workspace: Type.Optional(PathField),
    model: Type.Optional(NameField),
    permission_mode: Type.Optional(PermissionModeField),
    permissions: Type.Optional(Type.Boolean()),
    expand: Type.Optional(Type.Boolean()),
  },
  closed,
);

export const CancelFrame = Type.Object(
  {
    type: Type.Literal("cancel"),
    request_id: Type.Optional(Id),
    session_id: Type.Optional(Id),
    turn_id: Type.Optional(Id),
  },
  closed,
);

export const PermissionResponseFrame = Type.Object(
  {
    type: Type.Literal("permission_response"),
    permission_id: Id,
    session_id: Type.Optional(Id),
    ...answerFields,
  },
  closed,
);

export const SubscribeFrame = Type.Object(
  {
    type: Type.Literal("subscribe"),
    session_id: Id,
    after: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    permissions: Type.Optional(Type.Boolean()),
  },
  closed,
);

export const UnsubscribeFrame = Type.Object({ type: Type.Literal("unsubscribe"), session_id: Id }, closed);

export const PingFrame = Type.Object({ type: Type.Literal("ping"), id: Type.Optional(Id) }, closed);

export const CLIENT_FRAMES = {
  code_request: CodeRequestFrame,
  cancel: CancelFrame,
  permission_response: PermissionResponseFrame,
  subscribe: SubscribeFrame,
  unsubscribe: UnsubscribeFrame,
  ping: PingFrame,
} as const;
export type ClientFrameType = keyof typeof CLIENT_FRAMES;
export type ClientFrame = { [Type in ClientFrameType]: Static<(typeof CLIENT_FRAMES)[Type]> }[ClientFrameType];

const any = { additionalProperties: true } as const;
/** In every event of a session. */
const event = { seq: Type.Integer(), session_id: Type.String() };
const turnEvent = { ...event, turn_id: Type.String() };
const input = Type.Object({}, any);

/** What the server sends: events of sessions (with `seq`), and answers to this connection alone (without). */
export const SERVER_FRAMES = [
  Type.Object({
    type: Type.Literal("code_accepted"),
    session_id: Type.String(),
    turn_id: Type.String(),
    request_id: Type.Optional(Type.String()),
  }),
  Type.Object({
    type: Type.Literal("subscribed"),
    session_id: Type.String(),
    status: Type.String(),
    last_seq: Type.Integer(),
    pending_permissions: Type.Array(Type.Object({}, any)),
  }),
  Type.Object({ type: Type.Literal("unsubscribed"), session_id: Type.String() }),
  Type.Object({ type: Type.Literal("pong"), id: Type.Optional(Type.String()) }),
  Type.Object({
    type: Type.Literal("error"),
    code: Type.String(),
    message: Type.String(),
    param: Type.Optional(Type.String()),
    request_id: Type.Optional(Type.String()),
    turn_id: Type.Optional(Type.String()),
    session_id: Type.Optional(Type.String()),
    seq: Type.Optional(Type.Integer()),
    files_changed: Type.Optional(Type.Array(Type.Object({}, any))),
  }),
  Type.Object({ type: Type.Literal("turn_queued"), ...turnEvent, position: Type.Integer() }),
  Type.Object({
    type: Type.Literal("turn_start"),
    ...turnEvent,
    number: Type.Integer(),
    prompt: Type.String(),
    request_id: Type.Optional(Type.String()),
  }),
  Type.Object({ type: Type.Literal("code_delta"), ...turnEvent, text: Type.String() }),
  Type.Object({ type: Type.Literal("thinking_delta"), ...turnEvent, text: Type.String() }),
  Type.Object({
    type: Type.Literal("tool_start"),
    ...turnEvent,
    tool_use_id: Type.String(),
    tool: Type.String(),
    input,
    parent_tool_use_id: Type.Optional(Type.String()),
  }),
  Type.Object({
    type: Type.Literal("tool_end"),
    ...turnEvent,
    tool_use_id: Type.String(),
    output: Type.String(),
    output_truncated: Type.Optional(Type.Boolean()),
    is_error: Type.Boolean(),
  }),
  Type.Object({
    type: Type.Literal("client_call"),
    ...turnEvent,
    call_id: Type.String(),
    name: Type.String(),
    arguments: Type.String(),
  }),
  Type.Object({
    type: Type.Literal("permission_request"),
    ...turnEvent,
    permission_id: Type.String(),
    tool: Type.String(),
    input,
    reason: Type.Optional(Type.String()),
    suggestions: Type.Array(Type.Object({}, any)),
    tool_use_id: Type.Optional(Type.String()),
    expires_at: Type.Integer({ description: "Unix milliseconds." }),
  }),
  Type.Object({
    type: Type.Literal("permission_resolved"),
    ...turnEvent,
    permission_id: Type.String(),
    behavior: Type.String(),
    message: Type.Optional(Type.String()),
  }),
  Type.Object({ type: Type.Literal("notice"), ...event, code: Type.String(), text: Type.String() }),
  Type.Object({
    type: Type.Literal("code_response"),
    ...turnEvent,
    content: Type.String(),
    files_changed: Type.Array(Type.Object({}, any)),
    permission_denials: Type.Array(Type.Object({}, any)),
    stop_reason: Type.String(),
    usage: Type.Object({}, any),
    cost_usd: Type.Optional(Type.Number()),
    num_turns: Type.Optional(Type.Integer()),
    request_id: Type.Optional(Type.String()),
  }),
  Type.Object({ type: Type.Literal("session_closed"), ...event }),
];
