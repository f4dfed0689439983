import { expect, test } from "bun:test";
import fc from "fast-check";
import { HistoryDigest, type HistoryRoot } from "../../src/sessions/history-hash.ts";
import type { Message } from "../../src/turn/message.ts";

const ROOT: HistoryRoot = { kind: "chat", scope: ["opus"], system: "be kind", tools: [] };

function digestOf(messages: Message[], root: HistoryRoot = ROOT): string {
  const digest = new HistoryDigest(root);
  for (const message of messages) digest.add(message);
  return digest.digest();
}

const user = (...texts: string[]): Message => ({
  role: "user",
  content: texts.map((text) => ({ type: "text", text })),
});
const said = (...texts: string[]): Message => ({
  role: "assistant",
  content: texts.map((text) => ({ type: "text", text })),
});
const call = (id: string, input: Record<string, string>): Message => ({
  role: "assistant",
  content: [{ type: "client-call", id, name: "look", input }],
});
const result = (callId: string, text: string): Message => ({
  role: "user",
  content: [{ type: "client-result", callId, content: [{ type: "text", text }], isError: false }],
});

test("spellings of one history are one", () => {
  expect(digestOf([user("a"), said("b", "c")])).toBe(digestOf([user("a"), said("bc")]));
  expect(digestOf([user("a"), said("b"), said("c")])).toBe(digestOf([user("a"), said("bc")]));
  expect(digestOf([user("a"), user("b")])).toBe(digestOf([user("a", "b")]));
  expect(digestOf([user("a"), said("b", "")])).toBe(digestOf([user("a"), said("b")]));
  expect(digestOf([user("a"), call("x", { p: "1", q: "2" }), result("x", "r")])).toBe(
    digestOf([user("a"), call("call_0", { q: "2", p: "1" }), result("call_0", "r")]),
  );
  const thinking: Message = {
    role: "assistant",
    content: [
      { type: "thinking", text: "hm" },
      { type: "text", text: "b" },
    ],
  };
  expect(digestOf([user("a"), thinking])).toBe(digestOf([user("a"), said("b")]));
});

test("an agent's answer counts without its white space, a chat's with it", () => {
  const agent: HistoryRoot = { ...ROOT, kind: "agent" };
  expect(digestOf([user("a"), said("b\n\nc")], agent)).toBe(digestOf([user("a"), said("b", "c")], agent));
  expect(digestOf([user("a"), said("b\n\nc")])).not.toBe(digestOf([user("a"), said("bc")]));
  expect(digestOf([user("a b")], agent)).not.toBe(digestOf([user("ab")], agent));
});

test("different histories differ", () => {
  const text = fc.string({ maxLength: 4 });
  const message = fc.oneof(
    fc.array(text.filter(Boolean), { minLength: 1, maxLength: 2 }).map((texts) => user(...texts)),
    text.filter(Boolean).map((one) => said(one)),
  );
  /** What the digest promises to tell apart, as JSON. */
  const shape = (messages: Message[]) => {
    const runs: { role: string; texts: string[] }[] = [];
    for (const { role, content } of messages) {
      const texts = content.map((block) => (block.type === "text" ? block.text : ""));
      const last = runs.at(-1);
      if (last?.role !== role) runs.push({ role, texts: role === "user" ? texts : [texts.join("")] });
      else if (role === "user") last.texts.push(...texts);
      else last.texts = [last.texts.join("") + texts.join("")];
    }
    return JSON.stringify(runs);
  };
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(message, { maxLength: 5 }), (left, right) => {
      expect(digestOf(left) === digestOf(right)).toBe(shape(left) === shape(right));
    }),
    { numRuns: 2000 },
  );
});

test("system prompt, tools and scope are part of it", () => {
  const tool = { name: "look", inputSchema: { type: "object" } };
  const roots: HistoryRoot[] = [
    ROOT,
    { ...ROOT, system: undefined },
    { ...ROOT, system: "" },
    { ...ROOT, scope: ["sonnet"] },
    { ...ROOT, kind: "agent" },
    { ...ROOT, tools: [tool] },
    { ...ROOT, tools: [{ ...tool, description: "d" }] },
    { ...ROOT, tools: [tool, tool] },
  ];
  expect(new Set(roots.map((root) => digestOf([user("a")], root))).size).toBe(roots.length);
});

test("taking a digest does not end the chain", () => {
  const digest = new HistoryDigest(ROOT).add(user("a"));
  digest.digest();
  const branch = digest.copy().add(said("other"));
  digest.add(said("b")).add(user("c"));
  expect(digest.digest()).toBe(digestOf([user("a"), said("b"), user("c")]));
  expect(branch.digest()).toBe(digestOf([user("a"), said("other")]));
});
