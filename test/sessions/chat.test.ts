/** Chat models on the real claude: what the model API receives is the client's history, whatever process carries it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Message } from "../../src/turn/message.ts";
import { createGate, message, text, textBlock, toolBlock } from "../support/api-reply.ts";
import { apiHistory, type HistoryMessage, historyOf, RESUME_RESIDUE, systemOf } from "../support/history.ts";
import { asHistory, said, startEngine, textOfResult, user } from "./harness.ts";

/** A cold start takes half a second, on a busy machine several. */
setDefaultTimeout(60_000);

test("a new chat streams, and its next turn goes on in the same process", async () => {
  await using running = await startEngine();
  const { api, answer, launches } = running;
  api.script(text(["Hello ", "there"]), text("again"));
  const first = await answer({ system: "Be kind.", messages: [user("hi")] });
  expect(textOfResult(first)).toBe("Hello there");
  expect(first.end.reason.unified).toBe("end");
  expect(first.model).toBe("opus");
  const started = launches.length;
  const messages = [user("hi"), asHistory(first), user("and?")];
  const second = await answer({ system: "Be kind.", messages });
  expect(textOfResult(second)).toBe("again");
  expect(launches.length).toBe(started);
  const [, request] = api.requests;
  if (!request) throw new Error("no second request");
  expect(historyOf(request)).toEqual(apiHistory(messages));
  expect(systemOf(request)).toBe("Be kind.");
  expect(request.body.tools ?? []).toEqual([]);
});

test("a history nobody knows is resumed exactly", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  const messages = [user("one"), said("two"), user("three", "four"), said("five"), user("/help @file six")];
  await answer({ system: "S", messages });
  const [request] = api.requests;
  if (!request) throw new Error("no request");
  expect(historyOf(request)).toEqual(apiHistory(messages));
  expect(systemOf(request)).toBe("S");
});

test("leaving the iteration stops the model's work", async () => {
  await using running = await startEngine();
  const { api, ask, engine } = running;
  const gate = createGate();
  api.script(text(["begin", gate, "never"]));
  for await (const event of ask({ messages: [user("go")] })) if (event.type === "text-delta") break;
  expect(await api.requests[0]?.finished).toBe("closed-by-client");
  gate.open();
  expect(engine.status().busy).toBe(0);
});

const LOOK = { name: "look", inputSchema: { type: "object", properties: { at: { type: "string" } } } };

test("client tools pause the turn; the results continue the same process", async () => {
  await using running = await startEngine();
  const { api, answer, launches, engine } = running;
  api.script(
    message([
      textBlock("Let me look."),
      toolBlock("look", { at: "a" }, { id: "toolu_1" }),
      toolBlock("look", { at: "b" }, { id: "toolu_2" }),
    ]),
    text("Seen."),
    text("Bye."),
  );
  const first = await answer({ messages: [user("go")], tools: [LOOK] });
  expect(first.end.reason.unified).toBe("tool-calls");
  expect(first.blocks.map((block) => block.type)).toEqual(["text", "client-call", "client-call"]);
  expect(engine.status()).toMatchObject({ idle: 1, busy: 0 });
  const started = launches.length;
  const messages = [user("go"), asHistory(first), results({ toolu_2: "B", toolu_1: "A" })];
  const second = await answer({ messages, tools: [LOOK] });
  expect(textOfResult(second)).toBe("Seen.");
  expect(second.turnId).toBe(first.turnId);
  const more = [...messages, asHistory(second), user("bye")];
  await answer({ messages: more, tools: [LOOK] });
  expect(launches.length).toBe(started);
  const [, withResults, last] = api.requests;
  if (!withResults || !last) throw new Error("requests are missing");
  expect(byCall(historyOf(withResults))).toEqual(byCall(apiHistory(messages)));
  expect(byCall(historyOf(last))).toEqual(byCall(apiHistory(more)));
});

test("results whose process is gone are resumed with tools and settings", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  const messages: Message[] = [
    user("go"),
    { role: "assistant", content: [{ type: "client-call", id: "call_9", name: "look", input: { at: "x" } }] },
    results({ call_9: "nothing there" }),
  ];
  api.script(text("so it is"));
  const result = await answer({ system: "S", messages, tools: [LOOK], output: { maxTokens: 321 } });
  expect(result.end.reason.unified).toBe("end");
  const [request] = api.requests;
  if (!request) throw new Error("no request");
  expect(historyOf(request)).toEqual(apiHistory(messages));
  expect(systemOf(request)).toBe("S");
  expect(request.body.tools?.map((tool) => tool.name)).toEqual(["look"]);
  expect(request.body.max_tokens).toBe(321);
  // And the process goes on from there.
  const more = [...messages, asHistory(result), user("thanks")];
  await answer({ system: "S", messages: more, tools: [LOOK] });
  const [, next] = api.requests;
  if (!next) throw new Error("no second request");
  expect(withoutResidue(historyOf(next))).toEqual(apiHistory(more));
  expect(next.body.max_tokens).not.toBe(321);
});

test("a missing result and one that answers nothing are refused by name", async () => {
  await using running = await startEngine();
  const call: Message = { role: "assistant", content: [{ type: "client-call", id: "c1", name: "look", input: {} }] };
  for (const messages of [
    [user("go"), call, user("never mind")],
    [user("go"), call, results({ c1: "x", c2: "y" })],
    [user("go"), said("hm")],
  ]) {
    const failure = await running.answer({ messages, tools: [LOOK] }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "invalid_request", detail: { param: "messages" } });
  }
});

function results(texts: Record<string, string>): Message {
  return {
    role: "user",
    content: Object.entries(texts).map(([callId, content]) => ({
      type: "client-result",
      callId,
      content: [{ type: "text", text: content }],
      isError: false,
    })),
  };
}

/** The CLI's shortest resume prompt stays in the memory of the process that was resumed with it. */
function withoutResidue(history: HistoryMessage[]): HistoryMessage[] {
  return history.map(({ role, content }) => ({ role, content: content.filter(({ text }) => text !== RESUME_RESIDUE) }));
}

/** Parallel results arrive in whatever order the CLI has them; their ids say which is which. */
function byCall(history: HistoryMessage[]): HistoryMessage[] {
  return history.map(({ role, content }) => ({
    role,
    content: content.toSorted((left, right) =>
      String(left.tool_use_id ?? "").localeCompare(String(right.tool_use_id ?? "")),
    ),
  }));
}
