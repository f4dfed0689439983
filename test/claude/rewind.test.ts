/** Taking a process back and rehearsing, on the real claude: what the model API receives afterwards, and what is left. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { rehearse, rewind } from "../../src/claude/rewind.ts";
import { type AnthropicApi, startAnthropicApi } from "../support/anthropic-api.ts";
import { text, toolCall } from "../support/api-reply.ts";
import { CLAUDE_FEATURES } from "../support/claude.ts";
import { answeringFake, createFakeClaude } from "../support/fake-claude.ts";
import { apiHistory, historyOf } from "../support/history.ts";
import { type Driven, drive } from "./harness.ts";

setDefaultTimeout(30_000);

const say = (content: string) => [{ type: "text" as const, text: content }];
const tools = [{ name: "look", inputSchema: { type: "object", properties: {} } }];
const supported = CLAUDE_FEATURES.rewindsConversations;

async function turn({ claude, seen }: Driven, words: string): Promise<string> {
  const uuid = await claude.prompt(say(words), { verbatim: true });
  await seen.result();
  return uuid;
}

const lastHistory = (api: AnthropicApi) => {
  const request = api.requests.at(-1);
  return request && historyOf(request);
};

test("only what we know of is cut: with a later prompt, or an unknown one, nothing happens", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url });
  const { claude } = driven;
  await claude.initialize({ systemPrompt: "S" });
  const uuids = [await turn(driven, "one"), await turn(driven, "two"), await turn(driven, "three")];
  const [one = "", two = "", three = ""] = uuids;
  expect(await rewind(claude, two, one)).toBe(false);
  expect(await rewind(claude, two, two)).toBe(false);
  expect(await rewind(claude, crypto.randomUUID(), three)).toBe(false);
  await turn(driven, "four");
  expect(lastHistory(api)).toHaveLength(7);
  if (!supported) return;
  expect(await rewind(claude, two, (await turn(driven, "five")) ?? "")).toBe(true);
  await turn(driven, "TWO");
  const echo = { role: "assistant" as const, content: say("echo: one") };
  expect(lastHistory(api)).toEqual(
    apiHistory([{ role: "user", content: say("one") }, echo, { role: "user", content: say("TWO") }]),
  );
});

test("a process that is gone cannot be taken back", async () => {
  await using api = startAnthropicApi();
  await using driven = await drive({ apiUrl: api.url });
  const { claude } = driven;
  await claude.initialize({ systemPrompt: "S" });
  const uuid = await turn(driven, "one");
  await claude.close({ now: true });
  expect(await rewind(claude, uuid, uuid)).toBe(false);
});

/** The features of a process: as they are, and without the setting that lets it refuse what it rehearses. */
const REHEARSALS = CLAUDE_FEATURES.refusesByLimit ? [true, false] : [false];

test.if(supported)("what was rehearsed reaches neither the model nor the disk, and changes no request", async () => {
  await using api = startAnthropicApi();
  const bodies: string[][] = [];
  for (const rehearses of [undefined, ...REHEARSALS]) {
    await using driven = await drive({ apiUrl: api.url, launch: { clientTools: true, model: "sonnet" } });
    const { claude, seen, home } = driven;
    await claude.initialize({ systemPrompt: "S", clientTools: tools });
    const before = api.requests.length;
    if (rehearses !== undefined) {
      await rehearse({
        control: claude.control.bind(claude),
        listen: claude.listen.bind(claude),
        prompt: claude.prompt.bind(claude),
        features: { ...CLAUDE_FEATURES, refusesByLimit: rehearses },
      });
      expect([api.requests.length, api.others.length]).toEqual([before, 0]);
      claude.listen(seen);
    }
    await turn(driven, "one");
    // Far over what it was allowed to hold while it rehearsed, and over the CLI's own guess of what fits.
    await turn(driven, "two ".repeat(300_000));
    bodies.push(
      api.requests.slice(before).map(({ body }) => {
        // Ids of the process, not of what is said.
        const { metadata: _, ...rest } = body;
        return JSON.stringify(rest).replaceAll(home.cwd, "CWD");
      }),
    );
    await claude.close({ now: true });
    for (const file of filesIn(home.path)) expect(readFileSync(file, "utf8")).not.toContain('"content":"."');
    expect(filesIn(home.path).filter((file) => file.endsWith(".jsonl"))).toEqual([]);
  }
  expect(bodies[0]).toHaveLength(2);
  for (const one of bodies.slice(1)) expect(one).toEqual(bodies[0] ?? []);
});

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

test.if(supported)(
  "after a rewind every request is, byte for byte, that of a process which never heard what was taken back",
  async () => {
    await using api = startAnthropicApi();
    const requests: { body: string; headers: Record<string, string> }[][] = [];
    for (const isTakenBack of [false, true]) {
      await using driven = await drive({ apiUrl: api.url, launch: { clientTools: true, model: "sonnet" } });
      const { claude, seen, home } = driven;
      await claude.initialize({ systemPrompt: "S", clientTools: tools });
      await turn(driven, "one");
      if (isTakenBack) {
        const target = await claude.prompt(
          [
            { type: "text", text: "a secret of another conversation" },
            { type: "image", source: { kind: "base64", mediaType: "image/png", data: PIXEL } },
          ],
          { verbatim: true },
        );
        await seen.result();
        api.script(toolCall("look", {}), text("seen"));
        const asked = claude.prompt(say("look at it"), { verbatim: true });
        await seen.until("a call", () => seen.calls.length === 1);
        const [call] = seen.calls;
        claude.answerClientCall(call?.callId ?? "", {
          content: [{ type: "text", text: "another secret" }],
          isError: false,
        });
        await seen.result();
        expect(await rewind(claude, target, await asked)).toBe(true);
      }
      const before = api.requests.length;
      await turn(driven, "two");
      await turn(driven, "three");
      const ids = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
      requests.push(
        api.requests.slice(before).map(({ body: { metadata: _, ...body }, headers }) => ({
          body: JSON.stringify(body).replaceAll(home.cwd, "CWD"),
          headers: Object.fromEntries(
            [...headers]
              .filter(([name]) => name !== "content-length")
              .map(([name, value]) => [name, value.replace(ids, "ID")]),
          ),
        })),
      );
    }
    expect(requests[1]).toHaveLength(2);
    expect(requests[1]).toEqual(requests[0] ?? []);
  },
);

for (const [what, reason] of [
  ["is not taken back", "blocking_limit"],
  ["was answered after all", "completed"],
] as const) {
  test(`a rehearsal that ${what} is a failure`, async () => {
    const result = `{ type: "result", subtype: "success", is_error: true, result: "", terminal_reason: "${reason}" }`;
    await using fake = await createFakeClaude(answeringFake(`say(${result});`));
    await using driven = await drive({ apiUrl: "http://127.0.0.1:9", path: fake.path });
    const { claude } = driven;
    await claude.initialize({});
    const asked: string[] = [];
    const { control } = claude;
    claude.control = (subtype, ...rest) => {
      asked.push(subtype);
      return control.call(claude, subtype, ...rest);
    };
    await expect(rehearse(claude)).rejects.toMatchObject({ code: "claude_failed" });
    expect(asked.includes("rewind_conversation")).toBe(reason === "blocking_limit");
  });
}

test("a process that ends while it rehearses is a failure", async () => {
  await using fake = await createFakeClaude(answeringFake("process.exit(0);"));
  await using driven = await drive({ apiUrl: "http://127.0.0.1:9", path: fake.path });
  await driven.claude.initialize({});
  await expect(rehearse(driven.claude)).rejects.toMatchObject({ code: "claude_failed" });
});

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile());
}
