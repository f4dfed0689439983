/** Reading a turn of a session, for whoever asked for it, and to its end where nobody does (any more). */
import { toDaemonError } from "../errors.ts";
import type { TurnEvent } from "../turn/events.ts";
import type { Turn } from "./contracts.ts";
import { isFirstToken } from "./metrics.ts";
import type { Job } from "./session-job.ts";

/** What the session does with what is read. */
export interface PartReader {
  observe(job: Job, turn: Turn, event: TurnEvent): Promise<void>;
  failed(job: Job, error: unknown): Promise<void>;
}

/** Reads one part to its end. A reader who leaves early interrupts claude; the rest is read all the same. */
export async function* readPart(
  reader: PartReader,
  job: Job,
  turn: Turn,
  events = turn[Symbol.asyncIterator](),
): AsyncGenerator<TurnEvent, void, undefined> {
  let finished = false;
  try {
    for (;;) {
      const step = await events.next();
      if (step.done) throw new Error("a turn ended without turn-end");
      await reader.observe(job, turn, step.value);
      finished = step.value.type === "turn-end";
      yield step.value;
      if (finished) return;
    }
  } catch (error) {
    finished = true;
    await reader.failed(job, error);
    throw toDaemonError(error);
  } finally {
    if (!finished) {
      job.abort.abort();
      void exhaust(readPart(reader, job, turn, events));
    }
  }
}

/** Reads what nobody else reads; tells when the first token came. Never rejects. */
export async function exhaust(events: AsyncIterable<TurnEvent>, firstToken?: () => void): Promise<void> {
  let waiting = firstToken;
  try {
    for await (const event of events) {
      if (!waiting || !isFirstToken(event)) continue;
      waiting();
      waiting = undefined;
    }
  } catch {
    // It is in the turn's record, and its watchers were told.
  }
}
