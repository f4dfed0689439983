import { describe, expect, test } from "bun:test";
import { toTurnRequest } from "../../../src/api/openai/request.ts";
import { DaemonError } from "../../../src/errors.ts";

const user = { role: "user", content: "hi" };
const tool = (name: string, more: object = {}) => ({ type: "function", function: { name, ...more } });
const translate = (body: Record<string, unknown>) =>
  toTurnRequest({ model: "haiku", messages: [user], ...body }, new Headers());
const turnOf = (body: Record<string, unknown>) => translate(body).turn;
const PNG =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

function failure(body: Record<string, unknown>): { param: string | undefined; reason: string | undefined } {
  try {
    translate(body);
  } catch (error) {
    if (!(error instanceof DaemonError)) throw error;
    expect(error.code).toBe("invalid_request");
    expect(error.message).toContain(error.detail.param ?? "nothing");
    return { param: error.detail.param, reason: error.detail.reason };
  }
  throw new Error("it was accepted");
}

describe("messages", () => {
  test("keep their roles and order; system and developer lines are joined wherever they stand", () => {
    const turn = turnOf({
      messages: [
        { role: "system", content: "one" },
        user,
        { role: "assistant", content: "hello" },
        { role: "developer", content: [{ type: "text", text: "two" }] },
        { role: "user", content: ["a", { type: "text", text: "b" }] },
      ],
    });
    expect(turn.system).toBe("one\ntwo");
    expect(turn.messages).toEqual([
      { role: "user", content: [{ type: "text", text: "hi" }] },
      { role: "assistant", content: [{ type: "text", text: "hello" }] },
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
    ]);
    expect(turnOf({}).system).toBeUndefined();
  });

  for (const content of [null, "", undefined, []]) {
    test(`calls without text are the same whether content is ${JSON.stringify(content)}`, () => {
      const calls = [{ id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } }];
      const turn = turnOf({
        messages: [
          user,
          { role: "assistant", content, tool_calls: calls },
          { role: "tool", tool_call_id: "c1", content: "r" },
        ],
      });
      expect(turn.messages.slice(1)).toEqual([
        { role: "assistant", content: [{ type: "client-call", id: "c1", name: "f", input: { a: 1 } }] },
        {
          role: "user",
          content: [{ type: "client-result", callId: "c1", content: [{ type: "text", text: "r" }], isError: false }],
        },
      ]);
    });
  }

  test("results of parallel calls share one message, text after them has its own, images pass", () => {
    const call = (id: string) => ({ id, type: "function", function: { name: id, arguments: "" } });
    const turn = turnOf({
      messages: [
        user,
        { role: "assistant", content: "look", tool_calls: [call("a"), call("b")], reasoning_content: "echoed" },
        { role: "tool", tool_call_id: "b", name: "b", content: [{ type: "image_url", image_url: PNG }] },
        { role: "tool", tool_call_id: "a", content: [{ type: "text", text: "ra" }] },
        { role: "user", content: "go on" },
      ],
    });
    expect(turn.messages.map((message) => message.content.map((block) => block.type))).toEqual([
      ["text"],
      ["text", "client-call", "client-call"],
      ["client-result", "client-result"],
      ["text"],
    ]);
    expect(turn.messages[2]?.content[0]).toMatchObject({ callId: "b", content: [{ type: "image" }] });
  });

  test("results of different rounds stay apart, legacy ones too", () => {
    const round = (name: string) => [
      { role: "assistant", content: null, function_call: { name, arguments: "{}" } },
      { role: "function", name, content: name },
    ];
    const { messages } = turnOf({ messages: [user, ...round("f"), ...round("f"), user] });
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant", "user", "user"]);
    const ids = messages.flatMap(({ content }) =>
      content.map((block) =>
        block.type === "client-call" ? block.id : block.type === "client-result" ? block.callId : "",
      ),
    );
    expect(ids).toEqual(["", "call_legacy_1", "call_legacy_1", "call_legacy_3", "call_legacy_3", ""]);
  });

  test("a list of system messages alone is a turn", () => {
    expect(turnOf({ messages: [{ role: "system", content: "be" }] }).messages).toHaveLength(1);
  });

  const wrong: Record<string, [unknown, string]> = {
    "an empty list": [[], "messages"],
    "no list": ["hi", "messages"],
    "no role": [[{ content: "hi" }], "messages[0].role"],
    "an unknown role": [[{ role: "robot", content: "x" }], "messages[0].role"],
    "content of the wrong type": [[user, { role: "user", content: 5 }], "messages[1].content"],
    "an unknown part": [[{ role: "user", content: [{ type: "hologram" }] }], "messages[0].content[0].type"],
    audio: [[{ role: "user", content: [{ type: "input_audio" }] }], "messages[0].content[0].type"],
    "a text part without text": [[{ role: "user", content: [{ type: "text" }] }], "messages[0].content[0].text"],
    "a remote image": [
      [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://x/a.png" } }] }],
      "messages[0].content[0].image_url.url",
    ],
    "a stored file": [
      [{ role: "user", content: [{ type: "file", file: { file_id: "f" } }] }],
      "messages[0].content[0].file.file_id",
    ],
    "a result of no call": [[user, { role: "tool", tool_call_id: "x", content: "r" }], "messages[1].tool_call_id"],
    "arguments that are no JSON": [
      [{ role: "assistant", tool_calls: [{ id: "a", function: { name: "f", arguments: "{" } }] }],
      "messages[0].tool_calls[0].function.arguments",
    ],
    "a call without id": [
      [{ role: "assistant", tool_calls: [{ function: { name: "f" } }] }],
      "messages[0].tool_calls[0].id",
    ],
    "an image in a system message": [
      [{ role: "system", content: [{ type: "image_url", image_url: PNG }] }],
      "messages[0].content[0]",
    ],
  };
  for (const [title, [messages, param]] of Object.entries(wrong)) {
    test(`are refused with the place: ${title}`, () => {
      expect(failure({ messages }).param).toBe(param);
    });
  }
});

describe("options", () => {
  test("are taken over under the client's names", () => {
    const turn = turnOf({
      max_tokens: 5,
      max_completion_tokens: 9,
      stop: ["a", ""],
      reasoning_effort: "high",
      temperature: 0,
      top_p: 0.5,
      parallel_tool_calls: false,
      tools: [tool("f")],
      tool_choice: "required",
      response_format: { type: "json_object" },
    });
    expect(turn.output).toEqual({
      maxTokens: 9,
      stop: ["a"],
      effort: "high",
      temperature: 0,
      topP: 0.5,
      format: { type: "object" },
    });
    expect(turn.optionNames).toEqual({
      maxTokens: "max_completion_tokens",
      stop: "stop",
      effort: "reasoning_effort",
      temperature: "temperature",
      topP: "top_p",
      format: "response_format",
      toolChoice: "tool_choice",
      parallelToolCalls: "parallel_tool_calls",
    });
    expect(turn.unsupported).toEqual([]);
  });

  test("null and empty values count as absent", () => {
    const names = ["stream", "stream_options", "max_tokens", "stop", "n", "tools", "tool_choice", "functions", "seed"];
    const nulls = Object.fromEntries(
      [...names, "response_format", "reasoning_effort", "claude_code"].map((name) => [name, null]),
    );
    const { turn, stream, includeUsage } = translate({ ...nulls, tools: [], include: [] });
    expect([turn.output, turn.optionNames, stream, includeUsage]).toEqual([{}, {}, false, false]);
    expect(turn.unsupported).toEqual(["include"]);
  });

  test("unknown efforts go to the nearest known one", () => {
    const efforts = ["ultra", "HIGH", "somewhat", "default"].map(
      (reasoning_effort) => turnOf({ reasoning_effort }).output.effort,
    );
    expect(efforts).toEqual(["max", "high", "medium", undefined]);
    expect(turnOf({ reasoning: { effort: "low" } }).optionNames.effort).toBe("reasoning.effort");
  });

  test("what would have changed the answer is named, what would not is left in peace", () => {
    const changing = {
      seed: 1,
      presence_penalty: 0.5,
      logprobs: true,
      logit_bias: { 5: 1 },
      verbosity: "low",
      made_up: 1,
    };
    const silent = {
      frequency_penalty: 0,
      user: "u",
      metadata: {},
      store: false,
      service_tier: "auto",
      top_logprobs: 0,
    };
    expect(turnOf({ ...changing, ...silent }).unsupported).toEqual(Object.keys(changing));
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`f${index}`, 1]));
    expect(turnOf(many).unsupported.length).toBeLessThan(100);
  });

  const wrong: Record<string, [Record<string, unknown>, string]> = {
    "two answers": [{ n: 2 }, "n"],
    "no answers": [{ n: 0 }, "n"],
    audio: [{ modalities: ["text", "audio"] }, "modalities"],
    "no model": [{ model: undefined }, "model"],
    "a model of the wrong type": [{ model: 7 }, "model"],
    "tokens of the wrong type": [{ max_tokens: "9" }, "max_tokens"],
    "stream of the wrong type": [{ stream: "yes" }, "stream"],
    "an unknown format": [{ response_format: { type: "yaml" } }, "response_format.type"],
    "a format without schema": [{ response_format: { type: "json_schema" } }, "response_format.json_schema"],
  };
  for (const [title, [body, param]] of Object.entries(wrong)) {
    test(`are refused with the field: ${title}`, () => {
      expect(failure(body).param).toBe(param);
    });
  }

  test("a missing field is told apart from a wrong one", () => {
    expect(failure({ model: undefined }).reason).toBe("missing_required_parameter");
    expect(failure({ messages: undefined }).reason).toBe("missing_required_parameter");
  });
});

describe("tools", () => {
  test("schemas are completed, never replaced", () => {
    const odd = { $schema: "x", anyOf: [{ $ref: "#/$defs/a" }], $defs: { a: {} } };
    const { tools } = turnOf({ tools: [tool("none"), tool("odd", { parameters: odd, strict: true })] });
    expect(tools[0]?.inputSchema).toEqual({ type: "object", properties: {} });
    expect(tools[1]?.inputSchema).toEqual({ ...odd, type: "object", properties: {} });
  });

  test("choices of every form are understood", () => {
    const tools = [tool("f"), tool("g")];
    const choice = (tool_choice: unknown) => turnOf({ tools, tool_choice }).toolChoice;
    expect([choice("none"), choice("auto"), choice("required"), choice("any")].map(({ type }) => type)).toEqual([
      "none",
      "auto",
      "required",
      "required",
    ]);
    expect(choice({ type: "function", function: { name: "g" } })).toEqual({ type: "tool", name: "g" });
    const allowed = { mode: "required", tools: [{ type: "function", function: { name: "g" } }] };
    const turn = turnOf({ tools, tool_choice: { type: "allowed_tools", allowed_tools: allowed } });
    expect([turn.tools.map(({ name }) => name), turn.toolChoice.type]).toEqual([["g"], "required"]);
    expect(turnOf({ tool_choice: "required" }).toolChoice).toEqual({ type: "auto" });
  });

  test("hundreds are taken; what is no function is named", () => {
    const tools = Array.from({ length: 500 }, (_, index) => tool(`f${index}`));
    expect(turnOf({ tools }).tools).toHaveLength(500);
    const turn = turnOf({ tools: [tool("f"), { type: "web_search" }, { type: "custom", custom: { name: "x" } }] });
    expect([turn.tools.length, turn.unsupported]).toEqual([1, ["tools[1]", "tools[2]"]]);
  });

  test("legacy functions allow one call", () => {
    const { turn, legacyFunctions } = translate({ functions: [{ name: "f" }], function_call: { name: "f" } });
    expect([legacyFunctions, turn.parallelToolCalls, turn.toolChoice]).toEqual([
      true,
      false,
      { type: "tool", name: "f" },
    ]);
    expect(turn.optionNames.toolChoice).toBe("function_call");
  });

  const wrong: Record<string, [Record<string, unknown>, string]> = {
    "no name": [{ tools: [{ type: "function", function: {} }] }, "tools[0].function.name"],
    "the same name twice": [{ tools: [tool("f"), tool("f")] }, "tools[1].function.name"],
    "a schema that is no object": [
      { tools: [tool("f", { parameters: { type: "string" } })] },
      "tools[0].function.parameters.type",
    ],
    "a choice that is no tool": [
      { tools: [tool("f")], tool_choice: { type: "function", function: { name: "g" } } },
      "tool_choice",
    ],
    "a choice of an unknown word": [{ tools: [tool("f")], tool_choice: "sometimes" }, "tool_choice"],
  };
  for (const [title, [body, param]] of Object.entries(wrong)) {
    test(`are refused with the field: ${title}`, () => {
      expect(failure(body).param).toBe(param);
    });
  }
});

test("keys that would reach a prototype stay data", () => {
  const body = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}') as Record<
    string,
    unknown
  >;
  const call = { id: "a", function: { name: "f", arguments: '{"__proto__":{"polluted":1}}' } };
  const turn = turnOf({
    ...body,
    messages: [
      { role: "assistant", tool_calls: [call] },
      { role: "tool", tool_call_id: "a", content: "r" },
    ],
  });
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
  expect(Object.getPrototypeOf(turn)).toBe(Object.prototype);
});
