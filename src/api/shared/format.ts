/** What every wire format implements, and what it is given. Formats import ring 0 and this folder only. */
import type { DaemonError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { TurnEvent } from "../../turn/events.ts";
import type { ModelCatalog } from "../../turn/models.ts";
import type { TurnRequest } from "../../turn/request.ts";
import type { TurnRunner } from "../../turn/runner.ts";

/**
 * Turns events into frames. A state machine that returns text and writes nothing; one encoder serves one response.
 * `turn-start` gives the opening frame, `turn-end` everything up to and with the terminator.
 */
export interface Encoder {
  readonly contentType: string;
  /** The frames of one event, `""` where the format shows nothing. */
  encode(event: TurnEvent): string;
  /** A frame without meaning for silent stretches, only asked for after the opening frame; undefined: there is none. */
  keepAlive(): string | undefined;
  /** The in-band form of a late failure. The pump closes the stream right after it. */
  fail(error: DaemonError): string;
}

/** An error in a format's own shape, before the first byte. */
export interface RenderedError {
  status: number;
  body: unknown;
}

/** What `toTurnRequest` of a format makes of a body: all but what belongs to the HTTP exchange. */
export type TurnTranslation = Omit<TurnRequest, "signal" | "retry">;

export interface FormatDeps {
  runner: TurnRunner;
  models: ModelCatalog;
  log: Logger;
  /** Unix milliseconds. */
  now(): number;
  /** A fresh id with this prefix, e.g. `chatcmpl-`. */
  newId(prefix: string): string;
  /** Called when a streamed answer is out: only then may the server close its connection for silence again. */
  streamEnded(request: Request): void;
  limits: FormatLimits;
}

export interface FormatLimits {
  /** Most bytes of a request body, after content-encoding is undone. */
  maxBodyBytes: number;
  /** Time for a body to arrive, before what its size adds. */
  bodyTimeoutMs: number;
  /** After `turn-start`, headers wait this long for the model's first word, so that an early failure has a status. */
  commitAfterMs: number;
  /** Silence after which a format's keepalive is sent. */
  keepAliveMs: number;
}

export const DEFAULT_FORMAT_LIMITS: FormatLimits = {
  maxBodyBytes: 32 * 1024 * 1024,
  bodyTimeoutMs: 30_000,
  commitAfterMs: 10_000,
  keepAliveMs: 12_000,
};
