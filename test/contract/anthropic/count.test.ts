/** The estimate of tokens: never below what Anthropic's published tokenizer gives, with room for finer ones. */
import { expect, test } from "bun:test";
import { countTokens } from "../../../src/api/anthropic/count.ts";
import { toCountRequest } from "../../../src/api/anthropic/request.ts";

/** Counted with `@anthropic-ai/tokenizer` 0.0.4. */
const COUNTED: [string, string, number][] = [
  [
    "English",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity.",
    45,
  ],
  [
    "Polish",
    "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem.",
    56,
  ],
  ["Arabic", "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.", 45],
  ["Chinese", "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。", 49],
  ["rare characters", "龘靐齉齾爩鱻麤龗灪吁龖厵滟爨癵籱饢驫鲡鹂鸾麣纞虋讟钃骊郁鸜", 61],
  ["emoji", "🙂👩‍👩‍👧🎉🚀🇩🇪🏳️‍🌈", 32],
  [
    "code",
    'export function countTokens(request: Countable): number {\n  let text = estimateText(request.system ?? "");\n\treturn Math.ceil(text * MARGIN) + fixed;\n}\n',
    43,
  ],
  [
    "JSON",
    '{"name":"get_weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}',
    29,
  ],
  ["base64", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", 54],
  ["random letters", "qzxwvkjhgfptrmnblkqwzxcvpoiuytrewqasdfghjklmnbvcxz", 27],
  ["hex", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", 44],
  ["control characters", "\u0001\u0002\u001b\u0001\u0002\u001b", 6],
];
/** What newer models' tokenizers add, at the most. */
const FINER = 1.3;

const count = (content: unknown) =>
  countTokens(toCountRequest({ model: "haiku", messages: [{ role: "user", content }] }));

for (const [name, text, tokens] of COUNTED) {
  test(`${name}: not too low, and not beyond use`, () => {
    const repeated = text.repeat(50);
    const estimate = count(repeated);
    expect(estimate).toBeGreaterThanOrEqual(Math.floor(tokens * 50 * FINER));
    expect(estimate).toBeLessThan(tokens * 50 * 4);
  });
}

test("images and files count as the largest that they can be", () => {
  const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: pixel } };
  const data = Buffer.from("%PDF-1.4 a page").toString("base64");
  const pdf = { type: "document", source: { type: "base64", media_type: "application/pdf", data } };
  const plain = count("look");
  expect(count([{ type: "text", text: "look" }, image])).toBeGreaterThan(plain + 4700);
  expect(count([{ type: "text", text: "look" }, pdf])).toBeGreaterThan(plain + 7000);
});

test("results of tools count what is in them", () => {
  const use = { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "f", input: { a: "b" } }] };
  const withResult = (content: string) => ({
    model: "haiku",
    messages: [
      { role: "user", content: "hi" },
      use,
      { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content }] },
    ],
  });
  const short = countTokens(toCountRequest(withResult("ok")));
  const long = countTokens(toCountRequest(withResult("word ".repeat(1000))));
  expect(long - short).toBeGreaterThanOrEqual(1000);
});
