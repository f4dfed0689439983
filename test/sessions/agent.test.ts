/** Agent models for stateless clients, on the real claude: a conversation is a session, found again by its history. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { lastUserMessage, textOf } from "../support/anthropic-api.ts";
import { text, toolCall } from "../support/api-reply.ts";
import { asHistory, said, startEngine, textOfResult, user } from "./harness.ts";

test("the agent writes a file, and the conversation goes on in its session and process", async () => {
  await using running = await startEngine();
  const { api, answer, workspace, launches } = running;
  api.script(
    toolCall("Write", { file_path: join(workspace, "a.txt"), content: "made\n" }),
    text("Written."),
    text("You asked for a file."),
  );
  const first = await answer({ model: "claude-code", messages: [user("make a.txt")] });
  expect(readFileSync(join(workspace, "a.txt"), "utf8")).toBe("made\n");
  expect(textOfResult(first)).toBe("Written.");
  expect(first.activity.map((use) => use.name)).toEqual(["Write"]);
  expect(first.sessionId).toStartWith("ses_");
  const started = launches.length;
  const messages = [user("make a.txt"), asHistory(first), user("what did I ask?")];
  const second = await answer({ model: "claude-code", messages });
  expect(second.sessionId).toBe(first.sessionId);
  expect(launches.length).toBe(started);
  // The session knows more than the client resent: the tool call is still in its history.
  expect(JSON.stringify(api.requests.at(-1)?.body.messages)).toContain("a.txt");
  expect(textOf(lastUserMessage(api.requests.at(-1) ?? fail()))).toContain("what did I ask?");
});

test("an edited history branches off the session where it stood", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  api.script(text("one"), text("two"), text("other two"));
  const first = await answer({ model: "claude-code", messages: [user("a")] });
  const known = [user("a"), asHistory(first)];
  const second = await answer({ model: "claude-code", messages: [...known, user("b")] });
  const branch = await answer({ model: "claude-code", messages: [...known, user("c")] });
  expect(second.sessionId).toBe(first.sessionId);
  expect(branch.sessionId).not.toBe(first.sessionId);
  const sent = JSON.stringify(api.requests.at(-1)?.body.messages);
  expect(sent).toContain('"one"');
  expect(sent).not.toContain('"two"');
  // Both go on where they stand.
  api.script(text("three"), text("other three"));
  const more = await answer({ model: "claude-code", messages: [...known, user("b"), said("two"), user("d")] });
  expect(more.sessionId).toBe(first.sessionId);
  const other = await answer({ model: "claude-code", messages: [...known, user("c"), said("other two"), user("d")] });
  expect(other.sessionId).toBe(branch.sessionId);
});

test("a history nobody knows becomes a session's transcript", async () => {
  await using running = await startEngine();
  const { api, answer } = running;
  const messages = [user("one"), said("two"), user("three")];
  const result = await answer({ model: "claude-code", messages });
  const sent = JSON.stringify(api.requests.at(-1)?.body.messages);
  expect(sent).toContain("one");
  expect(sent).toContain("two");
  expect(textOf(lastUserMessage(api.requests.at(-1) ?? fail()))).toContain("three");
  const next = await answer({ model: "claude-code", messages: [...messages, asHistory(result), user("four")] });
  expect(next.sessionId).toBe(result.sessionId);
});

function fail(): never {
  throw new Error("no request reached the API");
}
