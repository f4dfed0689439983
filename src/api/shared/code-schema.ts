/** Fields that the code API has on REST and on the WebSocket alike. */
import { type Static, Type } from "@sinclair/typebox";
import { PERMISSION_MODES } from "../../turn/request.ts";

export const MAX_TEXT_CHARS = 4 * 1024 * 1024;
const MAX_PATH_CHARS = 4096;
const MAX_NAME_CHARS = 200;
const MAX_FILES = 100;
const MAX_ANSWER_CHARS = 10_000;
const MAX_ANSWERS = 100;

/** An unknown field is an error: a typo in one that limits an agent must not pass in silence. */
export const closed = { additionalProperties: false } as const;

/** A union of literals, typed and described. */
export function oneOf<const Values extends readonly string[]>(values: Values) {
  return Type.Unsafe<Values[number]>(
    Type.Union(
      values.map((value) => Type.Literal(value)),
      { description: `must be one of ${values.join(", ")}` },
    ),
  );
}

export const PermissionModeField = oneOf(PERMISSION_MODES);
export const PathField = Type.String({ minLength: 1, maxLength: MAX_PATH_CHARS });
export const NameField = Type.String({ minLength: 1, maxLength: MAX_NAME_CHARS });
export const PromptField = Type.String({ minLength: 1, maxLength: MAX_TEXT_CHARS });

/** `context` of a request: files by path within the workspace, or with their content. */
export const ContextField = Type.Object(
  {
    files: Type.Optional(
      Type.Array(
        Type.Union(
          [
            PathField,
            Type.Object(
              { path: PathField, content: Type.Optional(Type.String({ maxLength: MAX_TEXT_CHARS })) },
              closed,
            ),
          ],
          { description: "must be a path, or an object with path and content" },
        ),
        { maxItems: MAX_FILES },
      ),
    ),
  },
  closed,
);

const Answer = Type.String({ maxLength: MAX_ANSWER_CHARS });

/** A person's answer to a permission prompt. */
export const answerFields = {
  behavior: oneOf(["allow", "deny"]),
  message: Type.Optional(Answer),
  interrupt: Type.Optional(Type.Boolean()),
  remember: Type.Optional(Type.Boolean()),
  updated_input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  answers: Type.Optional(Type.Record(Answer, Type.Union([Answer, Type.Array(Answer, { maxItems: MAX_ANSWERS })]))),
  permission_mode: Type.Optional(PermissionModeField),
};

export const PermissionBody = Type.Object(answerFields, closed);
export type PermissionBody = Static<typeof PermissionBody>;
