/** The stand-in's wire form, read by Anthropic's own SDK. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import Anthropic from "@anthropic-ai/sdk";
import { type StandIn, startStandIn } from "../../src/demo/stand-in.ts";

const LABEL = "[stand-in of claude-code-daemon, not Claude]";
const TOOL = {
  name: "get_weather",
  input_schema: { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] },
};

let standIn: StandIn;
let client: Anthropic;
beforeAll(() => {
  standIn = startStandIn();
  client = new Anthropic({ baseURL: standIn.url, apiKey: "any", maxRetries: 0 });
});
afterAll(() => standIn.close());

test("streamed words add up to the text of the whole answer", async () => {
  const ask = { model: "m", max_tokens: 1000, messages: [{ role: "user" as const, content: "a  b\nc" }] };
  let deltas = 0;
  const stream = client.messages.stream(ask).on("text", () => {
    deltas += 1;
  });
  const streamed = await stream.finalMessage();
  const whole = await client.messages.create(ask);
  expect(streamed.content as unknown[]).toEqual(whole.content);
  expect(deltas).toBeGreaterThan(10);
  expect(streamed.stop_reason).toBe("end_turn");
  expect(streamed.usage.output_tokens).toBe(deltas);
});

test("the client's first tool is called with arguments of its schema, and its result is told back", async () => {
  const messages: Anthropic.MessageParam[] = [{ role: "user", content: "weather?" }];
  const first = await client.messages.stream({ model: "m", max_tokens: 1000, messages, tools: [TOOL] }).finalMessage();
  expect(first.stop_reason).toBe("tool_use");
  const call = first.content.find((block) => block.type === "tool_use");
  expect(call).toMatchObject({ name: "get_weather", input: { city: "stand-in" } });
  messages.push({ role: "assistant", content: first.content });
  messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: call?.id ?? "", content: "sunny" }] });
  const second = await client.messages.create({ model: "m", max_tokens: 1000, messages, tools: [TOOL] });
  expect(second.stop_reason).toBe("end_turn");
  expect(second.content).toMatchObject([
    { type: "text", text: expect.stringContaining("get_weather answered: sunny") },
  ]);
});

test("tool_choice is obeyed", async () => {
  const ask = { model: "m", max_tokens: 1000, messages: [{ role: "user" as const, content: "hi" }], tools: [TOOL] };
  const none = await client.messages.create({ ...ask, tool_choice: { type: "none" } });
  expect(none.content).toMatchObject([{ type: "text" }]);
  const other = { ...TOOL, name: "other" };
  const forced = await client.messages.create({
    ...ask,
    tools: [TOOL, other],
    tool_choice: { type: "tool", name: "other" },
  });
  expect(forced.content).toMatchObject([{ type: "tool_use", name: "other" }]);
});

test("max_tokens cuts the answer and says so", async () => {
  const ask = { model: "m", max_tokens: 3, messages: [{ role: "user" as const, content: "hi" }] };
  const cut = await client.messages.create(ask);
  expect(cut.stop_reason).toBe("max_tokens");
  expect(cut.usage.output_tokens).toBe(3);
  expect(cut.content).toMatchObject([{ type: "text", text: LABEL.split(" ").slice(0, 3).join(" ").concat(" ") }]);
});

test("what is no request is refused, and other paths are not served", async () => {
  for (const body of ["", "{", "[]", '{"messages":1}']) {
    const response = await fetch(`${standIn.url}/v1/messages`, { method: "POST", body });
    expect(response.status).toBe(400);
  }
  expect((await fetch(`${standIn.url}/v1/models`)).status).toBe(404);
});
