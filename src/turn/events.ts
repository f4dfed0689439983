/**
 * The neutral vocabulary of a turn: what `claude` does, in no format's words. Every wire format is a pure translation
 * of this union. Blocks carry an `id`, so interleaving works. Failure is a thrown `DaemonError`, never an event.
 */
import type { FileChange } from "./changes.ts";
import type { Json, JsonObject } from "./message.ts";

/** Tokens of this turn (this part of it, where a turn pauses for client calls). Unknown is undefined, never 0. */
export interface Usage {
  /** Uncached input tokens. The whole prompt is input + cacheRead + cacheWrite. */
  inputTokens: number | undefined;
  outputTokens: number | undefined;
  cacheReadTokens: number | undefined;
  cacheWriteTokens: number | undefined;
}

export type EndReason =
  | "end" // the model was done
  | "stop-sequence"
  | "length" // output token limit
  | "tool-calls" // paused: the client's tools are to be run
  | "refusal"
  | "max-turns"
  | "interrupted"
  | "stalled"; // ended by the watchdog with what it has

export interface PermissionDenial {
  tool: string;
  toolUseId: string;
  input: JsonObject;
}

/** One way out that Claude offers with a prompt, to be echoed back when chosen. */
export type PermissionSuggestion = JsonObject;

export interface TurnEnd {
  type: "turn-end";
  /** `raw` is the CLI's or the API's own word. */
  reason: { unified: EndReason; raw: string | undefined };
  /** Which of the client's stop sequences ended the text. */
  stopSequence?: string;
  usage: Usage;
  /** US dollars of this turn, as the CLI reports it. */
  costUsd: number | undefined;
  /** Rounds with the model. */
  numTurns: number | undefined;
  /** What this turn changed in its workspace; undefined where there is none (chat models) or it could not be told. */
  filesChanged: FileChange[] | undefined;
  permissionDenials: PermissionDenial[];
  /** The validated JSON, where the CLI's own structured output was used. */
  structuredOutput?: Json;
}

export type TurnEvent =
  // First event, once the request is accepted and before the model has answered.
  // `ignored`: the client's names of all parameters this turn does not honour.
  | { type: "turn-start"; turnId: string; sessionId: string | undefined; model: string; ignored: string[] }
  // The model API has answered: from here on the turn has really begun.
  | { type: "model-start"; model: string; usage: Usage }
  // Text for the user.
  | { type: "text-start"; id: string }
  | { type: "text-delta"; id: string; text: string }
  | { type: "text-end"; id: string }
  // The model's thinking. The signature is what makes it resendable.
  | { type: "thinking-start"; id: string }
  | { type: "thinking-delta"; id: string; text: string }
  | { type: "thinking-end"; id: string; signature: string | undefined }
  // Claude's own tools: named, arguments streaming, running with whole input, ended with its result.
  // `parentId` is the tool call of the subagent that does this.
  | { type: "tool-start"; id: string; name: string; parentId: string | undefined }
  | { type: "tool-delta"; id: string; json: string }
  | { type: "tool-run"; id: string; name: string; input: JsonObject; parentId: string | undefined }
  | { type: "tool-end"; id: string; output: string; isError: boolean }
  // The client's tools. `arguments` is the whole JSON text, `{}` at least.
  | { type: "client-call-start"; id: string; name: string }
  | { type: "client-call-delta"; id: string; json: string }
  | { type: "client-call-end"; id: string; name: string; arguments: string }
  // A prompt that a person must answer. `expiresAt` is Unix milliseconds.
  | {
      type: "permission-request";
      requestId: string;
      tool: string;
      input: JsonObject;
      reason: string | undefined;
      suggestions: PermissionSuggestion[];
      toolUseId: string | undefined;
      expiresAt: number;
    }
  | { type: "permission-resolved"; requestId: string; behavior: "allow" | "deny"; message: string | undefined }
  // Something worth showing that is not part of the answer (a retry upstream, a compaction). `code` is stable.
  | { type: "notice"; code: string; text: string }
  | TurnEnd;
