/** What outlives a daemon that is killed: conversations of stateless clients, calls that wait for results, sessions. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { text, toolCall } from "../support/api-reply.ts";
import { createClaudeHome } from "../support/claude.ts";
import { apiHistory, historyOf } from "../support/history.ts";
import { startFromSource } from "./from-source.ts";

setDefaultTimeout(60_000);

const TOOL = {
  type: "function",
  function: { name: "look", parameters: { type: "object", properties: { where: { type: "string" } } } },
};

interface Completion {
  choices: { message: { content: string | null; tool_calls?: { id: string; function: { name: string } }[] } }[];
  claude_code?: { session_id?: string };
}

for (const model of ["sonnet", "claude-code"]) {
  test(`${model}: a daemon that is killed between a call and its result still completes the turn`, async () => {
    await using api = startAnthropicApi();
    await using home = await createClaudeHome();
    const first = await startFromSource({ apiUrl: api.url, home });
    api.script(toolCall("look", { where: "here" }));
    const question = { role: "user", content: "look around" };
    const asked = (await (
      await first.post("/v1/chat/completions", { model, messages: [question], tools: [TOOL] })
    ).json()) as Completion;
    const called = asked.choices[0]?.message;
    const call = called?.tool_calls?.[0];
    expect(call?.function.name).toBe("look");
    first.kill("SIGKILL");
    await first.exited;

    await using second = await startFromSource({ apiUrl: api.url, home });
    // The process that lost its daemon may ask once more before it is ended.
    api.always((request) => text(JSON.stringify(request.body.messages).includes("a tree") ? "A tree." : "lost"));
    const result = { role: "tool", tool_call_id: call?.id, content: "a tree" };
    const messages = [question, called, result];
    const answer = (await (
      await second.post("/v1/chat/completions", { model, messages, tools: [TOOL] })
    ).json()) as Completion;
    expect(answer.choices[0]?.message.content).toBe("A tree.");
    const last = api.requests.findLast((request) => JSON.stringify(request.body.messages).includes("a tree"));
    expect(JSON.stringify(last?.body.messages)).toContain("a tree");
    if (model !== "sonnet" || !last) return;
    expect(historyOf(last)).toEqual(
      apiHistory([
        { role: "user", content: [{ type: "text", text: "look around" }] },
        {
          role: "assistant",
          content: [{ type: "client-call", id: call?.id ?? "", name: "look", input: { where: "here" } }],
        },
        {
          role: "user",
          content: [
            {
              type: "client-result",
              callId: call?.id ?? "",
              content: [{ type: "text", text: "a tree" }],
              isError: false,
            },
          ],
        },
      ]),
    );
  });
}

test("a stateless agent conversation goes on in its session after the daemon was killed", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  const first = await startFromSource({ apiUrl: api.url, home });
  api.script(text("One."));
  const ask = { role: "user", content: "first" };
  const one = (await (
    await first.post("/v1/chat/completions", { model: "claude-code", messages: [ask] })
  ).json()) as Completion;
  first.kill("SIGKILL");
  await first.exited;
  await using second = await startFromSource({ apiUrl: api.url, home });
  api.script(text("Two."));
  const messages = [ask, { role: "assistant", content: "One." }, { role: "user", content: "second" }];
  const two = (await (
    await second.post("/v1/chat/completions", { model: "claude-code", messages })
  ).json()) as Completion;
  expect(two.choices[0]?.message.content).toBe("Two.");
  expect(two.claude_code?.session_id).toBe(one.claude_code?.session_id);
});
