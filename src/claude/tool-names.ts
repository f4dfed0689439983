/**
 * Names of the client's tools, there and back. The API takes `[A-Za-z0-9_-]` up to 128 characters; the CLI would replace
 * everything else by `_`, two tools could then share one name, and a name of Claude's own tools would come up twice.
 */
/** What the API allows for a tool, and as many characters as the long form `mcp__client__…` leaves of it. */
const MAX_NAME_CHARS = 110;

/** Tools that Claude Code itself may offer: for agent models the client's tools step aside for these. */
const RESERVED = new Set(
  (
    "Agent AskUserQuestion Bash BashOutput CronCreate CronDelete CronList Edit EnterPlanMode EnterWorktree ExitPlanMode " +
    "ExitWorktree Glob Grep KillShell ListMcpResourcesTool LSP MultiEdit Monitor NotebookEdit NotebookRead PowerShell " +
    "Read ReadMcpResourceTool RemoteTrigger ScheduleWakeup SendMessage SendUserMessage Skill SlashCommand Sleep " +
    "StructuredOutput Task TaskCreate TaskGet TaskList TaskOutput TaskStop TaskUpdate TodoWrite ToolSearch WebFetch " +
    "WebSearch Workflow Write"
  ).split(" "),
);

export interface ToolNames {
  /** The name that the model sees. */
  toModel(name: string): string;
  /** The client's own name; undefined where it is none of the client's tools. */
  toClient(name: string): string | undefined;
}

/** Deterministic: the same tools in the same order always get the same names (a resumed history must match). */
export function createToolNames(tools: readonly string[], kind: "agent" | "chat"): ToolNames {
  const forward = new Map<string, string>();
  const back = new Map<string, string>();
  const taken = (name: string) => back.has(name) || (kind === "agent" && RESERVED.has(name));
  const give = (name: string, given: string) => {
    forward.set(name, given);
    back.set(given, name);
  };
  const plain = (name: string) => /^[A-Za-z0-9_-]+$/.test(name) && name.length <= MAX_NAME_CHARS;
  // Names that can stay as they are come first: a mapped one must not take them away.
  for (const name of tools) if (plain(name) && !taken(name)) give(name, name);
  for (const name of tools) {
    if (forward.has(name)) continue;
    const base = name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, MAX_NAME_CHARS - 12) || "tool";
    let given = plain(name) ? `client_${base}` : base;
    for (let count = 2; taken(given); count++) given = `${base}_${count}`;
    give(name, given);
  }
  return { toModel: (name) => forward.get(name) ?? name, toClient: (name) => back.get(name) };
}
