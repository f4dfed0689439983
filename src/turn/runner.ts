import type { TurnEvent } from "./events.ts";
import type { TurnRequest } from "./request.ts";

/**
 * Carries out a turn. The first event is `turn-start`, the last `turn-end`; between them blocks start, stream and end.
 *
 * Throws `DaemonError` at the first pull where the request cannot be accepted, later where the turn fails. Aborting
 * `request.signal`, or returning from the iteration early, interrupts claude's work; the process is kept.
 */
export type TurnRunner = (request: TurnRequest) => AsyncIterable<TurnEvent>;
