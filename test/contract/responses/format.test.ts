import { expect } from "bun:test";
import { createResponsesRoutes } from "../../../src/api/responses/routes.ts";
import type { FormatDeps } from "../../../src/api/shared/format.ts";
import { describeFormat, STATUSES } from "../describe-format.ts";
import { describeGolden } from "../golden.ts";
import { createMemoryArchive } from "./memory-archive.ts";
import { eventsOf, outputText, type ResponseObject, TERMINAL, textOf } from "./read.ts";

const mount = (deps: FormatDeps) => createResponsesRoutes({ ...deps, archive: createMemoryArchive() });
const text = expect.any(String);

describeFormat({
  name: "OpenAI Responses",
  mount,
  path: "/v1/responses",
  body: (stream, extra) => ({ model: "haiku", input: "hi", stream, ...extra }),
  unsupported: { name: "seed", value: 7 },
  wholeText: (body) => outputText(body as ResponseObject),
  streamText: textOf,
  terminators: (raw) => {
    const events = eventsOf(raw);
    return {
      count: events.filter((event) => TERMINAL.includes(event.type)).length,
      last: TERMINAL.includes(events.at(-1)?.type ?? ""),
    };
  },
  inBandError: (raw) => {
    const [error, failed] = eventsOf(raw).slice(-2);
    expect(error).toMatchObject({ type: "error", message: text, error: { message: text, type: text } });
    expect(failed).toMatchObject({ type: "response.failed", response: { status: "failed", error: { code: text } } });
    return failed?.response?.error?.message;
  },
  errorMessage: (body) => {
    const { error } = body as { error: { message: string; param: unknown; code: unknown } };
    const [param, code] = [error.param === null ? null : text, error.code === null ? null : text];
    expect(body).toEqual({ error: { message: text, type: text, param, code } });
    return error.message;
  },
  statuses: STATUSES,
  keepsAlive: true,
});

describeGolden({ name: "OpenAI Responses", folder: `${import.meta.dir}/cases`, path: "/v1/responses", mount });
