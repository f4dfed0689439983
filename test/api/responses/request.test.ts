import { describe, expect, test } from "bun:test";
import { toArchivedInput } from "../../../src/api/responses/history.ts";
import { readBody, toTurnRequest } from "../../../src/api/responses/request.ts";
import { DaemonError } from "../../../src/errors.ts";

const nothing = { before: [], items: new Map() };
const user = { role: "user", content: "hi" };
const call = (id: string, more: object = {}) => ({
  type: "function_call",
  call_id: id,
  name: "look",
  arguments: '{"at":1}',
  ...more,
});
const output = (id: string, value: unknown) => ({ type: "function_call_output", call_id: id, output: value });
const tool = (name: string, more: object = {}) => ({ type: "function", name, ...more });
const translate = (body: Record<string, unknown>) =>
  toTurnRequest(readBody({ model: "haiku", input: "hi", ...body }), new Headers(), nothing);
const turnOf = (body: Record<string, unknown>) => translate(body).turn;
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

function failure(body: Record<string, unknown>): { param: string | undefined; reason: string | undefined } {
  try {
    translate(body);
  } catch (error) {
    if (!(error instanceof DaemonError)) throw error;
    expect(error.code).toBe("invalid_request");
    return { param: error.detail.param, reason: error.detail.reason };
  }
  throw new Error("it was accepted");
}

describe("input", () => {
  test("items keep their order; what the model did in one go is one message, so are its results", () => {
    const turn = turnOf({
      instructions: "zero",
      input: [
        { role: "developer", content: "one" },
        user,
        { type: "reasoning", id: "rs_1", summary: [], content: null, encrypted_content: "someone else's" },
        { type: "message", role: "assistant", id: "msg_1", content: [{ type: "output_text", text: "I look." }] },
        call("a"),
        call("b", { arguments: "" }),
        output("b", [
          { type: "input_text", text: "B" },
          { type: "input_image", image_url: `data:image/png;base64,${PNG}` },
        ]),
        output("a", "A"),
        { role: "assistant", content: "" },
        { role: "system", content: [{ type: "input_text", text: "two" }] },
        { role: "user", content: null },
      ],
    });
    expect(turn.system).toBe("zero\none\ntwo");
    expect(turn.messages).toEqual([
      { role: "user", content: [{ type: "text", text: "hi" }] },
      {
        role: "assistant",
        content: [
          { type: "text", text: "I look." },
          { type: "client-call", id: "a", name: "look", input: { at: 1 } },
          { type: "client-call", id: "b", name: "look", input: {} },
        ],
      },
      {
        role: "user",
        content: [
          {
            type: "client-result",
            callId: "b",
            content: [
              { type: "text", text: "B" },
              { type: "image", source: { kind: "base64", mediaType: "image/png", data: PNG } },
            ],
            isError: false,
          },
          { type: "client-result", callId: "a", content: [{ type: "text", text: "A" }], isError: false },
        ],
      },
      { role: "user", content: [{ type: "text", text: "" }] },
    ]);
    expect(turn.unsupported).toEqual([]);
  });

  test("results stand where they were given", () => {
    const { messages } = turnOf({
      input: [user, call("a"), output("a", "A"), call("b"), call("c"), output("b", "B"), user, output("c", "C")],
    });
    const shape = messages.map(({ content }) =>
      content.map((block) => (block.type === "client-result" ? `result ${block.callId}` : block.type)).join(),
    );
    expect(shape).toEqual([
      "text",
      "client-call",
      "result a",
      "client-call,client-call",
      "result b",
      "text",
      "result c",
    ]);
  });

  test("files are read; instructions alone are enough", () => {
    const file = { type: "input_file", filename: "a.txt", file_data: `data:text/plain;base64,${btoa("hello")}` };
    expect(turnOf({ input: [{ role: "user", content: [file] }] }).messages[0]?.content).toEqual([
      { type: "document", mediaType: "text/plain", data: "hello", title: "a.txt" },
    ]);
    expect(turnOf({ input: [], instructions: "Say something." }).messages).toHaveLength(1);
  });

  test("items of other vendors' tools are skipped and named", () => {
    const input = [{ type: "web_search_call", id: "ws_1" }, user, { type: "compaction", encrypted_content: "x" }];
    const { messages, unsupported } = turnOf({ input });
    expect(messages).toHaveLength(1);
    expect(unsupported).toEqual(["input[0]", "input[2]"]);
  });

  test("what cannot be understood is named by its place", () => {
    const part = (content: unknown) => failure({ input: [user, { role: "user", content: [content] }] }).param;
    expect(part({ type: "input_audio" })).toBe("input[1].content[0].type");
    expect(part({ type: "input_image", file_id: "file_1" })).toBe("input[1].content[0].file_id");
    expect(part({ type: "input_image", image_url: "https://example.com/a.png" })).toBe("input[1].content[0].image_url");
    expect(part({ type: "input_file", file_url: "https://example.com/a.pdf" })).toBe("input[1].content[0].file_url");
    expect(part({ type: "input_text", text: 5 })).toBe("input[1].content[0].text");
    expect(part(5)).toBe("input[1].content[0]");
    expect(failure({ input: [{ role: "tool", content: "x" }] }).param).toBe("input[0].role");
    expect(failure({ input: [user, output("x", "y")] }).param).toBe("input[1].call_id");
    expect(failure({ input: [call("a", { arguments: "{bad" })] }).param).toBe("input[0].arguments");
    expect(failure({ input: [call("a", { name: "" })] }).param).toBe("input[0].name");
    expect(failure({ input: [{ type: "item_reference" }] }).param).toBe("input[0].id");
    expect(failure({ input: 5 }).param).toBe("input");
    expect(failure({ input: undefined })).toEqual({ param: "input", reason: "missing_required_parameter" });
  });

  test("what is kept has an id and a type, and its own id if it came with one", () => {
    const items = toArchivedInput([user, { role: "user", id: "mine", content: [] }, { ...call("a") }], "resp_x");
    expect(items).toMatchObject([
      { type: "message", id: "msg_x_i0", content: [{ type: "input_text", text: "hi" }] },
      { type: "message", id: "mine" },
      { type: "function_call", id: "item_x_i2" },
    ]);
  });
});

describe("tools", () => {
  test("functions are offered, other tools are ignored and named", () => {
    const tools = [tool("a"), { type: "web_search" }, { type: "namespace", name: "n", tools: [] }, tool("b")];
    const turn = turnOf({ tools, tool_choice: "required", parallel_tool_calls: false });
    expect(turn.tools.map((entry) => entry.name)).toEqual(["a", "b"]);
    expect(turn.tools[0]?.inputSchema).toEqual({ type: "object", properties: {} });
    expect(turn.unsupported).toEqual(["tools[1]", "tools[2]"]);
    expect(turn.toolChoice).toEqual({ type: "required" });
    expect(turn.parallelToolCalls).toBe(false);
    expect(turn.optionNames).toEqual({ toolChoice: "tool_choice", parallelToolCalls: "parallel_tool_calls" });
  });

  test("a choice names a function, a subset, or a tool that nothing here runs", () => {
    const tools = [tool("a"), tool("b")];
    expect(turnOf({ tools, tool_choice: { type: "function", name: "b" } }).toolChoice).toEqual({
      type: "tool",
      name: "b",
    });
    const allowed = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "a" }] };
    const subset = turnOf({ tools, tool_choice: allowed });
    expect([subset.tools.map((entry) => entry.name), subset.toolChoice]).toEqual([["a"], { type: "required" }]);
    const hosted = turnOf({ tools, tool_choice: { type: "file_search" } });
    expect([hosted.toolChoice, hosted.unsupported]).toEqual([{ type: "auto" }, ["tool_choice"]]);
    expect(turnOf({ tool_choice: { type: "function", name: "x" } }).toolChoice).toEqual({ type: "auto" });
    expect(failure({ tools, tool_choice: { type: "function", name: "x" } }).param).toBe("tool_choice");
    expect(failure({ tools, tool_choice: "sometimes" }).param).toBe("tool_choice");
    expect(failure({ tools: [tool("a"), tool("a")] }).param).toBe("tools[1].name");
    expect(failure({ tools: [tool("")] }).param).toBe("tools[0].name");
  });
});

describe("parameters", () => {
  test("those that shape the answer reach the turn under the client's names", () => {
    const format = { type: "json_schema", name: "n", strict: true, schema: { type: "object" } };
    const { output, optionNames } = turnOf({
      max_output_tokens: 9,
      temperature: 0.5,
      top_p: 0.9,
      reasoning: { effort: "xhigh", summary: "auto" },
      text: { format, verbosity: "low" },
    });
    expect(output).toEqual({
      maxTokens: 9,
      temperature: 0.5,
      topP: 0.9,
      effort: "xhigh",
      format: { type: "schema", schema: { type: "object" } },
    });
    expect(optionNames).toEqual({
      maxTokens: "max_output_tokens",
      temperature: "temperature",
      topP: "top_p",
      effort: "reasoning.effort",
      format: "text.format",
    });
    expect(turnOf({ text: { format: { type: "json_object" } } }).output.format).toEqual({ type: "object" });
    expect(turnOf({ text: {}, reasoning: { summary: "auto" }, tools: [], include: [] }).output).toEqual({});
    expect(failure({ text: { format: { type: "json_schema", name: "n" } } })).toEqual({
      param: "text.format.schema",
      reason: "missing_required_parameter",
    });
    expect(failure({ text: { format: { type: "xml" } } }).param).toBe("text.format.type");
  });

  test("null is absent, bookkeeping is silent, what is not honoured is named", () => {
    const names = [
      "instructions",
      "stream",
      "store",
      "previous_response_id",
      "tools",
      "tool_choice",
      "text",
      "include",
    ];
    const nulls = Object.fromEntries(
      [...names, "reasoning", "temperature", "conversation", "prompt", "background"].map((name) => [name, null]),
    );
    expect(turnOf({ ...nulls }).unsupported).toEqual([]);
    const silent = { user: "u", metadata: { a: "b" }, prompt_cache_key: "k", client_metadata: {}, store: true };
    const neutral = {
      truncation: "disabled",
      service_tier: "auto",
      top_logprobs: 0,
      stream_options: {},
      max_tool_calls: 3,
    };
    expect(turnOf({ ...silent, ...neutral }).unsupported).toEqual([]);
    expect(turnOf({ truncation: "auto", top_logprobs: 2, seed: 1 }).unsupported).toEqual([
      "truncation",
      "top_logprobs",
      "seed",
    ]);
  });

  test("what would make the answer wrong is refused", () => {
    for (const name of ["conversation", "prompt", "background"]) {
      expect(failure({ [name]: name === "background" ? true : { id: "x" } })).toEqual({
        param: name,
        reason: "unsupported_parameter",
      });
    }
    expect(failure({ max_output_tokens: 0 }).param).toBe("max_output_tokens");
    expect(failure({ model: undefined }).param).toBe("model");
    expect(failure({ stream: "yes" }).param).toBe("stream");
  });

  test("the answer repeats what was asked, and every key is there", () => {
    const { echo, store } = translate({ store: false, instructions: "I", metadata: { a: "b" }, tools: [tool("a")] });
    expect(store).toBe(false);
    expect(echo).toMatchObject({ store: false, instructions: "I", metadata: { a: "b" }, tools: [tool("a")] });
    expect(Object.keys(translate({}).echo)).toEqual(Object.keys(echo));
    expect(translate({})).toMatchObject({ store: true, stream: false });
  });
});
