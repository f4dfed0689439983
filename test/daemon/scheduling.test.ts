/** How soon the kernel lets the daemon run, seen on a running one. */
import { expect, test } from "bun:test";
import { sliceOf } from "../../src/daemon/scheduling.ts";
import { startFromSource } from "../e2e/from-source.ts";
import { startAnthropicApi } from "../support/anthropic-api.ts";
import { text } from "../support/api-reply.ts";
import { descendantsOf, waitUntil } from "../support/processes.ts";

const claudesOf = (pid: number) =>
  descendantsOf(pid)
    .filter(({ command }) => command.includes("--input-format"))
    .map((found) => found.pid);

test("where the kernel has slices of one's own, the daemon has the shortest and its claude the usual ones", async () => {
  await using api = startAnthropicApi();
  await using daemon = await startFromSource({ apiUrl: api.url });
  const usual = sliceOf(process.pid);
  // Linux before 6.12 and other systems: nothing to ask for, and the daemon runs all the same.
  const short = usual === undefined ? undefined : 100_000n;
  await waitUntil("the short slices", () => sliceOf(daemon.pid) === short);
  // One that certainly starts after that: what takes the place of the spare that is used.
  await (await fetch(`${daemon.url}/v1/models`)).body?.cancel();
  const first = claudesOf(daemon.pid);
  api.script(text("Hello."));
  const answer = await daemon.post("/v1/messages", {
    model: "sonnet",
    max_tokens: 99,
    messages: [{ role: "user", content: "Hi" }],
  });
  expect(answer.status).toBe(200);
  await waitUntil("another claude", () => claudesOf(daemon.pid).some((pid) => !first.includes(pid)));
  const slices = claudesOf(daemon.pid)
    .map((pid) => sliceOf(pid))
    // One that has just ended has none to tell, and none has where the kernel knows none.
    .filter((slice) => slice !== undefined);
  expect(slices.filter((slice) => slice !== usual)).toEqual([]);
  expect(slices.length > 0).toBe(usual !== undefined);
});
