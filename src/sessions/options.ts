/**
 * What of a request's options reaches claude, by kind of model (docs/formats.md): chat models take them through live
 * settings of the process; for agents most would hit every inner round, so they are named as ignored.
 *
 * Settings are built here from validated, typed values only: the door they go through could also redirect the API, so no
 * string of a client is ever a key in them.
 */
import type { LiveSettings } from "../claude/transport.ts";
import { DaemonError } from "../errors.ts";
import type { JsonObject } from "../turn/message.ts";
import type { ModelEntry } from "../turn/models.ts";
import type { TurnRequest } from "../turn/request.ts";

export interface OptionPlan {
  settings: LiveSettings | undefined;
  stop: string[];
  parallelCalls: boolean;
  /** For the CLI's own structured output (a tool of the CLI; agents, and chat models without the native one). */
  jsonSchema: JsonObject | undefined;
  /** The API's native structured output is asked for; on refusal `planOptions` with `nativeFormat: false` replaces it. */
  nativeFormat: boolean;
  /** The client's names of what is not honoured. */
  ignored: string[];
}

export interface PlanContext {
  kind: ModelEntry["kind"];
  /** Efforts that the model knows; empty: it has none. */
  efforts: readonly string[];
  /** `[models] sampling = "forward"`. */
  forwardSampling: boolean;
  /** Whether the model takes `output_config.format`. */
  nativeFormat: boolean;
  /** The model-visible name of a client tool. */
  toolName(name: string): string;
}

/** Beyond these a list of stop sequences is no use, only work for every delta. */
const MAX_STOPS = 64;
const MAX_STOP_CHARS = 4096;

/** Throws `invalid_request` for values that cannot be meant, and for ignored ones where the request is strict. */
export function planOptions(request: TurnRequest, context: PlanContext): OptionPlan {
  const plan = context.kind === "chat" ? planChat(request, context) : planAgent(request, context);
  if (request.claudeCode.strict === true && plan.ignored.length > 0) {
    throw new DaemonError("invalid_request", `Not supported here: ${plan.ignored.join(", ")} (claude_code.strict).`, {
      detail: { param: plan.ignored[0] ?? "" },
    });
  }
  return plan;
}

function planChat(request: TurnRequest, context: PlanContext): OptionPlan {
  const { output, tools, toolChoice } = request;
  const ignored = [...request.unsupported, ...ignoredExtensions(request)];
  const body: JsonObject = {};
  let thinkingOff = output.thinking === "off";

  if (tools.length > 0) {
    const forced = toolChoice.type === "required" || toolChoice.type === "tool";
    const single = request.parallelToolCalls ? {} : { disable_parallel_tool_use: true };
    if (toolChoice.type === "none") body.tool_choice = { type: "none" };
    else if (toolChoice.type === "required") body.tool_choice = { type: "any", ...single };
    else if (toolChoice.type === "tool") {
      if (!tools.some((tool) => tool.name === toolChoice.name)) {
        throw new DaemonError("invalid_request", "tool_choice names a tool that is not in tools.", {
          detail: { param: request.optionNames.toolChoice ?? "tool_choice" },
        });
      }
      body.tool_choice = { type: "tool", name: context.toolName(toolChoice.name), ...single };
    } else if (!request.parallelToolCalls) body.tool_choice = { type: "auto", ...single };
    // The API refuses a forced choice beside thinking.
    if (forced) thinkingOff = true;
  }
  if (output.temperature !== undefined || output.topP !== undefined) {
    if (context.forwardSampling) {
      if (output.temperature !== undefined) body.temperature = output.temperature;
      if (output.topP !== undefined) body.top_p = output.topP;
      // The API refuses sampling beside thinking.
      thinkingOff = true;
    } else ignored.push(...namesOf(request, ["temperature", "topP"]));
  }
  const stop = stopsOf(request);
  // Where the API stops by itself, the process's memory ends there too and it stays of use; the cut in the daemon is for
  // what the API refuses (blank ones) or overlooks.
  const told = stop.filter((text) => text.trim() !== "");
  if (told.length > 0) body.stop_sequences = told;
  const format = output.format?.type === "text" ? undefined : output.format;
  const nativeFormat = format?.type === "schema" && context.nativeFormat;
  if (nativeFormat) body.output_config = { format: { type: "json_schema", schema: format.schema } };
  const noEffort = output.effort !== undefined && output.effort !== "none" && context.efforts.length === 0;
  if (noEffort) ignored.push(...namesOf(request, ["effort"]));

  const settings: LiveSettings = {
    maxOutputTokens: output.maxTokens,
    effort: noEffort ? undefined : output.effort,
    thinkingOff,
    extraBody: Object.keys(body).length > 0 ? body : undefined,
  };
  const neutral = output.maxTokens === undefined && settings.effort === undefined && !thinkingOff;
  return {
    settings: neutral && !settings.extraBody ? undefined : settings,
    stop,
    parallelCalls: request.parallelToolCalls,
    jsonSchema: format && !nativeFormat ? schemaOf(format) : undefined,
    nativeFormat,
    ignored,
  };
}

function planAgent(request: TurnRequest, context: PlanContext): OptionPlan {
  const { output } = request;
  const ignored = [
    ...request.unsupported,
    ...namesOf(request, ["maxTokens", "temperature", "topP", "thinking"]),
    ...(request.toolChoice.type === "auto" ? [] : namesOf(request, ["toolChoice"])),
  ];
  const effort = context.efforts.length > 0 && output.effort !== "none" ? output.effort : undefined;
  if (output.effort !== undefined && effort === undefined) ignored.push(...namesOf(request, ["effort"]));
  const format = output.format?.type === "text" ? undefined : output.format;
  return {
    settings: effort && { maxOutputTokens: undefined, effort, thinkingOff: false, extraBody: undefined },
    stop: stopsOf(request),
    parallelCalls: request.parallelToolCalls,
    jsonSchema: format && schemaOf(format),
    nativeFormat: false,
    ignored,
  };
}

function schemaOf(format: { type: "object" } | { type: "schema"; schema: JsonObject }): JsonObject {
  return format.type === "schema" ? format.schema : { type: "object", additionalProperties: true };
}

function stopsOf(request: TurnRequest): string[] {
  const stops = (request.output.stop ?? []).filter((stop) => stop !== "");
  if (stops.length > MAX_STOPS || stops.some((stop) => stop.length > MAX_STOP_CHARS)) {
    const message = `At most ${MAX_STOPS} stop sequences of ${MAX_STOP_CHARS} characters are possible.`;
    throw new DaemonError("invalid_request", message, { detail: { param: request.optionNames.stop ?? "stop" } });
  }
  return stops;
}

/** The client's own words for options that it sent. */
function namesOf(request: TurnRequest, keys: (keyof TurnRequest["optionNames"])[]): string[] {
  return keys.map((key) => request.optionNames[key]).filter((name) => name !== undefined);
}

/** Additions of ours that mean nothing to a chat model. */
function ignoredExtensions(request: TurnRequest): string[] {
  const { claudeCode } = request;
  const names: [keyof typeof claudeCode, string][] = [
    ["workspace", "claude_code.workspace"],
    ["sessionId", "claude_code.session_id"],
    ["permissionMode", "claude_code.permission_mode"],
    ["allowedTools", "claude_code.allowed_tools"],
    ["disallowedTools", "claude_code.disallowed_tools"],
    ["maxTurns", "claude_code.max_turns"],
    ["expand", "claude_code.expand"],
  ];
  return names.filter(([key]) => claudeCode[key] !== undefined).map(([, name]) => name);
}
