/** `initialize`: what is sent, and what the CLI answers. */
import type { Json, JsonObject } from "../turn/message.ts";
import { type ClientToolServer, createClientToolServer } from "./client-tools.ts";
import type { ClaudeFeatures } from "./features.ts";
import { editHooks } from "./incoming.ts";
import { isObject } from "./json.ts";
import type { CliModel, InitializeOptions, InitializeResult, LaunchOptions } from "./transport.ts";

/** The request's payload, and the server that is to answer for the client's tools before it is sent. */
export function toInitialize(
  options: InitializeOptions,
  launch: LaunchOptions,
  features: ClaudeFeatures,
): { payload: JsonObject; server: ClientToolServer | undefined } {
  const payload: JsonObject = {};
  if (options.systemPrompt !== undefined) payload.systemPrompt = [options.systemPrompt];
  if (options.appendSystemPrompt !== undefined) payload.appendSystemPrompt = options.appendSystemPrompt;
  if (options.jsonSchema !== undefined) payload.jsonSchema = options.jsonSchema;
  if (options.hookEdits === true) payload.hooks = editHooks();
  const tools = options.clientTools ?? [];
  if (tools.length === 0) return { payload, server: undefined };
  if (!launch.clientTools) throw new Error("client tools need a process that was launched for them");
  const server = createClientToolServer(tools, launch.kind, !features.flattensSchemas);
  payload.sdkMcpServers = [server.name];
  if (launch.answerInterrupted) payload.sdkMcpServerManifests = { [server.name]: server.manifest };
  return { payload, server };
}

const text = (value: Json | undefined): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

/** Tolerant: a model without a name is left out, whatever else is missing is undefined. */
export function parseInitialize(response: JsonObject): InitializeResult {
  const models = Array.isArray(response.models) ? response.models.filter(isObject) : [];
  return {
    models: models.flatMap((model) => toModel(model) ?? []),
    login: toLogin(isObject(response.account) ? response.account : {}),
    raw: response,
  };
}

function toModel(model: JsonObject): CliModel | undefined {
  const value = text(model.value);
  if (value === undefined) return undefined;
  const efforts = Array.isArray(model.supportedEffortLevels) ? model.supportedEffortLevels : [];
  return {
    value,
    resolvedModel: text(model.resolvedModel),
    displayName: text(model.displayName) ?? value,
    description: text(model.description),
    supportsEffort: model.supportsEffort === true,
    efforts: efforts.filter((effort) => typeof effort === "string"),
  };
}

/** Providers other than Anthropic bring their own credentials; the CLI then names the provider and no source. */
function toLogin(account: JsonObject): string | undefined {
  const key = text(account.apiKeySource);
  const token = text(account.tokenSource);
  const provider = text(account.apiProvider);
  if (key !== undefined && key !== "none") return key;
  if (token !== undefined && token !== "none") return token;
  return provider === undefined || provider === "firstParty" ? undefined : provider;
}
