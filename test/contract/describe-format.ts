/** What every wire format must hold, asserted through its real HTTP routes: one call in each format's contract test. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { FormatDeps, FormatLimits } from "../../src/api/shared/format.ts";
import { DaemonError, ERRORS, type ErrorCode } from "../../src/errors.ts";
import {
  call,
  createDeps,
  createScriptedRunner,
  modelStart,
  type Served,
  type Step,
  serve,
  text,
  thinking,
  turn,
  turnEnd,
  turnStart,
} from "./scripted-runner.ts";

export interface FormatUnderTest {
  name: string;
  /** The format's app, e.g. its Elysia plugin. */
  mount(deps: FormatDeps): { handle(request: Request): Response | Promise<Response> };
  /** Where turns are posted. */
  path: string;
  headers?: Record<string, string>;
  /** A valid request; `extra` goes in at the top level. */
  body(stream: boolean, extra?: Record<string, unknown>): Record<string, unknown>;
  /** A parameter that is accepted and never honoured. */
  unsupported: { name: string; value: unknown };
  /** The text of a whole answer. */
  wholeText(body: unknown): string;
  /** The text of a stream, read the way a client reads it. Throws on frames that are not legal. */
  streamText(raw: string): string;
  /** How often the terminator stands in a stream; the stream must also end with it. */
  terminators(raw: string): { count: number; last: boolean };
  /** The message of an in-band error, read from the last frame. */
  inBandError(raw: string): string | undefined;
  /** Asserts that a body is an error in the format's shape; returns its message. */
  errorMessage(body: unknown): string;
  /** `STATUSES`, and what is the dialect's own. */
  statuses: Record<ErrorCode, number>;
  /** Whether silence is filled with frames. */
  keepsAlive: boolean;
}

/** Literal: the status of every code, where a dialect has none of its own for it. */
export const STATUSES: FormatUnderTest["statuses"] = {
  invalid_request: 400,
  context_length_exceeded: 400,
  unauthenticated: 401,
  claude_logged_out: 401,
  forbidden: 403,
  not_found: 404,
  model_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  session_busy: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  misdirected: 421,
  queue_full: 429,
  rate_limited: 429,
  usage_limit: 429,
  interrupted: 499,
  internal: 500,
  unsupported: 501,
  claude_failed: 502,
  claude_crashed: 502,
  claude_missing: 503,
  overloaded: 503,
  timed_out: 504,
};

type Content = string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>;

const TEXTS: Record<string, string[]> = {
  "one word": ["Hello"],
  "many pieces": Array.from({ length: 500 }, (_, index) => `piece ${index}\n`),
  "nothing at all": [],
  "what JSON and frames must escape": [
    '"quotes"',
    "\n\n",
    "data: x\r\n",
    "\u2028\u2029",
    "\\u0041",
    "\u0000\u001b[31m",
  ],
  "characters beyond the first plane": ["🙂", "é", "漢", "👩‍👩‍👧"],
};

export function describeFormat(format: FormatUnderTest): void {
  describe(`${format.name}: every format's contract`, () => {
    const runner = createScriptedRunner();
    let served: Served;
    beforeAll(() => {
      served = serve(format.mount(createDeps(runner)));
    });
    afterAll(() => served.stop());

    const send = (body: unknown, options: { signal?: AbortSignal; at?: Served } = {}) =>
      fetch((options.at ?? served).url + format.path, {
        method: "POST",
        headers: { "content-type": "application/json", ...format.headers },
        body: JSON.stringify(body),
        ...(options.signal ? { signal: options.signal } : {}),
      });
    const post = (body: Content | undefined, headers: Record<string, string> = {}) =>
      fetch(served.url + format.path, {
        method: "POST",
        headers: { ...format.headers, ...headers },
        ...(body === undefined ? {} : { body }),
      });
    const expectError = async (response: Response, status: number) => {
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toContain("application/json");
      return format.errorMessage(await response.json());
    };

    for (const [title, deltas] of Object.entries(TEXTS)) {
      test(`streamed text equals collected text: ${title}`, async () => {
        runner.play(() => turn([...thinking("k", "hm"), ...text("t", ...deltas)]));
        const whole = await send(format.body(false));
        expect(whole.status).toBe(200);
        expect(format.wholeText(await whole.json())).toBe(deltas.join(""));
        const raw = await (await send(format.body(true))).text();
        expect(format.streamText(raw)).toBe(deltas.join(""));
        expect(format.terminators(raw)).toEqual({ count: 1, last: true });
      });
    }

    test("several blocks of text read the same streamed and whole", async () => {
      runner.play(() =>
        turn([
          ...text("a", "Fir"),
          ...text("a2", "st."),
          { type: "tool-start", id: "toolu_1", name: "Bash", parentId: undefined },
          { type: "tool-delta", id: "toolu_1", json: "{}" },
          { type: "tool-run", id: "toolu_1", name: "Bash", input: { command: "ls" }, parentId: undefined },
          { type: "tool-end", id: "toolu_1", output: "a.txt", isError: false },
          { type: "notice", code: "compaction", text: "The history was compacted." },
          ...text("b"),
          { type: "tool-end", id: "toolu_1", output: "late", isError: false },
          ...text("c", "Second", "."),
        ]),
      );
      const whole = format.wholeText(await (await send(format.body(false))).json());
      expect(whole).toContain("First.");
      expect(whole).toContain("Second.");
      expect(format.streamText(await (await send(format.body(true))).text())).toBe(whole);
    });

    for (const reason of ["length", "refusal", "max-turns", "interrupted", "stalled", "stop-sequence"] as const) {
      test(`a turn that ends with ${reason} is terminated like any other`, async () => {
        runner.play(() => turn(text("t", "Hel"), { reason: { unified: reason, raw: undefined } }));
        const raw = await (await send(format.body(true))).text();
        expect(format.streamText(raw)).toBe("Hel");
        expect(format.terminators(raw)).toEqual({ count: 1, last: true });
        expect((await send(format.body(false))).status).toBe(200);
      });
    }

    test("a turn that pauses for the client's tools is terminated", async () => {
      runner.play(() =>
        turn([...text("t", "Let me see."), ...call("call_1", "f", '{"a"', ":1}"), ...call("call_2", "g")], {
          reason: { unified: "tool-calls", raw: "tool_use" },
        }),
      );
      const raw = await (await send(format.body(true))).text();
      expect(format.streamText(raw)).toBe("Let me see.");
      expect(format.terminators(raw)).toEqual({ count: 1, last: true });
    });

    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      test(`${code} has its status and shape`, async () => {
        runner.play(() => [new DaemonError(code, "what to do next")]);
        for (const stream of [true, false]) {
          const response = await send(format.body(stream));
          expect(response.headers.get("x-should-retry")).toBe(String(new DaemonError(code, "").shouldRetry));
          expect(await expectError(response, format.statuses[code])).toContain("what to do next");
        }
      });
    }

    test("a failure before the model answers has a status, even after turn-start and notices", async () => {
      const failure = new DaemonError("overloaded", "try later", { detail: { retryAfterSeconds: 3 } });
      runner.play(() => [turnStart(), { type: "notice", code: "retry", text: "upstream is busy" }, failure]);
      const response = await send(format.body(true));
      expect(response.headers.get("retry-after")).toBe("3");
      expect(await expectError(response, format.statuses.overloaded)).toContain("try later");
    });

    test("what nobody foresaw is an internal error and tells nothing of itself", async () => {
      runner.play(() => [new Error("/home/secret/path")]);
      const message = await expectError(await send(format.body(true)), format.statuses.internal);
      expect(message).not.toContain("secret");
    });

    test("a failure after the first words is in-band, and the stream closes without a terminator", async () => {
      runner.play(() => [
        turnStart(),
        modelStart,
        ...text("t", "Hel").slice(0, 2),
        new DaemonError("claude_crashed", "it crashed", { detail: { agentStarted: true } }),
      ]);
      const response = await send(format.body(true));
      expect(response.status).toBe(200);
      const raw = await response.text();
      expect(format.inBandError(raw)).toContain("it crashed");
      expect(format.terminators(raw).count).toBe(0);
      const whole = await send(format.body(false));
      expect(whole.headers.get("x-should-retry")).toBe("false");
      await expectError(whole, format.statuses.claude_crashed);
    });

    test("a turn that ends without turn-end is an error, never a quiet end", async () => {
      runner.play(() => [turnStart(), modelStart, ...text("t", "Hel")]);
      const raw = await (await send(format.body(true))).text();
      expect(format.inBandError(raw)).toBeDefined();
      expect(format.terminators(raw).count).toBe(0);
    });

    for (const stream of [true, false]) {
      test(`a client that leaves ${stream ? "a stream" : "a whole answer"} interrupts the turn`, async () => {
        const started = Promise.withResolvers<void>();
        runner.play(async function* (): AsyncGenerator<Step> {
          yield* [turnStart(), modelStart, ...text("t", "Hel").slice(0, 2)];
          started.resolve();
          yield { until: new Promise(() => {}) };
        });
        const ended = runner.nextEnd();
        const leaving = new AbortController();
        const answer = send(format.body(stream), { signal: leaving.signal }).then((response) => response.text());
        answer.catch(() => {});
        await started.promise;
        leaving.abort();
        expect((await ended).signal.aborted).toBe(true);
      });
    }

    test("a client that leaves before the model answers interrupts the turn", async () => {
      const started = Promise.withResolvers<void>();
      runner.play(async function* (): AsyncGenerator<Step> {
        yield turnStart();
        started.resolve();
        yield { until: new Promise(() => {}) };
      });
      const ended = runner.nextEnd();
      const leaving = new AbortController();
      send(format.body(true), { signal: leaving.signal }).catch(() => {});
      await started.promise;
      leaving.abort();
      expect((await ended).signal.aborted).toBe(true);
    });

    test("headers come before a slow model's first word, and silence is legal for the format's clients", async () => {
      const quick: Partial<FormatLimits> = { commitAfterMs: 5, keepAliveMs: 10 };
      const slow = serve(format.mount(createDeps(runner, quick)));
      const speak = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      runner.play(() => [
        turnStart(),
        { until: speak.promise },
        modelStart,
        ...text("t", "Hel").slice(0, 2),
        { until: goOn.promise },
        { type: "text-delta", id: "t", text: "lo" },
        { type: "text-end", id: "t" },
        turnEnd(),
      ]);
      const response = await send(format.body(true), { at: slow });
      expect(response.status).toBe(200);
      const chunks = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      if (!chunks) throw new Error("no body");
      let raw = "";
      const read = async () => {
        const { done, value } = await chunks.read();
        raw += value ?? "";
        return !done;
      };
      // Each chunk but the first is a keepalive while the turn is silent: two, then the model speaks.
      if (format.keepsAlive) for (let count = 0; count < 3; count++) await read();
      speak.resolve();
      await read();
      if (format.keepsAlive) await read();
      goOn.resolve();
      while (await read());
      await slow.stop();
      expect(format.streamText(raw)).toBe("Hello");
      expect(format.terminators(raw)).toEqual({ count: 1, last: true });
    });

    test("a typo within claude_code, which may have been meant to limit an agent, is named in the same header", async () => {
      runner.play((request) => [
        turnStart({ ignored: request.unsupported }),
        modelStart,
        ...text("t", "Hi"),
        turnEnd(),
      ]);
      const extension = { permision_mode: "plan", strict: null, workspace: "/x" };
      const response = await send(format.body(false, { claude_code: extension }));
      expect(response.headers.get("x-claude-code-ignored")).toBe("claude_code.permision_mode");
      await response.text();
    });

    test("parameters that are not honoured are named in a header; strict reaches the runner", async () => {
      const { name, value } = format.unsupported;
      runner.play((request) => {
        if (request.claudeCode.strict) {
          return [new DaemonError("invalid_request", `${request.unsupported} cannot be honoured`)];
        }
        return [turnStart({ ignored: request.unsupported }), modelStart, ...text("t", "Hi"), turnEnd()];
      });
      for (const stream of [true, false]) {
        const response = await send(format.body(stream, { [name]: value }));
        expect(response.headers.get("x-claude-code-ignored")).toBe(name);
        await response.text();
        const plain = await send(format.body(stream));
        expect(plain.headers.get("x-claude-code-ignored")).toBeNull();
        await plain.text();
        const strict = await send(format.body(stream, { [name]: value, claude_code: { strict: true } }));
        expect(await expectError(strict, 400)).toContain(name);
      }
    });

    test("answers carry a request id, streams also what keeps proxies from buffering", async () => {
      runner.play(() => turn(text("t", "Hi")));
      const streamed = await send(format.body(true));
      await streamed.text();
      expect(streamed.headers.get("x-request-id")).toMatch(/^req_\w{24}$/);
      expect(streamed.headers.get("request-id")).toBe(streamed.headers.get("x-request-id"));
      expect(streamed.headers.get("cache-control")).toBe("no-cache");
      expect(streamed.headers.get("x-accel-buffering")).toBe("no");
      const failed = await post("nonsense");
      expect(failed.headers.get("x-request-id")).toMatch(/^req_\w{24}$/);
    });

    test("the retry headers reach the runner", async () => {
      runner.play(() => turn(text("t", "Hi")));
      const body = JSON.stringify(format.body(false));
      await (await post(body, { "idempotency-key": "k-1", "x-stainless-retry-count": "2" })).text();
      const first = runner.requests.at(-1)?.retry;
      expect(first).toMatchObject({ idempotencyKey: "k-1", attempt: 2 });
      await (await post(body)).text();
      expect(runner.requests.at(-1)?.retry).toEqual({ attempt: 0, bodyDigest: first?.bodyDigest ?? "none" });
      await (await post(JSON.stringify(format.body(false, { user: "other" })))).text();
      expect(runner.requests.at(-1)?.retry.bodyDigest).not.toBe(first?.bodyDigest ?? "none");
    });

    test("the claude_code object and its headers reach the runner", async () => {
      runner.play(() => turn(text("t", "Hi")));
      const claudeCode = { workspace: "/w", permission_mode: "plan", allowed_tools: ["Read"], max_turns: 3, later: 1 };
      await (await send(format.body(false, { claude_code: claudeCode }))).text();
      expect(runner.requests.at(-1)?.claudeCode).toEqual({
        workspace: "/w",
        permissionMode: "plan",
        allowedTools: ["Read"],
        maxTurns: 3,
      });
      const headers = { "x-claude-code-workspace": "/h", "x-claude-code-session": "ses_1" };
      await (await post(JSON.stringify(format.body(false)), headers)).text();
      expect(runner.requests.at(-1)?.claudeCode).toEqual({ workspace: "/h", sessionId: "ses_1" });
      const wrong = await send(format.body(false, { claude_code: { max_turns: "many" } }));
      expect(await expectError(wrong, 400)).toContain("claude_code.max_turns");
    });

    test("bodies are read as clients send them", async () => {
      runner.play(() => turn(text("t", "Hi")));
      const body = JSON.stringify(format.body(false));
      const sent: [Content, Record<string, string>][] = [
        [body, { "content-type": "application/x-www-form-urlencoded" }],
        [new TextEncoder().encode(body), {}],
        [`\ufeff${body}`, {}],
        [gzipSync(body), { "content-encoding": "gzip" }],
        [zstdCompressSync(body), { "content-encoding": "zstd" }],
      ];
      for (const [content, headers] of sent) {
        const response = await post(content, headers);
        expect(response.status).toBe(200);
        await response.text();
      }
    });

    test("bodies that cannot be read are refused in the format's shape", async () => {
      const nested = `"made_up":${"[".repeat(100_000)}${"]".repeat(100_000)}`;
      const deep = JSON.stringify(format.body(false)).replace("{", `{${nested},`);
      const bad: [Content | undefined, Record<string, string>, number][] = [
        [undefined, {}, format.statuses.invalid_request],
        ["", {}, format.statuses.invalid_request],
        ["{bad", {}, format.statuses.invalid_request],
        ["[]", {}, format.statuses.invalid_request],
        ["null", {}, format.statuses.invalid_request],
        [deep, {}, format.statuses.invalid_request],
        [new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), {}, format.statuses.invalid_request],
        ["garbage", { "content-encoding": "gzip" }, format.statuses.invalid_request],
        ["{}", { "content-encoding": "compress" }, format.statuses.unsupported_media_type],
      ];
      for (const [content, headers, status] of bad) {
        expect(await expectError(await post(content, headers), status)).not.toBe("");
      }
    });

    test("bodies beyond the bound are refused, compressed ones by what they inflate to", async () => {
      const small = serve(format.mount(createDeps(runner, { maxBodyBytes: 10_000 })));
      const body = JSON.stringify(format.body(false, { padding: "x".repeat(20_000) }));
      const chunked = new ReadableStream({
        start(controller) {
          for (const part of body.match(/.{1,4000}/g) ?? []) controller.enqueue(new TextEncoder().encode(part));
          controller.close();
        },
      });
      const sent: [Content, Record<string, string>][] = [
        [body, {}],
        [chunked, {}],
        [gzipSync(body), { "content-encoding": "gzip" }],
        [zstdCompressSync(body), { "content-encoding": "zstd" }],
      ];
      for (const [content, headers] of sent) {
        const init = { method: "POST", headers: { ...format.headers, ...headers }, body: content };
        await expectError(await fetch(small.url + format.path, init), format.statuses.payload_too_large);
      }
      await small.stop();
    });
  });
}
