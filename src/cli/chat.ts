/** `chat`: one prompt, or a conversation, through the daemon's own API. */
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { loadConfig } from "../config/load.ts";
import { DaemonError } from "../errors.ts";
import { type CliContext, printLine, toTerminalText } from "./context.ts";
import { addPort, callDaemon, type DaemonAddress, findDaemon, type PortFlag, toFailure } from "./daemon-client.ts";
import { withInterrupt } from "./interrupt.ts";
import { readSse } from "./sse.ts";
import { styleOf } from "./style.ts";

interface ChatMessage {
  role: "user" | "assistant";
  content: string;
}

interface ChatOptions extends PortFlag {
  model?: string;
  workspace?: string;
  json?: boolean;
}

interface Chunk {
  choices?: { delta?: { content?: string | null } }[];
  claude_code?: {
    activity?: { type?: string; name?: string; text?: string };
    files_changed?: { path: string; status: string }[];
    permission_denials?: { tool: string }[];
  };
  error?: { message?: string };
}

/** Agents work where the person stands; chat models work nowhere. */
function toBody(model: string, messages: readonly ChatMessage[], options: ChatOptions, context: CliContext) {
  const isAgent = model === "claude-code" || model.startsWith("claude-code:");
  const workspace = options.workspace ?? (isAgent ? context.facts.cwd : undefined);
  return JSON.stringify({
    model,
    messages,
    stream: options.json !== true,
    ...(workspace === undefined ? {} : { claude_code: { workspace } }),
  });
}

async function send(address: DaemonAddress, body: string, signal: AbortSignal): Promise<Response> {
  const response = await callDaemon(address, "/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    signal,
  });
  if (!response.ok) throw await toFailure(response);
  return response;
}

/** Each piece of activity as a line of its own on stderr; `beginLine` is called before each. */
function showActivity(chunk: Chunk, context: CliContext, beginLine: () => void): void {
  const { stderr } = context;
  const style = styleOf(stderr, context);
  const show = (text: string) => {
    beginLine();
    printLine(stderr, style.faint(toTerminalText(text, stderr)));
  };
  const activity = chunk.claude_code?.activity;
  if (activity?.type === "tool_start") show(`· ${activity.name ?? "tool"}`);
  if (activity?.type === "notice") show(`· ${activity.text ?? ""}`);
  for (const change of chunk.claude_code?.files_changed ?? []) show(`${change.status}: ${change.path}`);
  for (const denial of chunk.claude_code?.permission_denials ?? []) show(`denied: ${denial.tool}`);
}

/** Prints an answer as it comes and gives it back whole. Throws what the stream fails with. */
async function showAnswer(response: Response, context: CliContext): Promise<string> {
  const { stdout, stderr } = context;
  let answer = "";
  let done = false;
  let lineIsOpen = false;
  // Only where both are on one screen: elsewhere a line break would be none of the answer's.
  const endLine = () => {
    if (!lineIsOpen || !stdout.isTerminal || !stderr.isTerminal) return;
    printLine(stderr);
    lineIsOpen = false;
  };
  if (!response.body) throw new DaemonError("claude_failed", "The daemon sent no answer.");
  for await (const data of readSse(response.body)) {
    if (data === "[DONE]") {
      done = true;
      break;
    }
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw new DaemonError("claude_failed", chunk.error.message ?? "The turn failed.");
    const text = chunk.choices?.[0]?.delta?.content ?? "";
    if (text !== "") {
      answer += text;
      lineIsOpen = !text.endsWith("\n");
      stdout.write(toTerminalText(text, stdout));
    }
    showActivity(chunk, context, endLine);
  }
  if (lineIsOpen) printLine(stdout);
  if (!done) throw new DaemonError("claude_failed", "The answer was cut off: the daemon closed the connection.");
  return answer;
}

/** Runs one exchange that Ctrl-C interrupts (the daemon then stops claude). */
function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return withInterrupt(async (signal) => {
    try {
      return await work(signal);
    } catch (error) {
      if (signal.aborted) throw new DaemonError("interrupted", "Interrupted.");
      throw error;
    }
  });
}

async function converse(context: CliContext, exchange: (messages: ChatMessage[]) => Promise<string>): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const messages: ChatMessage[] = [];
  printLine(context.stderr, "Ctrl-D ends, Ctrl-C interrupts an answer.");
  try {
    for (;;) {
      const content = await lines.question("> ").catch(() => undefined);
      if (content === undefined) {
        printLine(context.stderr);
        return;
      }
      if (content.trim() === "") continue;
      messages.push({ role: "user", content });
      try {
        messages.push({ role: "assistant", content: await exchange(messages) });
      } catch (error) {
        messages.pop();
        if (!(error instanceof DaemonError)) throw error;
        printLine(context.stderr, toTerminalText(error.message, context.stderr));
      }
    }
  } finally {
    lines.close();
  }
}

export function addChat(program: Command, context: CliContext): void {
  const command = program
    .command("chat")
    .description("ask through the running daemon; without a prompt: stdin, or a conversation at the terminal")
    .argument("[prompt...]", "what to ask")
    .option("-m, --model <name>", "claude-code (the agent), or a chat model such as sonnet")
    .option("-w, --workspace <directory>", "where the agent works (default: this directory)")
    .option("--json", "the whole answer as JSON, not streamed");
  addPort(command).action(async (words: string[], options: ChatOptions) => {
    const address = findDaemon(context, options);
    const model =
      options.model ?? loadConfig({ flags: {}, facts: context.facts, paths: address.paths }).config.models.default;
    const exchange = (messages: readonly ChatMessage[]) =>
      interruptible(async (signal) => {
        const response = await send(address, toBody(model, messages, options, context), signal);
        if (options.json !== true) return showAnswer(response, context);
        printLine(context.stdout, await response.text());
        return "";
      });
    if (words.length === 0 && context.stdinIsTerminal) return converse(context, exchange);
    const content = words.length > 0 ? words.join(" ") : await context.readStdin();
    if (content.trim() === "")
      throw new DaemonError("invalid_request", "There is no prompt. Give one, or write it to stdin.");
    await exchange([{ role: "user", content }]);
  });
}
