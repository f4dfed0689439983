/** What outlives a daemon that is killed: conversations of stateless clients, calls that wait for results, sessions. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { type ApiRequest, startAnthropicApi } from "../support/anthropic-api.ts";
import { text, toolCall } from "../support/api-reply.ts";
import { createClaudeHome } from "../support/claude.ts";
import { apiHistory, historyOf } from "../support/history.ts";
import { type Running, startFromSource } from "./from-source.ts";

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

/** What was said, without what Claude Code adds for itself: its reminders to an agent, and the Environment. */
function saidIn(request: ApiRequest | undefined): { role: string; text: string }[] {
  return (request ? historyOf(request) : []).flatMap(({ role, content }) => {
    const said = content.flatMap((block) => (block.type === "text" ? [String(block.text)] : []));
    const text = said.filter((one) => !one.startsWith("<system-reminder>")).join("");
    return text === "" || role === "system" ? [] : [{ role, text }];
  });
}

const TURNS = 20;

for (const model of ["sonnet", "claude-code"]) {
  test(`${model}: a stateless conversation of ${TURNS} turns goes on exactly although its daemon is killed in the middle`, async () => {
    await using api = startAnthropicApi();
    await using home = await createClaudeHome();
    const messages: { role: string; content: string }[] = [];
    const sessions = new Set<string | undefined>();
    const converse = async (daemon: Running, turns: number) => {
      for (let turn = 0; turn < turns; turn++) {
        const number = (messages.length >> 1) + 1;
        messages.push({ role: "user", content: `question ${number}` });
        api.script(text(`answer ${number}`));
        const response = await daemon.post("/v1/chat/completions", { model, messages });
        const answer = (await response.json()) as Completion;
        expect(answer.choices[0]?.message.content).toBe(`answer ${number}`);
        expect(saidIn(api.requests.at(-1))).toEqual(messages.map(({ role, content }) => ({ role, text: content })));
        messages.push({ role: "assistant", content: `answer ${number}` });
        sessions.add(answer.claude_code?.session_id);
      }
    };
    const first = await startFromSource({ apiUrl: api.url, home });
    await converse(first, TURNS / 2);
    first.kill("SIGKILL");
    await first.exited;
    await using second = await startFromSource({ apiUrl: api.url, home });
    await converse(second, TURNS / 2);
    expect(api.requests).toHaveLength(TURNS);
    // An agent goes on in its session, a chat is none; both start one process, for their first turn.
    expect(sessions.size).toBe(1);
    expect([...sessions][0] === undefined).toBe(model === "sonnet");
    const metrics = await (await fetch(`${second.url}/metrics`)).text();
    const started = (kind: string) =>
      Number(new RegExp(`first_token_seconds_count{[^}]*"${kind}"} (\\d+)`).exec(metrics)?.[1]);
    expect({ resume: started("resume"), live: started("live") }).toEqual({ resume: 1, live: TURNS / 2 - 1 });
  });
}
