/**
 * What hours of suspension do to a process, as far as they can be had in seconds: it is stopped, and meanwhile its
 * connection to the model API is closed, reset, or lost without a word. The next turn must succeed with one request.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Message } from "../../src/turn/message.ts";
import { toolCall } from "../support/api-reply.ts";
import { apiHistory, historyOf } from "../support/history.ts";
import { descendantsOf, readProcess, waitUntil } from "../support/processes.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { asHistory, type Running, startEngine, textOfResult, user } from "./harness.ts";

setDefaultTimeout(60_000);

const stopped = () => {
  const all = descendantsOf(process.pid).filter((entry) => entry.command.includes("stream-json"));
  return all.length > 0 && all.every((child) => readProcess(child.pid)?.state === "T");
};

async function startBehindProxy(staleAfterMs: number) {
  const proxy = await startTcpProxy();
  const running = await startEngine({
    pool: { suspendAfterMs: 50, housekeepingMs: 20, staleAfterMs },
    environment: { ANTHROPIC_BASE_URL: proxy.url },
  });
  proxy.target = running.api.port;
  return { proxy, running };
}

/** Two turns, so that the connection is one that was used before. */
async function converse({ answer }: Running): Promise<Message[]> {
  const first = [user("a")];
  const second = [...first, asHistory(await answer({ messages: first })), user("b")];
  return [...second, asHistory(await answer({ messages: second })), user("c")];
}

for (const how of ["FIN", "RST"] as const) {
  test(`a stopped process whose connection was ended by ${how} goes on over a new one, with one request`, async () => {
    const { proxy, running } = await startBehindProxy(60_000);
    await using _ = proxy;
    await using __ = running;
    const messages = await converse(running);
    await waitUntil("it is stopped", stopped);
    const before = { connections: proxy.connections, requests: running.api.requests.length };
    proxy.close(how);
    expect(textOfResult(await running.answer({ messages }))).toBe("echo: c");
    expect(proxy.connections).toBe(before.connections + 1);
    const [request, ...more] = running.api.requests.slice(before.requests);
    expect(more).toHaveLength(0);
    expect(request && historyOf(request)).toEqual(apiHistory(messages));
    expect(running.engine.metrics().firstTokenSeconds.live.count).toBe(2);
  });
}

test("a process stopped for long is not used again: its connection may be lost without its knowing", async () => {
  const { proxy, running } = await startBehindProxy(300);
  await using _ = proxy;
  await using __ = running;
  const { engine, api } = running;
  const messages = await converse(running);
  await waitUntil("it is ended", () => engine.status().evictions.stale === 1);
  const before = api.requests.length;
  proxy.forget();
  expect(textOfResult(await running.answer({ messages }))).toBe("echo: c");
  const [request, ...more] = api.requests.slice(before);
  expect(more).toHaveLength(0);
  expect(request && historyOf(request)).toEqual(apiHistory(messages));
  expect(engine.metrics().firstTokenSeconds.resume.count).toBe(1);
});

test("nor is one that waited too long for its client's results, which reach the model all the same", async () => {
  const { proxy, running } = await startBehindProxy(100);
  await using _ = proxy;
  await using __ = running;
  const { engine, api } = running;
  const tools = [{ name: "look", description: "", inputSchema: { type: "object" } }];
  api.script(toolCall("look", {}));
  const asked = await running.answer({ messages: [user("a")], tools });
  const call = asked.blocks.find((block) => block.type === "client-call");
  await waitUntil("it is stopped", stopped);
  const usedAt = Date.now();
  await waitUntil("it is stale", () => Date.now() - usedAt > 200);
  proxy.forget();
  const content = [{ type: "text" as const, text: "a tree" }];
  const result = { type: "client-result" as const, callId: call?.id ?? "", content, isError: false };
  const messages: Message[] = [user("a"), asHistory(asked), { role: "user", content: [result] }];
  await running.answer({ messages, tools });
  const last = api.requests.at(-1);
  expect(last && historyOf(last)).toEqual(apiHistory(messages));
  expect(engine.status().evictions.stale).toBe(1);
});
