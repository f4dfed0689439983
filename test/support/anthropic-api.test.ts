/** The scripted API as the real `claude` sees it: what other tests rely on. */
import { expect, test } from "bun:test";
import type { ClaudeMessage } from "../../src/claude/messages.ts";
import type { JsonObject } from "../../src/turn/message.ts";
import { lastUserBlocks, startAnthropicApi } from "./anthropic-api.ts";
import { apiError, CUT, createGate, DROP, message, text, textBlock, thinkingBlock, toolBlock } from "./api-reply.ts";
import { AGENT_ARGS, createClaudeHome, startBareClaude } from "./claude.ts";
import { apiHistory, historyOf, systemOf } from "./history.ts";

function deltasOf(lines: ClaudeMessage[], type: string, field: string): string[] {
  return lines.flatMap((line) => {
    if (line.type !== "stream_event" || line.event.type !== "content_block_delta") return [];
    const delta = line.event.delta as JsonObject;
    return delta.type === type ? [String(delta[field])] : [];
  });
}

test("the real claude streams scripted deltas, and the API sees prompt and system text as given", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  await using claude = startBareClaude({ home, apiUrl: api.url });
  await claude.control("initialize", { systemPrompt: ["You are X."] });

  api.script(message([thinkingBlock(["hm", "m"], "c2ln"), textBlock(["Hel", "lo", " you"])]));
  claude.prompt("/help me @file");
  const request = await api.nextRequest();
  const lines = await claude.turn();

  expect(historyOf(request)).toEqual(
    apiHistory([{ role: "user", content: [{ type: "text", text: "/help me @file" }] }]),
  );
  expect(systemOf(request)).toBe("You are X.");
  expect(deltasOf(lines, "text_delta", "text")).toEqual(["Hel", "lo", " you"]);
  expect(deltasOf(lines, "thinking_delta", "thinking")).toEqual(["hm", "m"]);
  expect(deltasOf(lines, "signature_delta", "signature")).toEqual(["c2ln"]);
  expect(await request.finished).toBe("answered");

  const from = claude.lines.length;
  claude.prompt("again");
  expect(await claude.turn(from)).toContainEqual(expect.objectContaining({ type: "result", result: "echo: again" }));
  expect(api.requests).toHaveLength(2);
});

test("parallel tool calls with split arguments run, and a script can answer by their results", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  await using claude = startBareClaude({ home, apiUrl: api.url, args: AGENT_ARGS });
  const one = { command: "echo one" };
  api.script(
    message([
      textBlock("running"),
      toolBlock("Bash", one, { id: "toolu_a", deltas: ['{"command":', '"echo one"}'] }),
      toolBlock("Bash", { command: "echo two" }, { id: "toolu_b" }),
    ]),
    (request) =>
      text(
        lastUserBlocks(request, "tool_result")
          .map((block) => `${block.tool_use_id}=${JSON.stringify(block.content)}`)
          .sort() // they arrive in the order in which the commands ended
          .join(" "),
      ),
  );
  claude.prompt("go");
  const result = (await claude.turn()).at(-1);
  expect(result).toMatchObject({ type: "result", result: 'toolu_a="one" toolu_b="two"' });
  expect(api.pending).toBe(0);
  expect(api.scriptErrors).toEqual([]);
});

test("a gate holds a reply where it stands, and an interrupt shows as a socket closed by the client", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  await using claude = startBareClaude({ home, apiUrl: api.url });
  const gate = createGate();
  api.script(text(["before", gate, "after"]));
  claude.prompt("go");
  await gate.reached;
  await claude.waitForLine((line) => deltasOf([line], "text_delta", "text").includes("before"));
  await claude.control("interrupt");
  const request = await api.nextRequest();
  expect(await request.finished).toBe("closed-by-client");
  expect(request.closedByClient).toBe(true);
  const lines = await claude.turn();
  expect(deltasOf(lines, "text_delta", "text")).toEqual(["before"]);
});

test("HTTP errors, cut streams, dropped and refused connections reach claude as such", async () => {
  await using api = startAnthropicApi();
  await using home = await createClaudeHome();
  const env = { CLAUDE_CODE_MAX_RETRIES: "0", CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: "1" };
  await using claude = startBareClaude({ home, apiUrl: api.url, env });
  const run = async () => {
    const from = claude.lines.length;
    claude.prompt("go");
    return (await claude.turn(from)).at(-1) as JsonObject;
  };
  api.script(apiError(529, "Overloaded"));
  expect(await run()).toMatchObject({ is_error: true, api_error_status: 529 });
  api.script(text(["partial", CUT]));
  expect(await run()).toMatchObject({ is_error: true });
  api.script(DROP);
  expect(await run()).toMatchObject({ is_error: true });
  await api.refuseConnections();
  expect(await run()).toMatchObject({ is_error: true });
});
