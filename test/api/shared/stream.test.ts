import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { createExchange } from "../../../src/api/shared/exchange.ts";
import type { Encoder, TurnTranslation } from "../../../src/api/shared/format.ts";
import { streamTurn } from "../../../src/api/shared/stream.ts";
import type { TurnEvent } from "../../../src/turn/events.ts";
import {
  createDeps,
  createScriptedRunner,
  modelStart,
  type Step,
  text,
  turn,
  turnEnd,
  turnStart,
} from "../../contract/scripted-runner.ts";

const TRANSLATION: TurnTranslation = {
  model: "haiku",
  system: undefined,
  messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
  tools: [],
  toolChoice: { type: "auto" },
  parallelToolCalls: true,
  output: {},
  claudeCode: {},
  unsupported: [],
  optionNames: {},
};

const plain = (): Encoder => ({
  contentType: "text/plain",
  encode: (event: TurnEvent) => (event.type === "text-delta" ? event.text : ""),
  keepAlive: () => undefined,
  fail: (error) => `!${error.code}`,
});

const runner = createScriptedRunner();
const respond = (request: Request) =>
  streamTurn(createDeps(runner), createExchange(request), TRANSLATION, { attempt: 0 }, plain);

/** Lets everything that is ready happen. */
async function settle(): Promise<void> {
  for (let round = 0; round < 50; round++) await new Promise((resolve) => setImmediate(resolve));
}

describe("a reader that does not read", () => {
  let pulled = 0;
  const DELTA = "x".repeat(1000);
  async function* endless(): AsyncGenerator<Step> {
    yield* [turnStart(), modelStart];
    for (;;) {
      pulled++;
      yield { type: "text-delta", id: "t", text: DELTA };
    }
  }

  test("stops the turn's events at 64 KiB of frames, and they go on when it reads", async () => {
    pulled = 0;
    runner.play(endless);
    const response = await respond(new Request("http://127.0.0.1/"));
    const reader = response.body?.getReader();
    await settle();
    expect(pulled).toBe(66);
    await reader?.read();
    await settle();
    expect(pulled).toBeGreaterThan(66);
    // What was read, what Bun holds ready for the next read, and what waits behind it.
    expect(pulled).toBeLessThanOrEqual(66 * 3);
    const ended = runner.nextEnd();
    await reader?.cancel();
    expect((await ended).signal.aborted).toBe(true);
  });

  test("on a socket costs no more than the socket's own buffers", async () => {
    pulled = 0;
    runner.play(endless);
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", idleTimeout: 0, fetch: respond });
    const socket = connect(server.port ?? 0, "127.0.0.1");
    const ended = runner.nextEnd();
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await new Promise((resolve) => socket.once("data", resolve));
    socket.pause();
    // The turn has stopped once nothing was pulled for many rounds of the event loop.
    let before = -1;
    while (before !== pulled) {
      before = pulled;
      await settle();
    }
    expect(pulled * DELTA.length).toBeLessThan(32 * 1024 * 1024);
    socket.destroy();
    expect((await ended).signal.aborted).toBe(true);
    await server.stop(true);
  });
});

describe("frames", () => {
  test("that are ready together leave in one write", async () => {
    runner.play(() => turn(text("t", ..."abcdefgh")));
    const response = await respond(new Request("http://127.0.0.1/"));
    const chunks: string[] = [];
    for await (const chunk of response.body ?? []) chunks.push(new TextDecoder().decode(chunk));
    expect(chunks.join("")).toBe("abcdefgh");
    expect(chunks.length).toBeLessThan(3);
  });

  test("of the first words leave with the opening one where they come right behind the model's start", async () => {
    const goOn = Promise.withResolvers<void>();
    runner.play(async function* (): AsyncGenerator<Step> {
      yield* [turnStart(), modelStart];
      // As when the next line of claude is already there to be read.
      await new Promise((resolve) => setImmediate(resolve));
      yield { type: "text-delta", id: "t", text: "words" };
      yield { until: goOn.promise };
      yield turnEnd();
    });
    const opening = (): Encoder => {
      const { encode, ...rest } = plain();
      return { ...rest, encode: (event) => (event.type === "turn-start" ? "opening " : encode(event)) };
    };
    const exchange = createExchange(new Request("http://127.0.0.1/"));
    const reader = (
      await streamTurn(createDeps(runner), exchange, TRANSLATION, { attempt: 0 }, opening)
    ).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("opening words");
    goOn.resolve();
    expect((await reader?.read())?.done).toBe(true);
  });

  test("go out at once where the next event is still to come", async () => {
    const goOn = Promise.withResolvers<void>();
    runner.play(() => [
      turnStart(),
      modelStart,
      { type: "text-delta", id: "t", text: "a" },
      { until: goOn.promise },
      turnEnd(),
    ]);
    const reader = (await respond(new Request("http://127.0.0.1/"))).body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toBe("a");
    goOn.resolve();
    expect((await reader?.read())?.done).toBe(true);
  });
});

describe("the turn", () => {
  let after = 0;
  beforeAll(() => {
    after = 0;
  });
  afterAll(() => runner.play(() => turn([])));

  test("runs to its own end after turn-end, without holding the answer up", async () => {
    const bookkeeping = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    runner.play(async function* (): AsyncGenerator<Step> {
      yield* turn(text("t", "Hi"));
      await bookkeeping.promise;
      after++;
      done.resolve();
    });
    expect(await (await respond(new Request("http://127.0.0.1/"))).text()).toBe("Hi");
    expect(after).toBe(0);
    bookkeeping.resolve();
    await done.promise;
    expect(after).toBe(1);
  });

  test("is never begun for a client that is already gone", async () => {
    const gone = new AbortController();
    gone.abort();
    runner.play(() => [{ until: new Promise(() => {}) }]);
    const answer = respond(new Request("http://127.0.0.1/", { signal: gone.signal }));
    expect(await answer.catch((error: unknown) => error)).toMatchObject({ code: "interrupted" });
  });
});
