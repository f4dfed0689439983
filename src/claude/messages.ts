/**
 * Lines of the CLI as far as we use them; unknown types and fields pass (new CLI versions must not break old daemons).
 */
import type { Json, JsonObject } from "../turn/message.ts";

export interface StreamEventMessage {
  type: "stream_event";
  /** The API's own streaming event. */
  event: JsonObject;
  parent_tool_use_id: string | null;
  uuid?: string;
}

export interface AssistantLine {
  type: "assistant";
  message: JsonObject;
  parent_tool_use_id: string | null;
  error?: string;
  is_api_error_message?: boolean;
  uuid?: string;
}

export interface UserLine {
  type: "user";
  message: JsonObject;
  parent_tool_use_id: string | null;
  tool_use_result?: Json;
  isSynthetic?: boolean;
  uuid?: string;
}

export interface ResultLine {
  type: "result";
  subtype: string;
  is_error: boolean;
  result?: string;
  stop_reason?: string | null;
  terminal_reason?: string;
  num_turns?: number;
  total_cost_usd?: number;
  usage?: JsonObject;
  permission_denials?: JsonObject[];
  structured_output?: Json;
  api_error_status?: number | null;
  session_id?: string;
  uuid?: string;
  [key: string]: Json | undefined;
}

export interface SystemLine {
  type: "system";
  subtype: string;
  [key: string]: Json | undefined;
}

export interface OtherLine {
  type: "rate_limit_event" | "tool_progress" | "transcript_mirror" | "command_lifecycle";
  [key: string]: Json | undefined;
}

export type ClaudeMessage = StreamEventMessage | AssistantLine | UserLine | ResultLine | SystemLine | OtherLine;
