/** A model that calls the client's `weather` twice at once, for the tests of every format's SDKs. */
import type { AnthropicApi, ApiRequest } from "../support/anthropic-api.ts";
import { message, text, textBlock, toolBlock } from "../support/api-reply.ts";

/** Two parallel calls, then a report of their results as the model API received them. */
export function scriptWeather(api: AnthropicApi): void {
  const id = () => `toolu_${crypto.randomUUID().slice(0, 8)}`;
  const calls = ["Paris", "Rome"].map((city) => toolBlock("weather", { city }, { id: id() }));
  const report = (request: ApiRequest) => {
    // In the order in which they came: not every CLI keeps that of the calls.
    const results = (JSON.stringify(request.body.messages).match(/(Paris|Rome): sunny/g) ?? []).toSorted();
    return text(results.join(", "));
  };
  api.script(message([textBlock("Let me see."), ...calls]), report);
}
