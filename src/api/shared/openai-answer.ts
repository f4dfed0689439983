/** How both of OpenAI's formats answer: with its headers, a failure in the format's own shape. */
import type { DaemonError } from "../../errors.ts";
import { answer, type Exchange } from "./exchange.ts";
import type { FormatDeps, RenderedError } from "./format.ts";

export interface OpenAiAnswer {
  deps: Pick<FormatDeps, "log">;
  request: Request;
  renderError(error: DaemonError, model: string | undefined): RenderedError;
  /** The one that was asked for, once the body has been read. */
  model?(): string | undefined;
}

/** Runs a route. Never rejects. */
export async function answerOpenAi(
  { deps, request, renderError, model }: OpenAiAnswer,
  work: (exchange: Exchange) => Promise<Response>,
): Promise<Response> {
  const startedAt = performance.now();
  const response = await answer(deps.log, request, (error) => renderError(error, model?.()), work);
  response.headers.set("openai-version", "2020-10-01");
  response.headers.set("openai-processing-ms", String(Math.round(performance.now() - startedAt)));
  return response;
}
