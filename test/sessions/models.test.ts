import { expect, test } from "bun:test";
import type { InitializeResult } from "../../src/claude/transport.ts";
import { createModelCatalog } from "../../src/sessions/models.ts";

const model = (value: string, resolvedModel: string) => ({
  value,
  resolvedModel,
  displayName: value,
  description: undefined,
  supportsEffort: true,
  efforts: ["low", "high"],
});
const ANSWER: InitializeResult = {
  models: [model("default", "claude-opus-9"), model("opus", "claude-opus-9"), model("haiku", "claude-haiku-9")],
  login: "ANTHROPIC_API_KEY",
  raw: {},
};

function catalogOf(aliases: Record<string, string> = {}) {
  let asked = 0;
  const catalog = createModelCatalog({
    describe: async () => {
      asked += 1;
      return ANSWER;
    },
    aliases,
  });
  return { catalog, asked: () => asked };
}

test("agents come first, then what the CLI lists, short names before full ids", async () => {
  const { catalog } = catalogOf();
  expect((await catalog.list()).map((entry) => entry.id)).toEqual([
    "claude-code",
    "claude-code:opus",
    "claude-code:haiku",
    "opus",
    "haiku",
    "claude-opus-9",
    "claude-haiku-9",
  ]);
});

test("ids, full ids, `:latest` and aliases resolve; the CLI gets its own short name", async () => {
  const { catalog } = catalogOf({ "gpt-4o": "claude-code:haiku" });
  expect((await catalog.get("claude-code:latest")).launchModel).toBeUndefined();
  expect((await catalog.get("claude-code:haiku")).launchModel).toBe("haiku");
  expect((await catalog.get("haiku:latest")).launchModel).toBe("haiku");
  expect((await catalog.get("gpt-4o:latest")).kind).toBe("agent");
  expect((await catalog.get("claude-haiku-9")).kind).toBe("chat");
  expect((await catalog.get("claude-haiku-9")).launchModel).toBe("haiku");
  expect((await catalog.get("claude-code:claude-haiku-9")).kind).toBe("agent");
});

test("an unknown name says what there is", async () => {
  const { catalog } = catalogOf();
  const failure = await catalog.get("gpt-4o").catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "model_not_found", detail: { param: "model" } });
  expect(String(failure)).toContain("claude-code:opus, claude-code:haiku, opus, haiku");
});

test("the CLI is asked once, and every later answer is learnt from", async () => {
  const { catalog, asked } = catalogOf();
  await Promise.all([catalog.list(), catalog.get("opus")]);
  expect(asked()).toBe(1);
  catalog.learn({ ...ANSWER, models: [model("default", "claude-new-1"), model("new", "claude-new-1")] });
  expect((await catalog.get("new")).resolvedModel).toBe("claude-new-1");
  expect(await catalog.get("haiku").catch(() => "gone")).toBe("gone");
});

test("a model that the CLI lists in a variant alone is on offer by its plain name too", async () => {
  const { catalog } = catalogOf();
  catalog.learn({
    ...ANSWER,
    models: [model("default", "claude-opus-8[1m]"), model("opus[1m]", "claude-opus-8[1m]"), model("sonnet", "s-8")],
  });
  expect((await catalog.list()).map((entry) => entry.id)).toEqual([
    "claude-code",
    "claude-code:opus",
    "claude-code:opus[1m]",
    "claude-code:sonnet",
    "opus",
    "opus[1m]",
    "sonnet",
    "claude-opus-8",
    "claude-opus-8[1m]",
    "s-8",
  ]);
  expect(await catalog.get("opus")).toMatchObject({ launchModel: "opus", resolvedModel: "claude-opus-8" });
  expect(await catalog.get("opus[1m]")).toMatchObject({ launchModel: "opus[1m]" });
});

test("where the CLI names no full ids, they are taken at their word; nothing else is", async () => {
  const { catalog } = catalogOf();
  const older = (value: string) => ({ ...model(value, ""), resolvedModel: undefined });
  catalog.learn({ ...ANSWER, models: [older("default"), older("opus[1m]"), older("haiku")] });
  expect(await catalog.get("claude-opus-4-7")).toMatchObject({ kind: "chat", launchModel: "claude-opus-4-7" });
  expect(await catalog.get("claude-code:claude-opus-4-7:latest")).toMatchObject({ kind: "agent" });
  expect((await catalog.list()).map((entry) => entry.id)).not.toContain("claude-opus-4-7");
  for (const name of ["gpt-4o", "claude-codes", "sonnet", "claude-4 --x"])
    expect(await catalog.get(name).catch(() => "unknown")).toBe("unknown");
  const { catalog: newer } = catalogOf();
  expect(await newer.get("claude-opus-4-7").catch(() => "unknown")).toBe("unknown");
});
