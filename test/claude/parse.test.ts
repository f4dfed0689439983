import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { parseInitialize } from "../../src/claude/initialize.ts";
import { parseLine } from "../../src/claude/parse.ts";
import { toFlagSettings } from "../../src/claude/settings.ts";

const kind = (line: unknown) => parseLine(typeof line === "string" ? line : JSON.stringify(line)).kind;

test("known lines pass, unknown ones are skipped, broken ones are told apart", () => {
  expect(kind({ type: "stream_event", event: { type: "ping" }, brand_new: 1 })).toBe("message");
  expect(kind({ type: "assistant", message: {} })).toBe("message");
  expect(kind({ type: "result", subtype: "success", is_error: false })).toBe("message");
  expect(kind({ type: "system", subtype: "brand_new" })).toBe("message");
  expect(kind({ type: "rate_limit_event" })).toBe("message");
  expect(kind({ type: "brand_new" })).toBe("skipped");
  expect(kind("")).toBe("skipped");
  for (const broken of ["{", "[]", "null", "1", "{}", '{"type":1}']) expect(kind(broken), broken).toBe("malformed");
  expect(kind({ type: "stream_event" })).toBe("malformed");
  expect(kind({ type: "assistant", message: [] })).toBe("malformed");
  expect(kind({ type: "result", subtype: "success" })).toBe("malformed");
  expect(kind({ type: "control_request", request_id: "1" })).toBe("malformed");
  expect(kind({ type: "control_request", request_id: 1, request: { subtype: "x" } })).toBe("malformed");
});

test("control traffic is read whole", () => {
  expect(parseLine('{"type":"control_request","request_id":"r","request":{"subtype":"x","a":1}}')).toEqual({
    kind: "request",
    id: "r",
    request: { subtype: "x", a: 1 },
  });
  expect(parseLine('{"type":"control_response","response":{"subtype":"success","request_id":"r"}}')).toEqual({
    kind: "response",
    id: "r",
    result: { response: {} },
  });
  expect(parseLine('{"type":"control_response","response":{"subtype":"error","request_id":"r","error":"no"}}')).toEqual(
    {
      kind: "response",
      id: "r",
      result: { error: "no" },
    },
  );
  expect(parseLine('{"type":"control_cancel_request","request_id":"r"}')).toEqual({ kind: "cancel", id: "r" });
});

test("no line throws", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (line) => void parseLine(line)));
  fc.assert(
    fc.property(
      fc.constantFrom("stream_event", "assistant", "user", "result", "system", "control_request", "control_response"),
      fc.object(),
      (type, rest) => void parseLine(JSON.stringify({ ...rest, type })),
    ),
  );
});

test("the login is whatever names one; without a source there is none", () => {
  const login = (account: Record<string, string>) => parseInitialize({ account }).login;
  expect(login({ tokenSource: "none", apiKeySource: "ANTHROPIC_API_KEY", apiProvider: "firstParty" })).toBe(
    "ANTHROPIC_API_KEY",
  );
  expect(login({ tokenSource: "claude.ai", apiProvider: "firstParty" })).toBe("claude.ai");
  expect(login({ apiProvider: "bedrock" })).toBe("bedrock");
  expect(login({ tokenSource: "none", apiProvider: "firstParty" })).toBeUndefined();
  expect(login({})).toBeUndefined();
});

test("models of a later CLI are read as far as they are known", () => {
  const models = [
    { value: "opus", resolvedModel: "claude-opus", supportsEffort: true, supportedEffortLevels: ["low", 1] },
    {},
    3,
  ];
  expect(parseInitialize({ models } as never).models).toEqual([
    {
      value: "opus",
      resolvedModel: "claude-opus",
      displayName: "opus",
      description: undefined,
      supportsEffort: true,
      efforts: ["low"],
    },
  ]);
});

test("live settings say every key, because only an empty value resets one", () => {
  expect(toFlagSettings({ maxOutputTokens: 5, effort: "minimal", thinkingOff: false, extraBody: { a: 1 } })).toEqual({
    env: {
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: "5",
      CLAUDE_CODE_EFFORT_LEVEL: "low",
      CLAUDE_CODE_DISABLE_THINKING: "",
      CLAUDE_CODE_EXTRA_BODY: '{"a":1}',
    },
  });
  expect(
    toFlagSettings({ maxOutputTokens: undefined, effort: "none", thinkingOff: false, extraBody: undefined }),
  ).toEqual({
    env: {
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: "",
      CLAUDE_CODE_EFFORT_LEVEL: "",
      CLAUDE_CODE_DISABLE_THINKING: "1",
      CLAUDE_CODE_EXTRA_BODY: "",
    },
  });
});
