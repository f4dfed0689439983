/** Bodies of `/v1/code/execute` (docs/running-code.md). Closed: an unknown field is a 400, because a typo here runs code. */
import { type Static, Type } from "@sinclair/typebox";

const MAX_CODE_CHARS = 4 * 1024 * 1024;
const MAX_INPUT_CHARS = 16 * 1024 * 1024;
const MAX_FILES = 256;
const MAX_ARGUMENTS = 256;
/** Linux takes at most 128 KiB in one argument. */
const MAX_ARGUMENT_CHARS = 32 * 1024;

const ExecutionFile = Type.Object(
  {
    path: Type.String({ minLength: 1, maxLength: 1024, description: "Relative to the working directory." }),
    content: Type.String({ maxLength: MAX_INPUT_CHARS }),
    encoding: Type.Optional(
      Type.Union([Type.Literal("utf8"), Type.Literal("base64")], { description: "Of `content`; default `utf8`." }),
    ),
  },
  { additionalProperties: false },
);

export const ExecuteBody = Type.Object(
  {
    language: Type.String({ minLength: 1, maxLength: 64, description: "One of `GET /v1/code/execute`." }),
    code: Type.String({ maxLength: MAX_CODE_CHARS, description: "The program's text." }),
    stdin: Type.Optional(Type.String({ maxLength: MAX_INPUT_CHARS, description: "What the program reads on stdin." })),
    args: Type.Optional(
      Type.Array(Type.String({ maxLength: MAX_ARGUMENT_CHARS, pattern: "^[^\\u0000]*$" }), {
        maxItems: MAX_ARGUMENTS,
        description: "Command-line arguments of the program.",
      }),
    ),
    files: Type.Optional(
      Type.Array(ExecutionFile, {
        maxItems: MAX_FILES,
        description: "Written into the working directory first; an existing file is never replaced.",
      }),
    ),
    session_id: Type.Optional(
      Type.String({ maxLength: 128, description: "Run in the workspace of this session (`ses_…`)." }),
    ),
    workspace: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description:
          "Run in this directory, inside the allowed roots. Without it: in a directory that is then deleted.",
      }),
    ),
    timeout_ms: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 86_400_000, description: "Time for the run, up to the configured maximum." }),
    ),
    network: Type.Optional(
      Type.Boolean({ description: "Reach the network; only where the config says `exec.allow_network`." }),
    ),
    stream: Type.Optional(Type.Boolean({ description: "Send output as server-sent events while it comes." })),
  },
  { additionalProperties: false },
);
export type ExecuteBody = Static<typeof ExecuteBody>;

const nullable = <const T extends "string" | "integer">(type: T, description: string) =>
  Type.Unsafe<string | number | null>({ type: [type, "null"], description });

/** The answer, for the documentation. */
export const Execution = Type.Object({
  object: Type.Literal("code.execution"),
  id: Type.String({ description: "`exe_…`" }),
  language: Type.String(),
  exit_code: nullable("integer", "null where a signal ended the program."),
  signal: nullable("string", "E.g. `SIGKILL`."),
  stdout: Type.String(),
  stderr: Type.String(),
  stdout_truncated: Type.Boolean(),
  stderr_truncated: Type.Boolean(),
  duration_ms: Type.Integer(),
  timed_out: Type.Boolean(),
  limit_hit: nullable("string", "Which bound ended the run: `time`, `memory`, `processes` or `output`."),
  sandboxed: Type.Boolean(),
  files_changed: Type.Unsafe<unknown>({
    type: ["array", "null"],
    items: { type: "object" },
    description: "As in turns; null where it could not be told.",
  }),
  blocked_paths: Type.Array(Type.String(), {
    description: "Settings that other programs would execute and that the run made; they were removed again.",
  }),
});
