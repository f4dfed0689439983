import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { createClientToolServer } from "../../src/claude/client-tools.ts";
import { createToolNames } from "../../src/claude/tool-names.ts";
import type { JsonObject } from "../../src/turn/message.ts";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { message, text, toolBlock } from "../support/api-reply.ts";
import { drive } from "./harness.ts";

const say = (content: string) => [{ type: "text" as const, text: content }];

test("names come back as they went, never two alike, always what the API takes", () => {
  const name = fc.oneof(
    fc.string({ maxLength: 140 }),
    fc.constantFrom("Bash", "a b", "a_b", "a.b", "a_b_2", "client_Bash", ""),
  );
  fc.assert(
    fc.property(
      fc.uniqueArray(name, { maxLength: 20 }),
      fc.constantFrom("agent" as const, "chat" as const),
      (names, kind) => {
        const mapped = createToolNames(names, kind);
        const given = names.map((original) => mapped.toModel(original));
        expect(new Set(given).size).toBe(names.length);
        expect(given.map((shown) => mapped.toClient(shown))).toEqual(names);
        for (const shown of given) expect(shown).toMatch(/^[A-Za-z0-9_-]{1,115}$/);
      },
    ),
  );
});

test("a plain name stays, whatever stands before it; beside Claude's own tools theirs come first", () => {
  const names = ["get weather", "get_weather", "Bash"];
  const chat = createToolNames(names, "chat");
  expect(names.map(chat.toModel)).toEqual(["get_weather_2", "get_weather", "Bash"]);
  const agent = createToolNames(names, "agent");
  expect(names.map(agent.toModel)).toEqual(["get_weather_2", "get_weather", "client_Bash"]);
  expect([agent.toClient("client_Bash"), agent.toClient("Bash")]).toEqual(["Bash", undefined]);
});

test("the handshake, the list and the calls are answered as the CLI expects", () => {
  const server = createClientToolServer(
    [
      { name: "a b", description: "d".repeat(5000), inputSchema: { properties: { x: { type: "number" } } } },
      { name: "plain", inputSchema: { type: "object" } },
    ],
    "chat",
    false,
  );
  const answer = (message: JsonObject): JsonObject => {
    const step = server.step(message);
    if (step.kind !== "answer") throw new Error(step.kind);
    return step.response.mcp_response as JsonObject;
  };
  expect(answer({ id: 1, method: "initialize", params: { protocolVersion: "2099-01-01" } })).toMatchObject({
    jsonrpc: "2.0",
    id: 1,
    result: { protocolVersion: "2099-01-01", capabilities: { tools: {} }, serverInfo: { name: "client" } },
  });
  expect(answer({ method: "notifications/initialized" })).toEqual({ jsonrpc: "2.0", id: 0, result: {} });
  expect(answer({ id: 2, method: "tools/list" }).result).toEqual({
    tools: [
      {
        name: "a_b",
        description: "d".repeat(4096),
        inputSchema: { type: "object", properties: { x: { type: "number" } } },
        annotations: { readOnlyHint: true },
        _meta: { "anthropic/maxResultSizeChars": 500_000 },
      },
      {
        name: "plain",
        inputSchema: { type: "object" },
        annotations: { readOnlyHint: true },
        _meta: { "anthropic/maxResultSizeChars": 500_000 },
      },
    ],
  });
  const call = server.step({
    id: 3,
    method: "tools/call",
    params: { name: "a_b", arguments: { x: 1 }, _meta: { "claudecode/toolUseId": "toolu_1" } },
  });
  if (call.kind !== "call") throw new Error(call.kind);
  expect(call.call).toEqual({ callId: "toolu_1", name: "a b", arguments: { x: 1 } });
  const content = [
    { type: "text" as const, text: "t" },
    { type: "image" as const, mediaType: "image/png", data: "AAAA" },
  ];
  expect(call.answer({ content, isError: true })).toEqual({
    mcp_response: {
      jsonrpc: "2.0",
      id: 3,
      result: {
        content: [
          { type: "text", text: "t" },
          { type: "image", data: "AAAA", mimeType: "image/png" },
        ],
        isError: true,
      },
    },
  });
  expect(server.step({ method: "notifications/cancelled", params: { requestId: 3 } })).toMatchObject({
    kind: "cancelled",
    rpcId: "3",
  });
});

/** What 2.1.330 makes of unions at the root by itself. */
const UNIONS: [name: string, schema: JsonObject, description: string, arrives: JsonObject][] = [
  [
    "any",
    { anyOf: [branch("a", "number"), branch("b", "string")] },
    "Input constraint: Provide parameters for at least one of: (a, x) or (b, x).",
    { type: "object", properties: both("number", "string"), required: ["x"], additionalProperties: true },
  ],
  [
    "one",
    { type: "object", oneOf: [branch("a", "string"), branch("b", "string")] },
    "Input constraint: Provide parameters for exactly one of: (a, x) or (b, x).",
    { type: "object", properties: both("string"), required: ["x"], additionalProperties: true },
  ],
  [
    "all",
    { type: "object", allOf: [branch("a", "string"), branch("b", "string")] },
    "Input constraint: all listed parameters apply together (flattened from a JSON Schema allOf).",
    { type: "object", properties: both("string"), required: ["a", "x", "b"], additionalProperties: true },
  ],
  [
    "mixed",
    {
      type: "object",
      properties: { c: { type: "string" } },
      required: ["c"],
      $defs: { A: branch("a", "string") },
      anyOf: [{ required: ["c"] }, { $ref: "#/$defs/A" }],
    },
    "Input constraint: Provide parameters for at least one of: (c) or (a, x).",
    {
      type: "object",
      properties: { c: { type: "string" }, a: { type: "string" }, x: { type: "string" } },
      required: ["c"],
      $defs: { A: branch("a", "string") },
      additionalProperties: true,
    },
  ],
];

function branch(name: string, x: string): JsonObject {
  return { type: "object", properties: { [name]: { type: "string" }, x: { type: x } }, required: [name, "x"] };
}

function both(one: string, other?: string): JsonObject {
  const x = other === undefined ? { type: one } : { anyOf: [{ type: other }, { type: one }] };
  return { a: { type: "string" }, x, b: { type: "string" } };
}

test("unions at the root of a schema reach the model flattened, by the CLI or by us", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url, launch: { clientTools: true } });
  const { claude, seen } = driven;
  const tools = UNIONS.map(([name, inputSchema]) => ({ name, description: `does ${name}`, inputSchema }));
  await claude.initialize({ systemPrompt: "", clientTools: tools });
  await claude.prompt(say("go"), { verbatim: true });
  await seen.result();
  const offered = new Map((api.requests[0]?.body.tools ?? []).map((tool) => [tool.name, tool]));
  for (const [name, , note, schema] of UNIONS)
    expect(offered.get(name)).toMatchObject({ description: `${note}\n\ndoes ${name}`, input_schema: schema });
});

test("schemas of every shape, and 40 calls at once, pass the real CLI", async () => {
  await using api = startAnthropicApi();
  const count = 40;
  const calls = Array.from({ length: count }, (_, index) => toolBlock("plain", { index }, { id: `toolu_${index}` }));
  api.script(message(calls), text("done"));
  await using driven = await drive({
    apiUrl: api.url,
    launch: { kind: "agent", clientTools: true, permissionMode: "plan" },
  });
  const { claude, seen } = driven;
  await claude.initialize({
    clientTools: [
      { name: "plain", inputSchema: { type: "object", properties: { index: { type: "number" } } } },
      { name: "no type", inputSchema: { properties: { a: { type: "string" } } } },
      {
        name: "either",
        inputSchema: { anyOf: [{ type: "object", properties: { a: { type: "string" } } }, { type: "object" }] },
      },
      { name: "Read", description: "the client's own", inputSchema: {} },
      { name: "größe.messen", inputSchema: { type: "object", additionalProperties: false } },
    ],
  });
  await claude.prompt(say("go"), { verbatim: true });
  await seen.until("all calls", () => seen.calls.length === count);
  for (const { callId } of seen.calls.toReversed())
    claude.answerClientCall(callId, { content: [{ type: "text", text: callId }], isError: false });
  expect((await seen.result()).is_error).toBe(false);
  const offered = (api.requests[0]?.body.tools ?? []).map((tool) => String(tool.name));
  expect(offered).toEqual(
    expect.arrayContaining(["plain", "no_type", "either", "client_Read", "Read", "gr__e_messen"]),
  );
  expect(new Set(offered).size).toBe(offered.length);
});
